//! What each kind of user may publish and listen to, subject by subject.

use super::{OUTSIDE_API, Role, User, inbox_prefix};

/// The system whose worker has the guests' door.
pub(super) const GUEST: &str = "guest";
/// The streams that no engine ever deletes.
const KEPT: [&str; 6] = [
    "STEAD_ARCHIVE",
    "STEAD_INBOX",
    "STEAD_LEASES",
    "STEAD_REFUSALS",
    "STEAD_SETTINGS",
    "STEAD_SHELF",
];

/// What can be asked, which is for people who are curious.
const SERVICES: &str = "$SRV.>";

/// What one user may do; everything else is refused.
#[derive(Debug, Default)]
pub(super) struct Rights {
    pub publish: Vec<String>,
    pub never_publish: Vec<String>,
    pub subscribe: Vec<String>,
    /// Whether it may answer what it is asked.
    pub answers: bool,
}

/// What outsiders may ask for, and how it is answered.
pub(super) struct Service {
    /// Its subject inside.
    pub subject: &'static str,
    /// What it is called outside, where that differs.
    pub outside: Option<String>,
    pub answers: Answers,
}

#[derive(Clone, Copy)]
pub(super) enum Answers {
    Soon,
    /// The caller may want to know how his command ended.
    Late,
    Many,
}

/// Everything that outsiders may ask for.
pub(super) fn services() -> Vec<Service> {
    let plain = |subject| Service { subject, outside: None, answers: Answers::Soon };
    let js = |subject: &'static str, answers| {
        let outside = subject.replace("$JS.API", OUTSIDE_API);
        Service { subject, outside: Some(outside), answers }
    };
    vec![
        plain("stead.cmd.>"),
        Service { answers: Answers::Late, ..plain("stead.api.>") },
        plain("stead.checkup.*"),
        plain("stead.part.*.query"),
        plain("stead.part.*.limits"),
        plain("stead.part.*.list"),
        plain("stead.part.*.turn"),
        plain("stead.part.*.outside"),
        // What can be asked, with schemas: `nats micro info stead`.
        Service { answers: Answers::Many, ..plain(SERVICES) },
        js("$JS.API.INFO", Answers::Soon),
        js("$JS.API.STREAM.NAMES", Answers::Soon),
        js("$JS.API.STREAM.INFO.*", Answers::Soon),
        js("$JS.API.STREAM.MSG.GET.*", Answers::Soon),
        js("$JS.API.DIRECT.GET.*", Answers::Many),
    ]
}

/// Everything that outsiders may listen to.
pub(super) const STREAMS: [&str; 4] =
    ["stead.evt.>", "stead.step.guest.*", "stead.step-cancel", "stead.lease"];

pub(super) fn rights(user: &User) -> Rights {
    let mut rights = of_role(&user.role);
    let inbox = format!("{}.>", inbox_prefix(&user.key));
    // Who one is to the server.
    rights.publish.push("$SYS.REQ.USER.INFO".to_owned());
    if !matches!(user.role, Role::Engine) {
        // Asking oneself is how a client learns that the server has heard everything.
        rights.publish.push(inbox.clone());
    }
    rights.subscribe.push(inbox);
    rights
}

pub(super) fn of_role(role: &Role) -> Rights {
    match role {
        Role::Engine => engine(),
        Role::Worker(system) => worker(system),
        Role::Backup => backup(),
        Role::Restorer => restorer(),
        Role::Operator => operator(),
        Role::Dashboard => dashboard(),
        Role::Webhook => webhook(),
        Role::Provisioner => provisioner(),
        Role::Owner(owner) => of_owner(&owner.token()),
    }
}

fn engine() -> Rights {
    let publish = [
        "stead.archive.>",
        "stead.evt.>",
        "stead.lease",
        "stead.lease.>",
        "stead.log.>",
        "stead.part.>",
        "stead.settings",
        "stead.shelf.*",
        "stead.step.>",
        "stead.step-cancel",
        // Answers, inside and to those who asked by an import.
        "_INBOX.>",
        "_R_.>",
        "$JS.API.INFO",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.CREATE.*",
        "$JS.API.STREAM.UPDATE.STEAD_INBOX",
        "$JS.API.STREAM.UPDATE.STEAD_LEASES",
        "$JS.API.STREAM.UPDATE.STEAD_REFUSALS",
        "$JS.API.STREAM.INFO.*",
        // An epoch of the log is deleted when a later one is in force.
        "$JS.API.STREAM.DELETE.*",
        "$JS.API.STREAM.MSG.GET.*",
        // A command that is carried out is wiped where payloads are encrypted.
        "$JS.API.STREAM.MSG.DELETE.STEAD_INBOX",
        "$JS.API.STREAM.MSG.DELETE.STEAD_LEASES",
        // What has expired goes.
        "$JS.API.STREAM.MSG.DELETE.STEAD_SHELF",
        "$JS.API.DIRECT.GET.*",
        "$JS.API.CONSUMER.CREATE.STEAD_INBOX.engines",
        "$JS.API.CONSUMER.INFO.STEAD_INBOX.engines",
        "$JS.API.CONSUMER.MSG.NEXT.STEAD_INBOX.engines",
        "$JS.API.CONSUMER.UNPIN.STEAD_INBOX.engines",
        "$JS.ACK.STEAD_INBOX.engines.>",
    ];
    let never = KEPT.iter().map(|stream| format!("$JS.API.STREAM.DELETE.{stream}"));
    Rights {
        publish: texts(&publish),
        never_publish: never.collect(),
        subscribe: texts(&["stead.api.>", "stead.part.>", "$SRV.>"]),
        answers: false,
    }
}

fn worker(system: &str) -> Rights {
    // Only as one of many: each request goes to one worker.
    let steps = format!("stead.step.{system}.* workers");
    let checkups = format!("stead.checkup.{system} workers");
    let subscribe = vec![checkups, steps, "stead.step-cancel".to_owned(), "stead.lease".to_owned()];
    let publish = match system {
        GUEST => vec![
            "stead.part.*.query".to_owned(),
            "stead.part.*.outside".to_owned(),
            format!("{OUTSIDE_API}.STREAM.MSG.GET.STEAD_SETTINGS"),
        ],
        _ => vec!["stead.part.*.answer.>".to_owned()],
    };
    Rights { publish, subscribe, answers: true, ..Rights::default() }
}

/// What is read of a stream to know what belongs into a backup.
const LOOKS: [&str; 5] = [
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.STREAM.MSG.GET.*",
    "$JS.API.DIRECT.GET.*",
];

fn backup() -> Rights {
    let mut publish = texts(&LOOKS);
    // Each piece is acknowledged, or the next one does not come.
    publish.extend(texts(&["$JS.API.STREAM.SNAPSHOT.*", "$JS.SNAPSHOT.ACK.>"]));
    Rights { publish, ..Rights::default() }
}

fn restorer() -> Rights {
    let mut publish = texts(&LOOKS);
    publish.extend(texts(&[
        "$JS.API.STREAM.RESTORE.*",
        "$JS.SNAPSHOT.RESTORE.>",
        // Of what cannot be restored whole nothing stays.
        "$JS.API.STREAM.DELETE.*",
    ]));
    Rights { publish, ..Rights::default() }
}

fn operator() -> Rights {
    let mut publish = texts(&[
        "stead.api.>",
        "stead.checkup.*",
        "stead.cmd.>",
        "stead.part.*.query",
        "stead.part.*.limits",
        "stead.part.*.list",
        "stead.part.*.turn",
        SERVICES,
    ]);
    let reads = ["INFO", "STREAM.NAMES", "STREAM.INFO.*", "STREAM.MSG.GET.*", "DIRECT.GET.*"];
    publish.extend(reads.iter().map(|read| format!("{OUTSIDE_API}.{read}")));
    Rights { publish, subscribe: texts(&["stead.evt.>"]), ..Rights::default() }
}

fn dashboard() -> Rights {
    Rights {
        publish: texts(&["stead.api.*.*.list", "stead.api.*.*.show", SERVICES]),
        subscribe: texts(&["stead.evt.>"]),
        ..Rights::default()
    }
}

fn webhook() -> Rights {
    Rights {
        publish: vec![
            "stead.cmd.*.template.check".to_owned(),
            format!("{OUTSIDE_API}.STREAM.MSG.GET.STEAD_SETTINGS"),
        ],
        ..Rights::default()
    }
}

/// What `stead workspace from-coder` gives, and what it looks at.
fn provisioner() -> Rights {
    let verbs = ["create", "delete", "resize", "restart", "show", "start", "stop"];
    let mut publish: Vec<String> =
        verbs.iter().map(|verb| format!("stead.api.*.workspace.{verb}")).collect();
    publish.push("stead.part.*.query".to_owned());
    publish.push(format!("{OUTSIDE_API}.STREAM.MSG.GET.STEAD_SETTINGS"));
    Rights { publish, subscribe: texts(&["stead.evt.*.workspace.>"]), ..Rights::default() }
}

fn of_owner(token: &str) -> Rights {
    Rights {
        publish: vec![format!("stead.api.{token}.>"), format!("stead.cmd.{token}.>")],
        subscribe: vec![format!("stead.evt.{token}.>")],
        ..Rights::default()
    }
}

/// What a user of this role does not work without, where the JetStream API is called `js_prefix`:
/// what it publishes and what it listens to, group or not.
pub(super) fn needs(role: &Role, js_prefix: &str) -> (Vec<String>, Vec<String>) {
    let Rights { publish, subscribe, .. } = of_role(role);
    let needed = publish.iter().filter(|subject| *subject != SERVICES);
    let named = needed.map(|subject| subject.replace(OUTSIDE_API, js_prefix));
    let alone = |subject: &String| subject.split(' ').next().unwrap_or_default().to_owned();
    (named.collect(), subscribe.iter().map(alone).collect())
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
