//! What people wish for: commands of every kind, to their own things and to the platform's.

use serde_json::{Value, json};
use stead_lab::Lab;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;

use crate::stage::chance::Chance;

/// The workspaces, buckets and schedules that each owner has now and then.
const NAMES: [&str; 2] = ["one", "two"];
/// The workspace that is made in Coder alone.
pub const PRESSED: &str = "pressed";
/// The templates that are made of the repository of the owner `platform`.
pub const TEMPLATES: [&str; 2] = ["stead-machine", "stead-desktop"];
pub const REPOSITORY: &str = "platform/templates";
const SERVERS: [&str; 5] = ["appflowy", "git", "outline", "s3", "splunk"];
const BACKUPS: [&str; 2] = ["homes", "etcd"];

/// What somebody wants.
pub struct Wish {
    pub kind: &'static str,
    pub verb: &'static str,
    pub fields: Value,
}

fn wish(kind: &'static str, verb: &'static str, fields: Value) -> Wish {
    Wish { kind, verb, fields }
}

impl Wish {
    /// In whose name it is given: the platform's own things have one owner.
    pub fn giver(&self, person: &Owner) -> Owner {
        let owner = match self.kind {
            "template" => "platform",
            kind if is_theirs(kind) || kind == "run" => return person.clone(),
            _ => "stead",
        };
        Owner::new(owner).expect("an owner")
    }
}

/// Whether each owner has things of this kind.
pub fn is_theirs(kind: &str) -> bool {
    matches!(kind, "workspace" | "home" | "bucket" | "schedule" | "token" | "probe")
}

/// One thing that somebody wants, who has given so many commands and knows this run.
pub fn draw(
    lab: &Lab,
    chance: &mut Chance,
    owner: &str,
    (run, given): (Option<&RunId>, u32),
) -> Wish {
    let name = NAMES[chance.below(NAMES.len())];
    match chance.below(40) {
        0..=7 => create(chance, name),
        8..=16 => change(chance, name),
        17..=19 => delete(chance, name),
        20..=23 => bucket(lab, chance, owner, name),
        24 | 25 => home(chance),
        26 => wish("probe", "start", json!({ "name": format!("probe-{given}") })),
        27 | 28 => schedule(chance, name),
        29 | 30 => token(chance),
        31 | 32 => template(lab, chance, given),
        33 | 34 => server(lab, chance),
        35..=37 => platform(chance, owner, given),
        _ => by_hand(chance, run),
    }
}

/// One of those that are made on the bus, or the one that is made in Coder.
fn workspace<'a>(chance: &mut Chance, name: &'a str) -> &'a str {
    if chance.below(4) == 0 { PRESSED } else { name }
}

/// What is pressed in Coder: of which workspace what, with which slider where.
pub fn press(chance: &mut Chance) -> (&'static str, &'static str, Vec<(String, String)>) {
    let what = ["create", "create", "create", "start", "stop", "delete"][chance.below(6)];
    let name = if what == "create" { PRESSED } else { workspace(chance, NAMES[0]) };
    let slider = ("cpu_cores".to_owned(), ["2", "4", "8"][chance.below(3)].to_owned());
    (what, name, if what == "delete" { Vec::new() } else { vec![slider] })
}

fn create(chance: &mut Chance, name: &str) -> Wish {
    let mut fields = json!({ "name": name, "cpu_cores": 1 + chance.below(4) });
    if chance.below(3) == 0 {
        fields["on_failure"] = json!("wait");
    }
    if chance.below(4) == 0 {
        fields["volume_gb"] = json!(10);
    }
    wish("workspace", "create", fields)
}

fn change(chance: &mut Chance, name: &str) -> Wish {
    let name = workspace(chance, name);
    let some = 1 + chance.below(4);
    let (verb, fields) = match chance.below(12) {
        0 => ("start", json!({})),
        1 => ("stop", json!({})),
        2 => ("restart", json!({})),
        3 => ("resize", json!({ "cpu_cores": 2 * some })),
        4 => ("resize", json!({ "storage_quota_gb": 20 + some })),
        5 => ("resize", json!({ "volume_gb": 10 + some })),
        6 => ("rebuild", json!({})),
        7 => ("update", json!({})),
        8 => ("configure", json!({ "autostart": "0 8 * * mon-fri", "time_zone": "Europe/Berlin" })),
        9 => (
            "configure",
            json!({ "dormant_days": 7 * some, "ttl_hours": 500, "autostart": "never" }),
        ),
        10 => {
            let backend = ["iscsi", "nvme"][chance.below(2)];
            ("retry", json!({ "storage_backend": backend }))
        }
        _ => ("retry", json!({ "cpu_cores": 2 * some })),
    };
    wish("workspace", verb, named(name, fields))
}

fn delete(chance: &mut Chance, name: &str) -> Wish {
    let name = workspace(chance, name);
    match chance.below(4) {
        0 | 1 => wish("workspace", "delete", json!({ "name": name })),
        2 => wish("workspace", "delete", json!({ "name": name, "now": true })),
        _ => wish("workspace", "undelete", json!({ "name": name })),
    }
}

fn bucket(lab: &Lab, chance: &mut Chance, owner: &str, name: &str) -> Wish {
    let some = 1 + chance.below(4);
    match chance.below(7) {
        0 | 1 => wish("bucket", "create", json!({ "name": name, "quota_gb": some })),
        2 => wish("bucket", "resize", json!({ "name": name, "quota_gb": 5 + some })),
        3 => {
            // A guest writes something.
            lab.put_objects(&format!("{owner}-{name}"), &[("one", 1), ("two", 2)]);
            wish("bucket", "attach", json!({ "name": name, "workspace": name }))
        }
        4 => wish("bucket", "detach", json!({ "name": name, "workspace": name })),
        5 => wish("bucket", "restore", json!({ "name": name })),
        _ => wish("bucket", "delete", json!({ "name": name, "confirm": name })),
    }
}

fn home(chance: &mut Chance) -> Wish {
    let (verb, fields) = match chance.below(4) {
        0 => ("snapshot", json!({ "snapshot": "mine" })),
        1 => ("drop", json!({ "snapshot": "mine" })),
        2 => ("quota", json!({ "quota_gb": 40 + chance.below(20) })),
        _ => ("snapshots", json!({})),
    };
    wish("home", verb, named("home", fields))
}

fn schedule(chance: &mut Chance, name: &str) -> Wish {
    let verb = ["create", "create", "trigger", "pause", "resume", "delete"][chance.below(6)];
    let command = json!({ "kind": "workspace", "name": name, "verb": "restart" });
    let fields = match verb {
        "create" => json!({ "cron": "* * * * *", "command": command }),
        _ => json!({}),
    };
    wish("schedule", verb, named(name, fields))
}

fn token(chance: &mut Chance) -> Wish {
    let (verb, fields) = match chance.below(6) {
        0 | 1 => ("create", json!({ "repository": "templates" })),
        2 | 3 => ("rotate", json!({})),
        4 => ("configure", json!({ "life_days": 10, "every_days": 1 + chance.below(8) })),
        _ => ("delete", json!({})),
    };
    wish("token", verb, named("ci", fields))
}

/// Somebody pushes, and the webhook tells of it; or a person says it.
fn template(lab: &Lab, chance: &mut Chance, given: u32) -> Wish {
    let name = TEMPLATES[chance.below(TEMPLATES.len())];
    if chance.below(2) == 0 {
        let text = if chance.below(4) == 0 { "data {".to_owned() } else { format!("# {given}") };
        lab.commit(REPOSITORY, "main", &[(&format!("{name}/more.tf"), &text)]);
    }
    let verb = ["check", "check", "push", "promote", "rollback", "forget"][chance.below(6)];
    wish("template", verb, json!({ "name": name }))
}

/// Somebody makes a new image, which may not run, and deploys it; or scales behind our back.
fn server(lab: &Lab, chance: &mut Chance) -> Wish {
    let name = SERVERS[chance.below(SERVERS.len())];
    let (verb, fields) = match chance.below(6) {
        0..=2 => {
            lab.push_image(name, "latest", chance.below(4) > 0);
            ("deploy", json!({ "take_over": chance.below(2) == 0 }))
        }
        3 => {
            lab.scale(name, 2);
            ("deploy", json!({}))
        }
        4 => ("rollback", json!({})),
        _ => ("remove", json!({})),
    };
    wish("mcp", verb, named(name, fields))
}

/// What whoever keeps the platform does.
fn platform(chance: &mut Chance, owner: &str, given: u32) -> Wish {
    let why = "chaos";
    match chance.below(10) {
        0 => wish("pool", "resize", json!({ "name": "debian", "ready": chance.below(3) })),
        1 => wish("pool", "drain", json!({ "name": "debian" })),
        2 | 3 => wish("backup", "run", json!({ "name": BACKUPS[chance.below(BACKUPS.len())] })),
        4 => wish("drift", "scan", json!({ "name": "site" })),
        5 => decision(chance, owner),
        6 => wish("people", "look", json!({ "name": "site" })),
        7 => wish("people", "confirm", json!({ "name": "site", "why": why })),
        8 => wish("people", "forget", json!({ "name": "site", "owner": "nobody", "why": why })),
        _ => {
            let about = format!("{owner} {given}.");
            let fields = json!({ "topic": "owner", "about": about, "words": "chaos" });
            wish("notice", "tell", named("site", fields))
        }
    }
}

/// Somebody decides about what may be nothing of the kind: a home is called an orphan that may
/// well live, and a machine a stranger's.
fn decision(chance: &mut Chance, owner: &str) -> Wish {
    let found = if chance.below(2) == 0 {
        let whose = Owner::new(owner).expect("an owner");
        let run = EntityKey::of("home", &whose, "home").run(1).to_string();
        let id = format!("tank/coder-home/{owner}");
        json!({
            "drift": "orphan", "system": "truenas", "kind": "dataset", "id": id, "marker": run,
            "holder": { "kind": "home", "owner": owner, "name": "home", "marker": run },
        })
    } else {
        let id = format!("{}", 10_000 + chance.below(20));
        json!({ "drift": "stranger", "system": "proxmox", "kind": "machine", "id": id })
    };
    let verb = if found["drift"] == "orphan" { "destroy" } else { "ignore" };
    wish("drift", verb, json!({ "name": "decisions", "why": "chaos", "found": found }))
}

fn by_hand(chance: &mut Chance, run: Option<&RunId>) -> Wish {
    let Some(run) = run else { return home(chance) };
    let verb = ["cancel", "pause", "resume", "retry"][chance.below(4)];
    wish("run", verb, json!({ "run": run, "why": "chaos" }))
}

fn named(name: &str, mut fields: Value) -> Value {
    fields["name"] = json!(name);
    fields
}
