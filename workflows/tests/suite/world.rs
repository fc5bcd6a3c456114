//! The world that steps change: sets of things, each with the marker of who made it.

mod accounts;
mod copies;
mod machines;
mod servers;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::proxmox::GuestSeen;
use stead_schemas::time::Timestamp;
use stead_testkit::Asked;

use copies::Copies;
use servers::Servers;

/// What there is.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// `dataset tank/home/john`, `vm 10000`: and whose marker it carries.
    pub things: BTreeMap<String, String>,
    /// Machines that run.
    pub running: BTreeMap<u32, bool>,
    /// What lies in the bucket.
    pub objects: u64,
    /// Steps that have been carried out, in order.
    pub log: Vec<String>,
    /// What each of the machines' steps was asked, in order.
    pub asked: Vec<(String, Value)>,
    /// The nodes that do not have the bridge that a template wants.
    pub without_bridge: Vec<String>,
    /// The step of this name fails the next time.
    pub fails_next: Option<String>,
    /// The step of this name is not done in time, the next time.
    pub late_next: Option<String>,
    /// What is seen of a guest that is asked for.
    pub guest: GuestSeen,
    /// How large the machines' disks are, in GiB.
    pub disks: BTreeMap<u32, u64>,
    /// How many cores a machine had and how large its disk was when a snapshot was taken, if that was
    /// known.
    pub then: BTreeMap<String, (Option<u64>, Option<u64>)>,
    /// Workspaces that developers made in Coder and that are gone.
    pub joined_gone: BTreeSet<String>,
    /// Coder's id of the version that each workspace of Coder's was built from last.
    pub built: BTreeMap<String, String>,
    /// When Coder saw somebody use a workspace.
    pub used_at: Timestamp,
    /// Who may log in to the volume.
    pub shown_to: Option<String>,
    /// What is free for homes, in GiB.
    pub free_gb: u64,
    /// How much each home may hold, by its dataset, in GiB.
    pub quotas: BTreeMap<String, u64>,
    /// What is kept in each home, in GiB.
    pub used_gb: u64,
    /// To which networks each home is exported, by its path.
    pub exports: BTreeMap<String, Value>,
    /// What each node has free, in GiB of memory.
    pub nodes: BTreeMap<String, u64>,
    /// Which version of each secret is current.
    pub version: u32,
    /// With what each step has logged in the last time.
    pub logins: BTreeMap<String, String>,
    /// What Forgejo's secrets were given last.
    pub given: BTreeMap<String, String>,
    /// How many of the next runs in Forgejo fail.
    pub runs_fail: u32,
    /// What the machines are called that were called otherwise before.
    pub names_of: BTreeMap<u32, String>,
    /// How many cores the machines are set to have.
    pub cores: BTreeMap<u32, u64>,
    /// The commit that every branch ends with. What a commit holds is told by its first letter.
    pub head: String,
    /// Coder's id of the active version.
    pub active: String,
    /// What Coder says of the next import, if that fails.
    pub import_error: Option<String>,
    /// The parameters of what is imported, and whether each is needed.
    pub parameters: Vec<(String, bool)>,
    /// What may be chosen of some of them.
    pub choices: BTreeMap<String, Value>,
    /// Which secrets the last version was given.
    pub variables: Value,
    /// What was said of commits, in order.
    pub said: Vec<String>,
    /// What Kubernetes is like.
    pub servers: Servers,
    /// The messages that have arrived, by their ids: the one that is sent again is the same.
    pub messages: BTreeMap<String, Value>,
    /// Authentik's users by subject: what each is called, and whether he is active.
    pub users: BTreeMap<String, (String, bool)>,
    /// Who is in which of Authentik's groups, by subject.
    pub groups: BTreeMap<String, Vec<String>>,
    /// How Authentik fails to answer, if it does.
    pub unseen: Option<Class>,
    /// What backups have left.
    pub copies: Copies,
    /// How messages fail by this way, if they do.
    pub unsent: Option<(&'static str, Class)>,
}

impl Default for World {
    fn default() -> Self {
        let nodes = [("pve1".to_owned(), 64), ("pve2".to_owned(), 32)];
        Self {
            things: BTreeMap::new(),
            running: BTreeMap::new(),
            objects: 0,
            log: Vec::new(),
            asked: Vec::new(),
            without_bridge: Vec::new(),
            fails_next: None,
            late_next: None,
            guest: GuestSeen::Silent,
            disks: BTreeMap::new(),
            then: BTreeMap::new(),
            used_at: Timestamp::default(),
            joined_gone: BTreeSet::new(),
            built: BTreeMap::new(),
            shown_to: None,
            free_gb: 1_000,
            quotas: BTreeMap::new(),
            used_gb: 0,
            exports: BTreeMap::new(),
            nodes: nodes.into(),
            version: 1,
            logins: BTreeMap::new(),
            given: BTreeMap::new(),
            runs_fail: 0,
            names_of: BTreeMap::new(),
            cores: BTreeMap::new(),
            head: "a".repeat(40),
            active: "id-v0".to_owned(),
            import_error: None,
            parameters: vec![("stead_run".to_owned(), true)],
            choices: BTreeMap::new(),
            variables: Value::Null,
            said: Vec::new(),
            servers: Servers::default(),
            messages: BTreeMap::new(),
            users: [("subject-john".to_owned(), ("john".to_owned(), true))].into(),
            groups: BTreeMap::new(),
            unseen: None,
            copies: Copies::default(),
            unsent: None,
        }
    }
}

impl World {
    fn with_home(&mut self, step: &str, ask: &Value) -> Result<Value, Failure> {
        let text = |field: &str| ask[field].as_str().unwrap_or_default().to_owned();
        let (dataset, share) =
            (format!("dataset {}", text("dataset")), format!("share {}", text("path")));
        let target = format!("target {}", text("marker").trim_end_matches(char::is_numeric));
        match step {
            "truenas.ensure-dataset" => {
                self.ensure(dataset, text("marker"))?;
                self.limit(ask)?;
                let mountpoint = format!("/mnt/{}", text("dataset"));
                Ok(json!({ "id": text("dataset"), "mountpoint": mountpoint }))
            }
            "truenas.ensure-share" => {
                self.ensure(share, text("marker"))?;
                self.exports.insert(text("path"), ask["networks"].clone());
                Ok(json!({ "id": 1 }))
            }
            "truenas.ensure-volume" => self.ensure(dataset, text("marker")).map(|()| json!({})),
            "truenas.ensure-target" => {
                self.shown_to = Some(text("initiator"));
                self.ensure(target, text("marker")).map(|()| json!({ "iqn": "iqn.x:dev" }))
            }
            "truenas.remove-target" => self.remove(&target),
            "truenas.remove-share" => self.remove(&share),
            "truenas.destroy-dataset" => self.remove(&dataset),
            "truenas.survey-pool" => {
                let has_home = self.things.contains_key(&dataset);
                Ok(json!({ "free_gb": self.free_gb, "has_home": has_home }))
            }
            "truenas.list-snapshots" => Ok(json!({ "snapshots": [{ "snapshot": "auto" }] })),
            "truenas.update-quota" => self.limit(ask),
            "truenas.set-permissions" | "truenas.snapshot-dataset" | "truenas.delete-snapshot" => {
                Ok(json!({}))
            }
            unknown => panic!("the world does not know the step {unknown}"),
        }
    }

    /// A home may hold so much, unless it holds more already.
    fn limit(&mut self, ask: &Value) -> Result<Value, Failure> {
        let dataset = ask["dataset"].as_str().unwrap_or_default();
        let quota_gb = ask["refquota_gb"].as_u64().unwrap_or_default();
        if quota_gb < self.used_gb && self.quotas.get(dataset) != Some(&quota_gb) {
            let words = format!("{} GiB are kept already", self.used_gb);
            return Err(Failure::new(Class::Permanent, words));
        }
        self.quotas.insert(dataset.to_owned(), quota_gb);
        Ok(json!({}))
    }
}

impl stead_testkit::World for World {
    fn carry_out(&mut self, asked: &Asked<'_>) -> Result<Value, Failure> {
        let (step, ask) = (asked.step, asked.request);
        self.remember(step, ask);
        if self.fails_next.take_if(|fails| fails == step).is_some() {
            return Err(Failure::new(Class::Permanent, "it was made to fail"));
        }
        if self.late_next.take_if(|late| late == step).is_some() {
            return Err(Failure::new(Class::TimedOut, "not done within 15 min"));
        }
        let login = ask["login"].as_str().or(ask["machine"]["login"].as_str());
        self.logins.extend(login.map(|login| (step.to_owned(), login.to_owned())));
        match step {
            "vault.pin-secrets" => Ok(self.pinned(ask)),
            "proxmox.survey" => Ok(self.survey(ask)),
            "proxmox.check-vmid" => {
                let taken = self.things.contains_key(&format!("vm {}", ask["vmid"]));
                Ok(json!(if taken { "taken" } else { "free" }))
            }
            "coder.join-workspace" | "coder.start-workspace" | "coder.delete-workspace" => {
                self.with_coder(step, ask)
            }
            "coder.look-up-use" => Ok(json!({ "last_used_at": self.used_at })),
            "guest.await-home" => Ok(json!({ "boot_id": "b" })),
            step if ask["of"]["marker"].is_string() => self.with_copies(step, ask),
            "coder.await-agent"
            | "coder.leave-workspace"
            | "coder.stop-workspace"
            | "coder.survey"
            | "probe.noop" => Ok(json!({})),
            "coder.sight-tokens"
            | "coder.sight-versions"
            | "coder.sight-workspaces"
            | "forgejo.sight-repositories"
            | "kubernetes.sight-servers"
            | "proxmox.sight-machines"
            | "proxmox.sight-seeds"
            | "proxmox.sight-snapshots"
            | "s3.sight-buckets"
            | "s3.sight-keys"
            | "truenas.sight-datasets"
            | "truenas.sight-extents"
            | "truenas.sight-targets"
            | "truenas.sight-shares"
            | "vault.sight-secrets" => Ok(Self::sighted(ask)),
            step if step.starts_with("truenas.") => self.with_home(step, ask),
            step if step.starts_with("proxmox.") => self.with_machine(step, ask),
            step if step.starts_with("s3.") => self.with_s3(step, ask),
            "coder.create-token" | "coder.prove-token" | "coder.revoke-token" => {
                self.with_token(step, ask)
            }
            "coder.look-up-template" | "coder.upload-template" | "coder.await-import" => {
                self.with_version(step, ask)
            }
            step if step.ends_with("-version") => self.with_version(step, ask),
            step if step.starts_with("authentik.") => self.with_authentik(step, ask),
            step if step.starts_with("kubernetes.") => self.with_server(step, ask),
            step if step.starts_with("notify.") => self.with_message(step, ask),
            step if step.starts_with("forgejo.") => self.with_forgejo(step, ask),
            unknown => panic!("the world does not know the step {unknown}"),
        }
    }

    fn things(&self) -> BTreeSet<String> {
        self.things.keys().cloned().collect()
    }
}

impl World {
    /// Workspaces of Coder's: what a developer made there is his, and known by its id.
    fn with_coder(&mut self, step: &str, ask: &Value) -> Result<Value, Failure> {
        let text = |field: &str| ask[field].as_str().unwrap_or_default().to_owned();
        let ours = format!("coder {}", text("name"));
        match step {
            "coder.join-workspace" => Ok(self.build(text("id"), ask)),
            "coder.start-workspace" if self.is_joined(ask) => Ok(self.build(text("joined"), ask)),
            "coder.start-workspace" => {
                self.ensure(ours, text("marker"))?;
                Ok(self.build(format!("coder-{}-{}", text("name"), text("template")), ask))
            }
            _ if self.is_joined(ask) => {
                self.joined_gone.insert(text("joined"));
                Ok(json!({}))
            }
            _ => {
                self.built.retain(|id, _| !id.starts_with(&format!("coder-{}-", text("name"))));
                self.remove(&ours)
            }
        }
    }

    /// A workspace keeps its version, unless another one is named.
    fn build(&mut self, id: String, ask: &Value) -> Value {
        let kept = self.built.get(&id).unwrap_or(&self.active);
        let version = ask["version"].as_str().unwrap_or(kept).to_owned();
        self.built.insert(id.clone(), version.clone());
        json!({ "id": id, "version": { "id": version, "name": version.trim_start_matches("id-") } })
    }

    /// Whether it is about a workspace that a developer made in Coder, and that is there.
    fn is_joined(&self, ask: &Value) -> bool {
        ask["joined"].as_str().is_some_and(|id| !self.joined_gone.contains(id))
    }

    /// The things, without markers.
    pub fn names(&self) -> Vec<&str> {
        self.things.keys().map(String::as_str).collect()
    }

    /// Nothing is there, and it takes two pages to say so.
    fn sighted(ask: &Value) -> Value {
        match ask["after"].as_str() {
            None => json!({ "things": [], "after": "one" }),
            Some(_) => json!({ "things": [] }),
        }
    }

    fn remember(&mut self, step: &str, ask: &Value) {
        self.log.push(step.to_owned());
        if step.starts_with("proxmox.") {
            self.asked.push((step.to_owned(), ask.clone()));
        }
    }

    /// Buckets and their keys. A key is there before its bucket, and goes after it.
    fn with_s3(&mut self, step: &str, ask: &Value) -> Result<Value, Failure> {
        let place = |field: &str| ask["place"][field].as_str().unwrap_or_default().to_owned();
        match step {
            "s3.ensure-key" => {
                self.ensure(format!("key {}", place("bucket")), place("marker"))?;
                Ok(json!({ "credentials": format!("{}#1", place("credentials")) }))
            }
            "s3.ensure-bucket" => {
                self.ensure(format!("bucket {}", place("bucket")), place("marker"))?;
                Ok(json!({}))
            }
            "s3.set-limits" => {
                // Its owner has waited for the room.
                self.objects = if place("bucket") == "john-full" { 3 } else { 0 };
                Ok(json!({}))
            }
            "s3.delete-if-empty" => {
                if self.objects == 0 {
                    self.remove(&format!("bucket {}", place("bucket")))?;
                }
                Ok(json!({ "gone": self.objects == 0, "objects": self.objects, "uploads": 0 }))
            }
            "s3.empty-bucket" => {
                self.objects = 0;
                Ok(json!({}))
            }
            "s3.delete-bucket" if self.objects > 0 => {
                Err(Failure::new(Class::Conflict, "it holds objects"))
            }
            "s3.delete-bucket" => self.remove(&format!("bucket {}", place("bucket"))),
            "s3.delete-key" => self.remove(&format!("key {}", place("bucket"))),
            unknown => panic!("the world does not know the step {unknown}"),
        }
    }

    /// Versions of a template, by what they are made of. The first one is always there.
    fn with_version(&mut self, step: &str, ask: &Value) -> Result<Value, Failure> {
        let text = |field: &str| ask[field].as_str().unwrap_or_default().to_owned();
        let version = |name: &str| format!("version {}", &name[..1]);
        match step {
            "coder.look-up-template" => {
                let name = self.active.trim_start_matches("id-");
                Ok(json!({ "id": self.active, "name": name }))
            }
            "coder.upload-template" => {
                let commit = ask["source"]["commit"].as_str().unwrap_or_default();
                Ok(json!({ "file": format!("file-{}", &commit[..1]) }))
            }
            "coder.create-version" => {
                self.variables = ask["variables"].clone();
                self.ensure(version(&text("name")), text("marker"))?;
                Ok(json!({ "id": format!("id-{}", text("name")) }))
            }
            "coder.await-import" => {
                let parameters = self.parameters.iter();
                let parameters: Vec<Value> = parameters
                    .map(|(name, required)| {
                        let choice = self.choices.get(name);
                        json!({ "name": name, "required": required, "choice": choice })
                    })
                    .collect();
                Ok(json!({ "error": self.import_error.take(), "parameters": parameters }))
            }
            "coder.promote-version" => Ok(self.activate(text("id"))),
            "coder.restore-version" if self.active == text("promoted") => {
                Ok(self.activate(text("before")))
            }
            "coder.archive-version" => self.remove(&version(&text("name"))),
            _ => Ok(json!({})),
        }
    }

    fn activate(&mut self, id: String) -> Value {
        self.things.retain(|thing, _| !thing.starts_with("active "));
        if let Some(name) = id.strip_prefix("id-").filter(|name| *name != "v0") {
            self.things.insert(format!("active {}", &name[..1]), String::new());
        }
        self.active = id;
        json!({})
    }

    /// Forgejo: a secret holds what it was given last, and a run proves that.
    fn with_forgejo(&mut self, step: &str, ask: &Value) -> Result<Value, Failure> {
        let repository = ask["place"]["repository"].as_str().unwrap_or_default();
        let secret = format!("secret {repository} {}", ask["name"].as_str().unwrap_or_default());
        match step {
            "forgejo.look-up-head" => Ok(json!({ "commit": self.head })),
            "forgejo.set-status" => {
                let text = |field: &str| ask[field].as_str().unwrap_or_default();
                self.said.push(format!("{} {}", text("state"), &text("commit")[..1]));
                Ok(json!({}))
            }
            "forgejo.set-secret" => {
                let given = ask["secret"].as_str().unwrap_or_default().to_owned();
                self.things.insert(secret.clone(), String::new());
                self.given.insert(secret, given);
                Ok(json!({}))
            }
            "forgejo.delete-secret" => {
                self.given.remove(&secret);
                self.remove(&secret)
            }
            "forgejo.run-workflow" => {
                let fails = self.runs_fail > 0;
                self.runs_fail = self.runs_fail.saturating_sub(1);
                let good = !fails && self.given.values().all(|given| self.opens(given));
                let status = if good { "success" } else { "failure" };
                Ok(json!({ "succeeded": good, "status": status, "url": "https://git.lan/1" }))
            }
            unknown => panic!("the world does not know the step {unknown}"),
        }
    }

    /// A message arrives, as it came before if it did.
    fn with_message(&mut self, step: &str, ask: &Value) -> Result<Value, Failure> {
        if let Some((_, class)) = self.unsent.filter(|(way, _)| *way == step) {
            return Err(Failure::new(class, "nobody is there"));
        }
        let id = ask["id"].as_str().unwrap_or_default().to_owned();
        let before = self.messages.insert(id, ask.clone());
        assert!(before.is_none_or(|before| before == *ask), "one id says two things");
        Ok(json!({}))
    }

    fn ensure(&mut self, thing: String, marker: String) -> Result<(), Failure> {
        let owner = self.things.entry(thing.clone()).or_insert_with(|| marker.clone());
        if *owner == marker {
            return Ok(());
        }
        Err(Failure::new(Class::Conflict, format!("{thing} is a stranger's")))
    }

    fn remove(&mut self, thing: &str) -> Result<Value, Failure> {
        self.things.remove(thing);
        Ok(json!({}))
    }

    fn pinned(&self, ask: &Value) -> Value {
        let secrets = ask["secrets"].as_array().cloned().unwrap_or_default();
        let pinned: serde_json::Map<_, _> = secrets
            .iter()
            .filter_map(Value::as_str)
            .map(|secret| (secret.to_owned(), json!(format!("{secret}#{}", self.version))))
            .collect();
        json!({ "pinned": pinned })
    }
}
