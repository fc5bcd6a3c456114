//! The whole system on a server that is configured as `stead nats config` prints it: an engine, a
//! worker of each system, an operator, a dashboard and owners, each with a key of its own; and each
//! worker with a role of its own in Vault, under the policy that is shipped for it. What must be
//! refused on the bus is tried beside the adapters.

use std::collections::BTreeMap;
use std::future::ready;
use std::path::Path;
use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};
use stead_lab::{Credentials, Inventory, Lab, LabOptions, Provisioner, VmEntry};
use stead_nats::access::{Role, User, accounts, new_seed, public_key};
use stead_nats::testing::{NatsServer, Visitor, next};
use stead_schemas::owner::Owner;
use tempfile::TempDir;

use crate::stage::{
    People, Process, binary, check_gone, check_whole, door_of, free_port, until, within,
};

const SYSTEMS: [&str; 11] = [
    "authentik",
    "coder",
    "forgejo",
    "guest",
    "kubernetes",
    "notify",
    "probe",
    "proxmox",
    "s3",
    "truenas",
    "vault",
];

/// A site where everybody has a key.
struct Site {
    nats: NatsServer,
    lab: Lab,
    seeds: BTreeMap<String, String>,
    people: People,
    processes: Vec<Process>,
    seed_port: u16,
    dir: TempDir,
}

impl Site {
    async fn open() -> Self {
        let owner = |name: &str| (name.to_owned(), Role::Owner(Owner::new(name).expect("a name")));
        let worker = |system: &str| (system.to_owned(), Role::Worker(system.to_owned()));
        let mut roles: Vec<(String, Role)> = SYSTEMS.into_iter().map(worker).collect();
        roles.push(("engine".to_owned(), Role::Engine));
        roles.push(("backup".to_owned(), Role::Backup));
        roles.push(("restorer".to_owned(), Role::Restorer));
        roles.push(("alice".to_owned(), Role::Operator));
        roles.push(("grafana".to_owned(), Role::Dashboard));
        roles.push(("forgejo-door".to_owned(), Role::Webhook));
        roles.push(("provisioner".to_owned(), Role::Provisioner));
        roles.extend(["john", "demo"].map(owner));
        let mut seeds = BTreeMap::new();
        let mut users = Vec::new();
        for (name, role) in roles {
            let seed = new_seed().expect("a seed");
            let key = public_key(&seed).expect("a key");
            seeds.insert(name.clone(), seed);
            users.push(User { name, role, key });
        }
        let nats = NatsServer::start_with(&accounts(&users)).await;
        let lab = Lab::start(LabOptions::default()).await.expect("the lab starts");
        let people = People::meet(&lab).await;
        for name in ["john", "demo"] {
            people.welcome(name).await;
        }
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("site.toml"), lab.site_toml()).expect("a file");
        let seed_port = free_port();
        let mut site = Self { nats, lab, seeds, people, processes: Vec::new(), seed_port, dir };
        let (program, environment) = (binary().to_owned(), site.environment("provisioner"));
        site.lab.provision_with(Provisioner { program, environment });
        site.start("engine", &["engine"]);
        for system in SYSTEMS {
            site.start(system, &["worker", "--systems", system]);
        }
        site.start("forgejo-door", &["webhook"]);
        site
    }

    fn start(&mut self, user: &str, words: &[&str]) {
        let log = self.dir.path().join(format!("{user}.log"));
        self.processes.push(Process::start(words, &self.environment(user), &log));
    }

    fn environment(&self, user: &str) -> Vec<(String, String)> {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let login = self.login(user);
        let mut pairs = vec![
            ("STEAD_CONFIG", path("site.toml")),
            ("STEAD_LOG", "info".to_owned()),
            ("STEAD_NATS_URL", self.nats.url()),
            ("STEAD_NATS_NKEY", self.seeds[user].clone()),
            ("STEAD_NATS_CALLERS", "proved".to_owned()),
            ("STEAD_ENGINE_PARTITIONS", "2".to_owned()),
            ("STEAD_ENGINE_INDEX", path("index")),
            ("STEAD_TRUENAS_GRACE_SECONDS", "0".to_owned()),
            ("STEAD_GUEST_LISTEN", format!("127.0.0.1:{}", self.seed_port)),
            ("STEAD_GUEST_PUBLIC_URL", format!("http://127.0.0.1:{}", self.seed_port)),
            ("STEAD_FORGEJO_WEBHOOK_LISTEN", "127.0.0.1:0".to_owned()),
            ("STEAD_AUTHENTIK_ADDRESS", self.lab.addresses().authentik_url.clone()),
            ("STEAD_AUTHENTIK_SECRET", "vault:secret/data/authentik/api".to_owned()),
            ("STEAD_VAULT_ROLE_ID", "env:LAB_ROLE_ID".to_owned()),
            ("STEAD_VAULT_SECRET_ID", "env:LAB_SECRET_ID".to_owned()),
            ("LAB_ROLE_ID", login.vault_role_id.clone()),
            ("LAB_SECRET_ID", login.vault_secret_id.clone()),
        ];
        if ["alice", "guest", "forgejo-door", "provisioner"].contains(&user) {
            pairs.push(("STEAD_NATS_JS_PREFIX", "stead.js".to_owned()));
        }
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The role of a worker, or of the door for webhooks, in Vault; the platform's for anybody else.
    fn login(&self, user: &str) -> Credentials {
        let who = match user {
            "forgejo-door" => "webhook".to_owned(),
            system if SYSTEMS.contains(&system) => format!("worker-{system}"),
            _ => return self.lab.credentials().clone(),
        };
        let path = format!("{}/../ops/deploy/vault/{who}.hcl", env!("CARGO_MANIFEST_DIR"));
        let policy = std::fs::read_to_string(&path).expect(&path);
        self.lab.vault_role(&who, &policy).expect("a policy")
    }

    async fn visitor(&self, user: &str) -> Visitor {
        Visitor::connect(&self.nats.url(), &self.seeds[user]).await
    }

    /// What the operator is told who gives `stead` these words; nothing if it does not work.
    async fn try_operate(&self, words: &[&str]) -> Option<String> {
        let output = self.tries("alice", words).await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(said)
    }

    /// What becomes of the words that somebody gives `stead`.
    async fn tries(&self, user: &str, words: &[&str]) -> Output {
        let mut environment = self.environment(user);
        environment.push(("STEAD_LOG".to_owned(), "error".to_owned()));
        Process::carry_out(words, &environment).await
    }

    async fn operate(&self, words: &[&str]) -> String {
        let said = self.try_operate(words).await;
        said.unwrap_or_else(|| panic!("{words:?} does not work\n{}", self.said()))
    }

    fn said(&self) -> String {
        let said = |process: &Process| process.said();
        self.processes.iter().map(said).collect::<Vec<_>>().join("\n--\n")
    }

    fn folder(&self) -> &Path {
        self.dir.path()
    }
}

async fn asked(visitor: &Visitor, subject: &str, body: Value) -> Value {
    let forged = r#"{"user":"forged","host":"6.6.6.6"}"#;
    let headers =
        [("Stead-Wait", "300"), ("Stead-Client", "a test"), ("Nats-Request-Info", forged)];
    let answer = visitor.ask(subject, &headers, body.to_string()).await;
    serde_json::from_slice(&answer).expect("JSON")
}

/// Forgejo tells the door of a push, and the version of it is active.
async fn a_push_is_deployed(site: &Site) {
    let door = until("the door is open", || ready(door_of(&site.said()))).await;
    assert!(site.lab.hook("platform/templates", &door, true));
    let files = [("stead-machine/more.tf", "# more")];
    let commit = site.lab.commit("platform/templates", "main", &files).expect("a commit");
    let deployed = || site.lab.active_version("stead-machine").filter(|name| name != "v1");
    let version = until("it is deployed", || ready(deployed())).await;
    assert!(version.starts_with(&commit[..12]), "{version} of {commit}");
}

/// A developer presses Create and Delete in Coder, and has what he wants.
async fn a_build_is_handed_over(site: &Site) {
    let made = site.people.create("demo", &[("cpu_cores", "2"), ("memory_gb", "4")]).await;
    let is_ready = |inventory: &Inventory| {
        let of_demo = |vm: &&VmEntry| vm.name == "demo-dev";
        inventory.vms.iter().find(of_demo).is_some_and(|vm| vm.guest_stage == "agent-ready")
    };
    within("it is made", site.lab.until(is_ready)).await;
    check_whole(&site.lab, "demo");
    let id = made["id"].as_str().expect("an id");
    site.people.press(id, "delete", &[]).await;
    let is_gone = |inventory: &Inventory| inventory.vms.iter().all(|vm| vm.name != "demo-dev");
    within("it is deleted", site.lab.until(is_gone)).await;
}

/// The operator gives orders to a run.
async fn a_look_at_it(site: &Site, run: &str) {
    for order in ["pause", "resume"] {
        site.operate(&["run", order, run, "--why", "a look at it"]).await;
    }
}

/// Whatever a worker reads or writes in Vault, its policy lets it.
async fn each_worker_has_what_it_needs_in_vault(site: &Site) {
    for words in [
        &["bucket", "create", "data", "--owner=john", "--wait"][..],
        &["token", "create", "ci", "--owner=john", "--repository=templates", "--wait"],
        &["mcp", "deploy", "outline", "--wait"],
        &["drift", "scan"],
        &["token", "delete", "ci", "--owner=john", "--wait"],
        &["mcp", "remove", "outline", "--wait"],
        &["bucket", "delete", "data", "--owner=john", "--wait"],
    ] {
        site.operate(words).await;
    }
    assert!(site.lab.inventory().kept_secrets.is_empty());
}

/// And no more: the login of one system is not for the worker of another, nor is what others write.
async fn no_worker_has_more_in_vault(site: &Site) {
    let login = site.login("proxmox");
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
    let vault = &site.lab.addresses().vault_url;
    let role = json!({ "role_id": login.vault_role_id, "secret_id": login.vault_secret_id });
    let answer = http.post(format!("{vault}/v1/auth/approle/login")).json(&role).send().await;
    let answer: Value = answer.expect("an answer").json().await.expect("JSON");
    let token = answer["auth"]["client_token"].as_str().expect("a token");
    for (method, path, status) in [
        (Method::GET, "data/proxmox/api", 200),
        (Method::GET, "data/coder/api", 403),
        (Method::POST, "data/proxmox/api", 403),
        (Method::GET, "metadata/stead/buckets?list=true", 403),
        (Method::POST, "data/stead/tokens/john/ci", 403),
    ] {
        let request = http.request(method.clone(), format!("{vault}/v1/secret/{path}"));
        let request = request.header("x-vault-token", token).json(&json!({ "data": {} }));
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
    }
}

/// What the operator did is in the histories with the key that gave it, and why.
async fn an_operator_is_named(site: &Site, key: &str) {
    for (verb, why) in [("stop", ""), ("pause", "a look at it"), ("resume", "a look at it")] {
        let log = site.operate(&["audit", "log", "--verb", verb]).await;
        for words in [key, "127.0.0.1", why] {
            assert!(log.contains(words), "{words}\n{log}");
        }
    }
}

/// The operator sees everybody; an engine and each worker see that they may do what they must.
async fn the_doctor_finds_everybody_to_have_what_he_needs(site: &Site) {
    let checked = site.tries("alice", &["doctor", "--json"]).await;
    let checked = String::from_utf8_lossy(&checked.stdout).into_owned();
    for system in SYSTEMS {
        assert!(checked.contains(&format!("\"{system}\"")), "{system}\n{checked}");
    }
    for words in ["no worker of", "does not answer"] {
        assert!(!checked.contains(words), "{checked}");
    }
    let workers = SYSTEMS.into_iter().map(|system| (system, "worker"));
    for (user, role) in [("alice", "operator"), ("engine", "engine")].into_iter().chain(workers) {
        let told = site.tries(user, &["doctor", "--role", role, "--json"]).await;
        let findings: Value = serde_json::from_slice(&told.stdout).expect("findings");
        let mut findings = findings.as_array().expect("findings").iter();
        let found = findings.find(|finding| finding["check"] == "permissions");
        let found = found.unwrap_or_else(|| panic!("{user}: {told:?}"));
        assert_eq!(found["verdict"], "ok", "{user} as {role}: {found}");
        assert!(told.status.success(), "{user} as {role}: {told:?}");
    }
}

/// What an owner is refused is kept with the key of whoever asked.
async fn who_asks_in_vain_is_named(site: &Site, john: &Visitor) {
    let twice = json!({ "name": "dev", "cpu_cores": 2, "memory_gb": 4 });
    let refused = asked(john, "stead.api.john.workspace.create", twice).await;
    assert_eq!(refused["refused"]["code"], "workspace.exists", "{refused}");
    let key = public_key(&site.seeds["john"]).expect("a key");
    until("the audit tells of it", || async {
        let log = site.operate(&["audit", "log", "--verb", "create", "--by", &key]).await;
        let line = log.lines().find(|line| line.contains("[workspace.exists]"))?.to_owned();
        (line.contains(&key) && line.contains("127.0.0.1")).then_some(())
    })
    .await;
}

/// The server has refused nothing that a process tried, and no process has told a seed.
fn nobody_complains(site: &Site) {
    let said = site.said();
    assert!(!said.contains("complains"), "{}\n{said}", site.folder().display());
    assert!(site.seeds.values().all(|seed| !said.contains(seed)), "a seed was said");
}

/// A user makes a backup, all is lost, another one brings it back, and an engine goes on.
async fn all_of_it_is_lost_and_restored(site: &mut Site, run: &str) {
    let place = site.folder().join("backup").display().to_string();
    let made = site.tries("backup", &["backup", "create", &place]).await;
    assert!(made.status.success(), "{made:?}");
    site.processes.drain(..).for_each(Process::kill9);
    site.nats.lose_store().await;
    until("it is restored", || async {
        let restored = site.tries("restorer", &["backup", "restore", &place]).await;
        restored.status.success().then_some(())
    })
    .await;
    site.start("engine", &["engine"]);
    until("the engine owns every partition", || site.try_operate(&["run", "list"])).await;
    assert!(site.operate(&["run", "history", run]).await.contains("run-started"));
    site.operate(&["audit", "verify"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_system_runs_with_the_narrowest_rights() {
    let mut site = Site::open().await;
    until("an engine owns every partition", || site.try_operate(&["run", "list"])).await;
    let (john, demo) = (site.visitor("john").await, site.visitor("demo").await);
    let mut events = john.listen("stead.evt.john.>").await;

    let order = json!({ "name": "dev", "cpu_cores": 2, "memory_gb": 4 });
    let created = asked(&john, "stead.api.john.workspace.create", order).await;
    assert!(created["accepted"]["outcome"]["done"].is_object(), "{created}\n{}", site.said());
    let run = created["accepted"]["run"].as_str().expect("a run");
    check_whole(&site.lab, "john");
    let (subject, _) = next(&mut events).await;
    assert!(subject.contains(run), "{subject}");

    who_asks_in_vain_is_named(&site, &john).await;
    let refused = asked(&demo, "stead.api.demo.run.show", json!({ "run": run })).await;
    assert!(refused["refused"].is_object(), "{refused}");
    let dashboard = site.visitor("grafana").await;
    let seen = asked(&dashboard, "stead.api.john.workspace.list", json!({})).await;
    assert!(seen["runs"].to_string().contains(run), "{seen}");
    let service = dashboard.ask("$SRV.PING.stead", &[], String::new()).await;
    assert!(String::from_utf8_lossy(&service).contains("stead"));

    assert!(site.operate(&["workspace", "list", "--owner", "john"]).await.contains("dev"));
    let history = site.operate(&["run", "history", run]).await;
    for words in
        ["run-started", &public_key(&site.seeds["john"]).expect("a key"), "127.0.0.1", "a test"]
    {
        assert!(history.contains(words), "{words}\n{history}");
    }
    assert!(!history.contains("forged") && !history.contains("6.6.6.6"), "{history}");
    site.operate(&["replay", run]).await;
    site.operate(&["limits"]).await;
    assert!(site.operate(&["ledger"]).await.contains("truenas"));
    the_doctor_finds_everybody_to_have_what_he_needs(&site).await;
    site.operate(&["archive", "now"]).await;
    a_look_at_it(&site, run).await;
    let stopped = site.operate(&["workspace", "stop", "dev", "--owner", "john", "--json"]).await;
    assert!(stopped.contains(run), "{stopped}");

    each_worker_has_what_it_needs_in_vault(&site).await;
    no_worker_has_more_in_vault(&site).await;
    a_push_is_deployed(&site).await;
    a_build_is_handed_over(&site).await;

    // The inbox keeps it; the answer is the place that it has there.
    let kept = asked(&john, "stead.cmd.john.workspace.delete", json!({ "name": "dev" })).await;
    assert_eq!(kept["stream"], "STEAD_INBOX", "{kept}");
    let is_gone = |inventory: &Inventory| {
        Inventory { template_versions: Vec::new(), ..inventory.clone() }.is_empty()
    };
    within("it is deleted", site.lab.until(is_gone)).await;
    check_gone(&site.lab, "john");
    site.operate(&["archive", "now"]).await;
    site.operate(&["archive", "verify"]).await;
    site.operate(&["audit", "verify"]).await;

    let alice = public_key(&site.seeds["alice"]).expect("a key");
    an_operator_is_named(&site, &alice).await;
    nobody_complains(&site);
    all_of_it_is_lost_and_restored(&mut site, run).await;
    nobody_complains(&site);
}
