//! The stage: a nats-server, the lab, engines and a worker as processes of their own.

mod belongings;
mod binary;
pub mod chance;
pub mod collector;
mod desk;
pub mod effects;
mod events;
pub mod histories;
pub mod ledger;
mod people;
mod process;
mod streams;
mod terminal;
mod wait;
mod wire;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;
use std::time::Duration;

use stead_lab::{CallFault, Lab, LabOptions, Provisioner};
use stead_nats::testing::{NatsCluster, NatsServer};
use stead_nats::{ConnectSettings, Keys, PlatformSettings, SteadClient, connect, open_platform};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use belongings::{Belongings, belongings, check_gone, check_whole};
pub use binary::{binary, other_build};
pub use desk::Desk;
pub use events::{Events, Seen};
pub use ledger::{check_ledger, check_ledger_after};
pub use people::People;
pub use process::Process;
pub use streams::Streams;
pub use terminal::Terminal;
pub use wait::{until, within};
pub use wire::Wire;

/// How long a vendor's call takes where a test wants to find steps half done.
pub const CALL: Duration = Duration::from_millis(12);
/// Stages that may stand at once: each is four processes and a lab.
const STAGES_MAX: usize = 2;

/// Engines of a stage that can show metrics.
const ENGINES_MAX: usize = 2;

/// How a stage is set.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub partitions: u16,
    /// How many servers there are, which keep each message: one or three.
    pub replicas: usize,
    pub engines: usize,
    /// What the processes log.
    pub log: &'static str,
    /// Whether they log for machines.
    pub log_json: bool,
    /// How long a worker may be silent, in milliseconds.
    pub silence_ms: u32,
    /// How long homes and deleted workspaces are kept, in seconds.
    pub grace_seconds: u32,
    /// Where engines and, last, the worker serve metrics, if they do.
    pub metrics: Option<[SocketAddr; ENGINES_MAX + 1]>,
    /// Who collects traces, if somebody does.
    pub traces: Option<SocketAddr>,
    /// How long a bucket is kept that is to go with what it holds.
    pub bucket_grace_seconds: u32,
    /// What stands in the site file besides.
    pub site: &'static str,
    /// Whether engines and workers are of another build than the one that people use.
    pub other_build: bool,
    /// Whether Authentik is asked who may own workspaces.
    pub authentik: bool,
    /// The keys to what lies on the server's disk, if it is to be encrypted.
    pub keys: &'static str,
    /// Whether the lab keeps what it answers.
    pub keeps_answers: bool,
}

impl Setting {
    fn build(&self) -> &'static Path {
        if self.other_build { other_build() } else { binary() }
    }
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            partitions: 2,
            replicas: 1,
            engines: 1,
            log: "info",
            log_json: false,
            silence_ms: 600,
            grace_seconds: 0,
            metrics: None,
            traces: None,
            bucket_grace_seconds: 7 * 86_400,
            site: "",
            other_build: false,
            authentik: false,
            keys: "",
            keeps_answers: false,
        }
    }
}

/// See the module's head.
pub struct Stage {
    pub nats: NatsServer,
    /// The other servers of a cluster.
    pub others: Vec<NatsServer>,
    pub lab: Lab,
    pub engines: Vec<Option<Process>>,
    pub worker: Option<Process>,
    pub client: SteadClient,
    pub events: Events,
    setting: Setting,
    people: People,
    seed_port: u16,
    dir: TempDir,
    _place: SemaphorePermit<'static>,
}

impl Stage {
    pub async fn start() -> Self {
        Self::with(Setting::default()).await
    }

    pub async fn with(setting: Setting) -> Self {
        let place = places().acquire().await.expect("it is never closed");
        let dir = tempfile::tempdir().expect("a folder");
        let (nats, others) = servers(setting.replicas).await;
        let url = url_of(&nats, &others);
        let options = LabOptions { keeps_answers: setting.keeps_answers, ..LabOptions::default() };
        let lab = Lab::start(options).await.expect("the lab starts");
        let site = lab.site_toml() + setting.site;
        std::fs::write(dir.path().join("site.toml"), site).expect("a file");
        let environment = environment(&setting, &url, &lab, &dir, 0, 0);
        let log = dir.path().join("engine-0.log");
        let first = Process::start_build(setting.build(), &["engine"], &environment, &log);
        let client = client((&nats, url), &first, setting.keys).await;
        let events = Events::watch(&client).await;
        let people = People::meet(&lab).await;
        let (engines, worker) = (vec![Some(first)], None);
        let seed_port = free_port();
        let mut stage = Self {
            nats,
            others,
            lab,
            engines,
            worker,
            client,
            events,
            setting,
            people,
            seed_port,
            dir,
            _place: place,
        };
        stage.engines.resize_with(setting.engines, || None);
        for number in 1..setting.engines {
            stage.start_engine(number);
        }
        stage.start_worker();
        stage
    }

    /// Gives every process that is started from now on these keys.
    pub fn give_keys(&mut self, keys: &'static str) {
        self.setting.keys = keys;
    }

    /// Starts engine number `number`, anew if it ran before.
    pub fn start_engine(&mut self, number: usize) {
        let log = self.dir.path().join(format!("engine-{number}.log"));
        let environment = self.environment(number);
        let build = self.setting.build();
        self.engines[number] = Some(Process::start_build(build, &["engine"], &environment, &log));
    }

    /// The same, as if it were of this build.
    pub fn start_engine_of(&mut self, number: usize, build: &str) {
        self.start_engine_with(number, &[("STEAD_BUILD", build.to_owned())]);
    }

    /// The same with more in its environment.
    pub fn start_engine_with(&mut self, number: usize, more: &[(&str, String)]) {
        let log = self.dir.path().join(format!("engine-{number}.log"));
        let mut environment = self.environment(number);
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        self.engines[number] = Some(Process::start(&["engine"], &environment, &log));
    }

    /// Starts one more worker, of every system but the guests, whose address is taken.
    pub fn one_more_worker(&self) -> Process {
        let systems = "coder,probe,proxmox,s3,truenas,vault";
        let log = self.dir.path().join("worker-2.log");
        let mut environment = self.environment(0);
        let seeds = format!("http://127.0.0.1:{}", self.seed_port);
        environment.push(("STEAD_GUEST_PUBLIC_URL".to_owned(), seeds));
        Process::start(&["worker", "--systems", systems], &environment, &log)
    }

    /// Asks the worker to end in good order and waits until it has.
    pub async fn stop_worker(&mut self) {
        self.worker.take().expect("the worker runs").stop().await;
    }

    /// A place for files of this stage.
    pub fn place(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What a person gets who gives `stead` these words.
    pub async fn verb(&self, words: &[&str]) -> Output {
        self.verb_with(words, &[]).await
    }

    /// The same with more in the environment.
    pub async fn verb_with(&self, words: &[&str], more: &[(&str, String)]) -> Output {
        let mut environment = self.environment(0);
        environment.push(("STEAD_LOG".to_owned(), "error".to_owned()));
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Process::carry_out(words, &environment).await
    }

    /// Another process, that nobody else on the stage knows; it says things in a log of this name.
    pub fn process(&self, words: &[&str], log: &str) -> Process {
        self.process_with(words, &[], log)
    }

    /// The same with more in its environment.
    pub fn process_with(&self, words: &[&str], more: &[(&str, String)], log: &str) -> Process {
        let mut environment = self.environment(0);
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Process::start(words, &environment, &self.dir.path().join(log))
    }

    /// What somebody gets who gives `stead` these words on a machine that knows no platform.
    pub async fn verb_alone(&self, words: &[&str]) -> Output {
        Process::carry_out(words, &[("STEAD_LOG".to_owned(), "error".to_owned())]).await
    }

    pub fn start_worker(&mut self) {
        let log = self.dir.path().join("worker.log");
        let (build, environment) = (self.setting.build(), self.environment(0));
        self.worker = Some(Process::start_build(build, &["worker"], &environment, &log));
    }

    /// The engine that runs under this number.
    pub fn engine(&self, number: usize) -> &Process {
        self.engines[number].as_ref().expect("the engine runs")
    }

    pub fn kill_engine(&mut self, number: usize) {
        self.engines[number].take().expect("the engine runs").kill9();
    }

    pub async fn stop_engine(&mut self, number: usize) {
        self.engines[number].take().expect("the engine runs").stop().await;
    }

    pub fn kill_worker(&mut self) {
        self.worker.take().expect("the worker runs").kill9();
    }

    /// Where everything lies that its processes write.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Where an engine keeps its index.
    pub fn index(&self, number: usize) -> PathBuf {
        self.dir.path().join(format!("index-{number}"))
    }

    /// Where the first engine and the worker show metrics.
    pub fn metrics(&self) -> Vec<SocketAddr> {
        let shown = self.setting.metrics.iter();
        shown.flat_map(|addresses| [addresses[0], addresses[ENGINES_MAX]]).collect()
    }

    /// Everything that the processes have said.
    pub fn said(&self) -> Vec<(PathBuf, String)> {
        let files = std::fs::read_dir(self.dir.path()).expect("the folder");
        let paths = files.map(|file| file.expect("an entry").path());
        let logs = paths.filter(|path| path.extension().is_some_and(|end| end == "log"));
        logs.map(|path| (path.clone(), std::fs::read_to_string(path).expect("a log"))).collect()
    }

    /// An owner at this stage.
    pub async fn desk(&self, owner: &str) -> Desk {
        self.people.welcome(owner).await;
        Desk::new(owner, &self.client, &self.events)
    }

    /// Has builds in Coder hand over to `stead`, as the template does that is shipped. Returns who
    /// presses there.
    pub fn press_in_coder(&self) -> &People {
        let mut environment = self.environment(0);
        environment.push(("STEAD_LOG".to_owned(), "error".to_owned()));
        self.lab.provision_with(Provisioner { program: binary().to_owned(), environment });
        &self.people
    }

    /// Makes every vendor call take this long, until the lab is mended.
    pub fn slow_down(&self, call: Duration) {
        for vendor in ["vault", "proxmox", "truenas", "coder"] {
            self.lab.break_call(vendor, "", CallFault::Delay(call)).expect("a vendor");
        }
    }

    /// A look at the streams.
    pub async fn streams(&self) -> Streams {
        Streams::open(self.nats.port()).await
    }

    /// Ends the play: every history in the log is whole, and this build decides the same.
    pub async fn finish(self) {
        self.check_histories().await;
    }

    /// Checks every history; returns how many there are.
    pub async fn check_histories(&self) -> usize {
        let all = histories::histories(&mut self.streams().await).await;
        assert!(!all.is_empty(), "something was done on this stage");
        for (run, history) in &all {
            histories::check(run, history);
        }
        all.len()
    }

    fn environment(&self, number: usize) -> Vec<(String, String)> {
        let url = url_of(&self.nats, &self.others);
        environment(&self.setting, &url, &self.lab, &self.dir, self.seed_port, number)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Whoever looks for the cause wants the logs.
            self.dir.disable_cleanup(true);
            let kept = self.dir.path().display();
            let _ = std::fs::write(self.dir.path().join("nats.log"), self.nats.log());
            complain(&format!("the logs of the failed stage are kept in {kept}"));
        }
    }
}

#[expect(clippy::print_stderr, reason = "a test that fails says where its logs are")]
fn complain(words: &str) {
    eprintln!("{words}");
}

fn places() -> &'static Semaphore {
    static PLACES: OnceLock<Semaphore> = OnceLock::new();
    PLACES.get_or_init(|| Semaphore::new(STAGES_MAX))
}

/// The first server, and the others if there is to be a cluster.
async fn servers(replicas: usize) -> (NatsServer, Vec<NatsServer>) {
    if replicas == 1 {
        return (NatsServer::start().await, Vec::new());
    }
    let mut others = NatsCluster::start().await.servers;
    (others.remove(0), others)
}

fn url_of(nats: &NatsServer, others: &[NatsServer]) -> String {
    let urls: Vec<String> = [nats].into_iter().chain(others).map(NatsServer::url).collect();
    urls.join(",")
}

/// A client, as soon as the first engine has set the platform up.
async fn client((nats, url): (&NatsServer, String), engine: &Process, keys: &str) -> SteadClient {
    let keys = if keys.is_empty() { Keys::default() } else { Keys::read(keys).expect("keys") };
    let settings = ConnectSettings { keys, ..ConnectSettings::new(url, "test") };
    let connection = connect(&settings).await.expect("a connection");
    let settings = PlatformSettings { partitions: None, replicas: 1 };
    let what = format!("the engine sets the platform up\n{}", engine.said());
    let platform = until(&what, || async {
        let platform = open_platform(&connection, settings).await.ok()?;
        let leases = Streams::open(nats.port()).await.names().await;
        leases.iter().any(|name| name == "STEAD_LEASES").then_some(platform)
    });
    SteadClient::new(&platform.await)
}

/// What every process of the stage finds in its environment; the rest stands in the site file.
fn environment(
    setting: &Setting,
    url: &str,
    lab: &Lab,
    dir: &TempDir,
    seed_port: u16,
    number: usize,
) -> Vec<(String, String)> {
    let path = |name: &str| dir.path().join(name).display().to_string();
    let login = lab.credentials();
    let pairs = [
        ("STEAD_CONFIG", path("site.toml")),
        ("STEAD_LOG", setting.log.to_owned()),
        ("STEAD_LOG_JSON", setting.log_json.to_string()),
        ("STEAD_NATS_URL", url.to_owned()),
        ("STEAD_ENGINE_PARTITIONS", setting.partitions.to_string()),
        ("STEAD_ENGINE_REPLICAS", setting.replicas.to_string()),
        ("STEAD_ENGINE_INDEX", path(&format!("index-{number}"))),
        ("STEAD_STEP_SILENCE_MS", setting.silence_ms.to_string()),
        ("STEAD_TRUENAS_GRACE_SECONDS", setting.grace_seconds.to_string()),
        ("STEAD_S3_GRACE_SECONDS", setting.bucket_grace_seconds.to_string()),
        // Only `stead webhook` opens it.
        ("STEAD_FORGEJO_WEBHOOK_LISTEN", "127.0.0.1:0".to_owned()),
        // Guests keep the address they were made with, so it outlives the worker.
        ("STEAD_GUEST_LISTEN", format!("127.0.0.1:{seed_port}")),
        ("STEAD_VAULT_ROLE_ID", "env:LAB_ROLE_ID".to_owned()),
        ("STEAD_VAULT_SECRET_ID", "env:LAB_SECRET_ID".to_owned()),
        ("LAB_ROLE_ID", login.vault_role_id.clone()),
        ("LAB_SECRET_ID", login.vault_secret_id.clone()),
    ];
    let keys =
        (!setting.keys.is_empty()).then(|| ("STEAD_ENCRYPTION_KEYS", setting.keys.to_owned()));
    let metrics = setting.metrics.iter().flat_map(|addresses| {
        let engine = addresses.get(number).filter(|_| number < ENGINES_MAX);
        let engine = engine.map(|address| ("STEAD_ENGINE_METRICS", address.to_string()));
        let worker = ("STEAD_WORKERS_METRICS", addresses[ENGINES_MAX].to_string());
        let often = ("STEAD_DRIFT_COUNT_MS", "500".to_owned());
        engine.into_iter().chain([worker, often])
    });
    let authentik = setting.authentik.then(|| {
        let secret = "vault:secret/data/authentik/api".to_owned();
        let address = lab.addresses().authentik_url.clone();
        [("STEAD_AUTHENTIK_ADDRESS", address), ("STEAD_AUTHENTIK_SECRET", secret)]
    });
    let authentik = authentik.into_iter().flatten();
    let traces = setting.traces.map(|to| ("STEAD_TRACES_ENDPOINT", format!("http://{to}")));
    let pairs = pairs.into_iter().chain(keys).chain(metrics).chain(traces).chain(authentik);
    pairs.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Where webhooks come in, once a process has said it.
pub fn door_of(said: &str) -> Option<String> {
    let (_, url) = said.rsplit_once("webhooks come in at ")?;
    url.contains('\n').then(|| url.lines().next().unwrap_or_default().trim().to_owned())
}

/// Addresses at which nobody listens, for everything of a stage that shows metrics.
pub fn free_addresses() -> [SocketAddr; ENGINES_MAX + 1] {
    // All are held until all are known, or two of them could be the same.
    let listeners: [TcpListener; ENGINES_MAX + 1] =
        std::array::from_fn(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("an address"))
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}
