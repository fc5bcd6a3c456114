//! Who may do what: a server that is configured as `stead nats config` prints it, and everybody
//! who tries what he may not do. That everything else works is told in the tests of the whole.

use stead_nats::access::{
    Role, ServerSettings, User, accounts, inbox_prefix, new_seed, public_key, server,
};
use stead_nats::testing::{NatsServer, Visitor};
use stead_nats::{
    ConnectSettings, Login, NatsLog, Platform, PlatformSettings, connect, open_platform,
};
use stead_runtime::ports::EventLog;
use stead_schemas::ids::Partition;
use stead_schemas::owner::Owner;

/// A server, and everybody who may connect to it.
struct Site {
    server: NatsServer,
    platform: Platform,
    users: Vec<(Role, String)>,
}

impl Site {
    async fn open() -> Self {
        let owner = |name| Role::Owner(Owner::new(name).expect("a name"));
        let worker = |system: &str| Role::Worker(system.to_owned());
        let roles = [
            Role::Engine,
            worker("proxmox"),
            worker("guest"),
            Role::Backup,
            Role::Restorer,
            Role::Operator,
            Role::Dashboard,
            Role::Webhook,
            Role::Provisioner,
            owner("john"),
            owner("jane.doe"),
        ];
        let users = roles.map(|role| (role, new_seed().expect("a seed"))).to_vec();
        let server = NatsServer::start_with(&accounts(&configured(&users))).await;
        let login = Login::Key(users[0].1.clone());
        let settings = ConnectSettings { login, ..ConnectSettings::new(server.url(), "test") };
        let connection = connect(&settings).await.expect("an engine may connect");
        let settings = PlatformSettings { partitions: Some(2), replicas: 1 };
        let platform = open_platform(&connection, settings).await.expect("a platform");
        Self { server, platform, users }
    }

    fn seed(&self, role: &Role) -> &str {
        let found = self.users.iter().find(|(known, _)| known == role);
        &found.expect("a user").1
    }

    async fn visitor(&self, role: &Role) -> Visitor {
        Visitor::connect(&self.server.url(), self.seed(role)).await
    }

    /// Where somebody else is answered.
    fn other_inbox(&self, role: &Role) -> String {
        let other = self.users.iter().find(|(other, _)| other != role).expect("another");
        inbox_prefix(&public_key(&other.1).expect("a key"))
    }

    async fn refuses(&self, role: &Role, publish: &[&str], listen: &[&str]) {
        let visitor = self.visitor(role).await;
        let theirs = self.other_inbox(role);
        for subject in [publish, &[&format!("{theirs}.x")]].concat() {
            let is_engine = *role == Role::Engine && subject.starts_with("_INBOX");
            assert!(is_engine || !visitor.may_publish(subject).await, "{role:?} to {subject}");
        }
        for subject in [listen, &["_INBOX.>", "_R_.>", &format!("{theirs}.>")]].concat() {
            assert!(!visitor.may_listen(subject).await, "{role:?} hears {subject}");
        }
    }

    async fn log_ends_at(&self) -> u64 {
        let log = NatsLog::new(&self.platform);
        log.last(Partition(0), 0).await.expect("the log can be read")
    }
}

fn configured(users: &[(Role, String)]) -> Vec<User> {
    let user = |(role, seed): &(Role, String)| User {
        name: format!("{role:?}"),
        role: role.clone(),
        key: public_key(seed).expect("a key"),
    };
    users.iter().map(user).collect()
}

/// What only engines may publish.
const FOR_ENGINES: [&str; 14] = [
    "stead.log.0.0.workspace-27ytv97dprxd6njw-1",
    "stead.log.0.0._owner",
    "stead.archive.0.record",
    "stead.settings",
    "stead.lease",
    "stead.lease.p.0",
    "stead.evt.john.workspace.x.run-completed",
    "stead.step.proxmox.clone-vm",
    "stead.step-cancel",
    "stead.part.0.command",
    "stead.part.0.order",
    "stead.part.0.told.workspace-27ytv97dprxd6njw-1.3.0",
    "$JS.ACK.STEAD_INBOX.engines.1.1.1.1.1",
    "$JS.API.STREAM.MSG.GET.STEAD_LEASES",
];
/// What nobody may publish.
const FOR_NOBODY: [&str; 6] = [
    "$JS.API.STREAM.PURGE.STEAD_LOG_0_0",
    "$JS.API.STREAM.UPDATE.STEAD_LOG_0_0",
    "$JS.API.STREAM.UPDATE.STEAD_ARCHIVE",
    "$JS.API.STREAM.MSG.DELETE.STEAD_LOG_0_0",
    "$JS.API.CONSUMER.CREATE.STEAD_LOG_0_0.spy",
    "$SYS.REQ.SERVER.PING",
];
/// What only whoever makes backups may publish.
const FOR_BACKUPS: [&str; 2] =
    ["$JS.API.STREAM.SNAPSHOT.STEAD_LOG_0_0", "$JS.SNAPSHOT.ACK.STEAD_LOG_0_0.x"];
/// What only whoever restores one may publish.
const FOR_RESTORERS: [&str; 4] = [
    "$JS.API.STREAM.DELETE.STEAD_ARCHIVE",
    "$JS.API.STREAM.DELETE.STEAD_SETTINGS",
    "$JS.API.STREAM.RESTORE.STEAD_LOG_0_0",
    "$JS.SNAPSHOT.RESTORE.STEAD_LOG_0_0.x",
];
/// What only engines, which end epochs, and whoever restores a backup may publish.
const FOR_WHO_ENDS_LOGS: [&str; 1] = ["$JS.API.STREAM.DELETE.STEAD_LOG_0_0"];
/// What would be a way around the account's wall, if it were exported.
const BY_IMPORT: [&str; 4] = [
    "stead.js.STREAM.DELETE.STEAD_LOG_0_0",
    "stead.js.STREAM.PURGE.STEAD_LOG_0_0",
    "stead.js.STREAM.CREATE.STEAD_LOG_0_9",
    "stead.js.CONSUMER.CREATE.STEAD_INBOX.spy",
];
const READS: [&str; 4] = [
    "stead.js.STREAM.MSG.GET.STEAD_LEASES",
    "stead.js.STREAM.MSG.GET.STEAD_LOG_0_0",
    "stead.js.DIRECT.GET.STEAD_ARCHIVE",
    "stead.js.STREAM.NAMES",
];
const PARTS: [&str; 3] = ["stead.part.0.query", "stead.part.0.list", "stead.part.0.outside"];
const LISTENING: [&str; 10] = [
    ">",
    "stead.>",
    "stead.log.>",
    "stead.part.>",
    "stead.api.>",
    "stead.cmd.>",
    "stead.step.>",
    "stead.step.vault.*",
    "$JS.API.>",
    "$SYS.>",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_may_do_what_is_not_his() {
    let site = Site::open().await;
    let copies = [&FOR_BACKUPS[..], &FOR_RESTORERS].concat();
    let all = [&FOR_ENGINES[..], &FOR_NOBODY, &copies, &FOR_WHO_ENDS_LOGS, &BY_IMPORT].concat();
    let answer = "stead.part.0.answer.workspace-27ytv97dprxd6njw-1.3.1";
    let commands = ["stead.cmd.john.workspace.create", "stead.api.john.workspace.create"];
    let john = Role::Owner(Owner::new("john").expect("a name"));
    let jane = Role::Owner(Owner::new("jane.doe").expect("a name"));

    let events = ["stead.evt.>", "stead.evt.john.>"];
    let forbidden = [&all[..], &READS, &PARTS, &commands, &[answer]].concat();
    site.refuses(&jane, &forbidden, &[&LISTENING[..], &events].concat()).await;

    let theirs = ["stead.cmd.jane%2Edoe.workspace.create", "stead.api.jane%2Edoe.workspace.show"];
    let forbidden = [&all[..], &READS, &PARTS, &theirs, &[answer]].concat();
    let events = ["stead.evt.>", "stead.evt.jane%2Edoe.>", "stead.step.guest.*"];
    site.refuses(&john, &forbidden, &[&LISTENING[..], &events].concat()).await;

    let forbidden = [&all[..], &READS, &PARTS, &commands].concat();
    let steps = ["stead.step.proxmox.*", "stead.evt.>"];
    let worker = Role::Worker("proxmox".to_owned());
    site.refuses(&worker, &forbidden, &[&LISTENING[..], &steps].concat()).await;

    let forbidden = [&all[..], &READS, &commands, &[answer, PARTS[1]]].concat();
    let steps = ["stead.step.guest.*", "stead.evt.>"];
    let guest = Role::Worker("guest".to_owned());
    site.refuses(&guest, &forbidden, &[&LISTENING[..], &steps].concat()).await;

    let forbidden = [&all[..], &[answer, PARTS[2]]].concat();
    site.refuses(&Role::Operator, &forbidden, &LISTENING).await;

    let forbidden = [&all[..], &READS, &PARTS, &commands, &[answer]].concat();
    site.refuses(&Role::Dashboard, &forbidden, &LISTENING).await;

    let others = ["stead.cmd.john.template.push", "stead.api.john.template.check"];
    let forbidden = [&all[..], &READS, &PARTS, &commands, &others, &[answer]].concat();
    let events = ["stead.evt.>", "stead.step.guest.*"];
    site.refuses(&Role::Webhook, &forbidden, &[&LISTENING[..], &events].concat()).await;
    let webhook = site.visitor(&Role::Webhook).await;
    assert!(webhook.may_publish("stead.cmd.john.template.check").await);

    let others = [
        "stead.api.john.run.cancel",
        "stead.api.john.workspace.list",
        "stead.api.john.workspace.rebuild",
        "stead.api.john.workspace.undelete",
        "stead.api.platform.template.push",
        "stead.cmd.john.workspace.delete",
    ];
    let forbidden = [&all[..], &READS, &PARTS[1..], &others, &commands[..1], &[answer]].concat();
    let events = ["stead.evt.>", "stead.evt.john.>", "stead.step.guest.*"];
    site.refuses(&Role::Provisioner, &forbidden, &[&LISTENING[..], &events].concat()).await;
    let provisioner = site.visitor(&Role::Provisioner).await;
    assert!(provisioner.may_publish(commands[1]).await);
    assert!(provisioner.may_listen("stead.evt.*.workspace.>").await);

    let inside: Vec<&str> =
        LISTENING.into_iter().filter(|subject| !engine_hears(subject)).collect();
    site.refuses(&Role::Engine, &[&FOR_NOBODY[..], &copies, &commands].concat(), &inside).await;
    let engine = site.visitor(&Role::Engine).await;
    assert!(engine.may_publish(FOR_WHO_ENDS_LOGS[0]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_makes_backups_writes_nothing_and_who_restores_one_appends_nothing() {
    let site = Site::open().await;
    let commands = ["stead.cmd.john.workspace.create", "stead.api.john.workspace.create"];
    let events = ["stead.evt.>", "stead.evt.john.>", "stead.step.guest.*"];
    let heard = [&LISTENING[..], &events].concat();
    // Both look at streams: that is the last of what is for engines.
    let (looks, for_engines) = FOR_ENGINES.split_last().expect("some");
    let forbidden = [for_engines, &FOR_NOBODY, &BY_IMPORT, &PARTS, &commands].concat();
    let restorers = [&FOR_RESTORERS[..], &FOR_WHO_ENDS_LOGS].concat();
    for (role, may, others) in [
        (Role::Backup, &FOR_BACKUPS[..], &restorers[..]),
        (Role::Restorer, &restorers, &FOR_BACKUPS),
    ] {
        site.refuses(&role, &[&forbidden[..], others].concat(), &heard).await;
        let visitor = site.visitor(&role).await;
        for subject in may.iter().chain([looks]) {
            assert!(visitor.may_publish(subject).await, "{role:?} to {subject}");
        }
    }
}

fn engine_hears(subject: &str) -> bool {
    ["stead.part.>", "stead.api.>"].contains(&subject)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_answered_where_he_may_not_write() {
    let site = Site::open().await;
    let before = site.log_ends_at().await;
    let target = "stead.log.0.0.workspace-27ytv97dprxd6njw-1";
    let john = site.visitor(&Role::Owner(Owner::new("john").expect("a name"))).await;
    john.publish("stead.cmd.john.workspace.create", target, "{}").await;
    let operator = site.visitor(&Role::Operator).await;
    operator.publish("stead.cmd.john.workspace.create", target, "{}").await;
    // The first message, whatever its number is.
    let first = "{\"seq\":1,\"next_by_subj\":\"stead.cmd.>\"}";
    operator.publish("stead.js.STREAM.MSG.GET.STEAD_INBOX", target, first).await;
    operator.publish("stead.js.STREAM.NAMES", target, "{}").await;
    // What the server was to answer has been answered when it answers this.
    let kept = operator.ask("stead.js.STREAM.MSG.GET.STEAD_INBOX", &[], first.to_owned()).await;
    assert!(String::from_utf8_lossy(&kept).contains("stead.cmd.john"), "the command is kept");
    assert_eq!(site.log_ends_at().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_does_not_come_in() {
    let site = Site::open().await;
    let stranger = Login::Key(new_seed().expect("a seed"));
    for login in [Login::None, stranger] {
        let settings = ConnectSettings { login, ..ConnectSettings::new(site.server.url(), "test") };
        let error = connect(&settings).await.err().expect("no connection");
        assert!(error.to_string().contains("refuses this login"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_a_certificate_is_reached_by_those_who_know_its_authority() {
    let file = |name: &str| format!("{}/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let settings = ServerSettings {
        name: "test".to_owned(),
        listen: "127.0.0.1:0".to_owned(),
        store: "nowhere".to_owned(),
        tls: Some((file("server.pem"), file("server-key.pem"))),
    };
    let users = [(Role::Engine, new_seed().expect("a seed"))];
    let whole = server(&settings, &configured(&users));
    let from_tls = whole.find("tls {").expect("it has a certificate");
    let running = NatsServer::launch_with(&whole[from_tls..]).await;
    let url = running.url().replace("nats://", "tls://");
    let knows = ConnectSettings {
        login: Login::Key(users[0].1.clone()),
        tls_ca: Some(file("ca.pem").into()),
        ..ConnectSettings::new(url, "test")
    };
    connect(&knows).await.expect("a connection");
    let patience = std::time::Duration::from_millis(300);
    let stranger = ConnectSettings { tls_ca: None, patience, ..knows.clone() };
    assert!(connect(&stranger).await.is_err(), "nobody has vouched for it");
}
