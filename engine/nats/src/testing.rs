//! Nats-servers of one's own, for tests: they can be killed, restarted and held.
//!
//! The program is taken from `STEAD_NATS_SERVER`, else from `.tools` in the workspace, else from
//! the search path. Everything here panics when it fails: there is no test without a server.

mod visitor;

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use crate::connect::{ConnectError, ConnectSettings, Connection, connect};

pub use visitor::{Visitor, next};

/// Where `.tools` keeps the program, seen from the workspace's root.
const IN_TOOLS: &str = ".tools/nats-server-2.15.1/nats-server";
/// How long the server may take to start.
const START_WITHIN: Duration = Duration::from_secs(30);
/// How often we look whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A running nats-server with JetStream, which syncs every write. Killed when dropped.
pub struct NatsServer {
    dir: TempDir,
    port: u16,
    child: Option<Child>,
}

impl NatsServer {
    /// Starts a server on a free port, with an empty store.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same with more lines in its configuration.
    pub async fn start_with(more: &str) -> Self {
        let server = Self::launch("test", more).await;
        server.until_ready().await;
        server
    }

    /// The same for one that is spoken to in a way which only the test knows: whether it is ready
    /// is not looked at.
    pub async fn launch_with(more: &str) -> Self {
        Self::launch("test", more).await
    }

    /// Starts a server without waiting until JetStream is ready.
    async fn launch(name: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut server = Self { dir, port: 0, child: None };
        // Port -1: the server picks a free one and writes down which.
        server.write_config(name, -1, more);
        server.spawn();
        server.port = server.port_written_down().await;
        server.write_config(name, i32::from(server.port), more);
        server
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port at which it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A connection to it.
    pub async fn connect(&self) -> Connection {
        connect(&ConnectSettings::new(self.url(), "test")).await.expect("a connection")
    }

    /// Kills it without a word.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("nats-server can be killed");
            child.wait().expect("nats-server ends when killed");
        }
    }

    /// Starts it again on the same port and the same store.
    pub async fn restart(&mut self) {
        self.kill9();
        self.spawn();
        self.until_ready().await;
    }

    /// Loses all that it kept, as with its disk, and starts it again on the same port.
    pub async fn lose_store(&mut self) {
        self.kill9();
        fs::remove_dir_all(self.store()).expect("the store can be deleted");
        self.spawn();
        self.until_ready().await;
    }

    /// Stops it in its tracks; connections stay open and nothing answers.
    pub fn pause(&self) {
        self.signal("-STOP");
        // Threads that are running on another processor go on for a moment.
        while self.has_a_running_thread() {
            std::thread::yield_now();
        }
    }

    /// Whether one of its threads is not stopped yet, where the system tells (Linux does).
    fn has_a_running_thread(&self) -> bool {
        let pid = self.child.as_ref().expect("nats-server runs").id();
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let mut states = threads.filter_map(|it| fs::read_to_string(it.path().join("stat")).ok());
        // `17 (nats-server) T 1 ..`: the state stands behind the name.
        states.any(|stat| stat.rsplit_once(") ").is_some_and(|(_, it)| !it.starts_with('T')))
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// The folder in which it keeps everything.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().expect("nats-server runs").id().to_string();
        let done = Command::new("kill").args([signal, &pid]).status().expect("`kill` runs");
        assert!(done.success(), "kill {signal} {pid}");
    }

    fn write_config(&self, name: &str, port: i32, more: &str) {
        let dir = self.dir.path().display();
        let config = format!(
            "server_name: \"{name}\"\nlisten: \"127.0.0.1:{port}\"\nports_file_dir: \"{dir}\"\n\
             jetstream {{ store_dir: \"{dir}/store\", sync_interval: always }}\n{more}\n"
        );
        fs::write(self.dir.path().join("nats.conf"), config).expect("a configuration file");
    }

    fn spawn(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .expect("a log file");
        let child = Command::new(program())
            .arg("-c")
            .arg(self.dir.path().join("nats.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("nats-server starts");
        self.child = Some(child);
    }

    async fn port_written_down(&self) -> u16 {
        let pid = self.child.as_ref().map_or(0, Child::id);
        let file = self.dir.path().join(format!("nats-server_{pid}.ports"));
        let deadline = Instant::now() + START_WITHIN;
        loop {
            if let Some(port) = port_in(&file) {
                return port;
            }
            assert!(Instant::now() < deadline, "nats-server has no port\n{}", self.log());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn until_ready(&self) {
        let deadline = Instant::now() + START_WITHIN;
        let settings =
            ConnectSettings { patience: START_WITHIN, ..ConnectSettings::new(self.url(), "probe") };
        let connection = match connect(&settings).await {
            Ok(connection) => connection,
            // It wants a login that only the test knows: it is there.
            Err(ConnectError::Login { .. }) => return,
            Err(error) => panic!("nats-server does not answer: {error}\n{}", self.log()),
        };
        while let Err(error) = connection.js.query_account().await {
            assert!(Instant::now() < deadline, "JetStream is not ready: {error}\n{}", self.log());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Three nats-servers that keep three copies of everything.
pub struct NatsCluster {
    /// The servers.
    pub servers: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts three servers and waits until they have a leader.
    pub async fn start() -> Self {
        let ports = free_ports(3);
        let routes: Vec<String> =
            ports.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
        let routes = routes.join(", ");
        let mut servers = Vec::new();
        for (port, name) in ports.iter().zip(["one", "two", "three"]) {
            // Clients know only the servers they were told of, so that a proxy before one of
            // them is not gone around.
            let more = format!(
                "cluster {{ name: test, listen: \"127.0.0.1:{port}\", routes: [{routes}], \
                 no_advertise: true }}"
            );
            servers.push(NatsServer::launch(name, &more).await);
        }
        for server in &servers {
            server.until_ready().await;
        }
        Self { servers }
    }

    /// The addresses of all servers.
    #[must_use]
    pub fn url(&self) -> String {
        let urls: Vec<String> = self.servers.iter().map(NatsServer::url).collect();
        urls.join(",")
    }

    /// A connection to one of them, which goes on to another when that one dies.
    pub async fn connect(&self) -> Connection {
        connect(&ConnectSettings::new(self.url(), "test")).await.expect("a connection")
    }
}

/// Ports that were free a moment ago.
fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
    listeners.iter().map(port).collect()
}

fn port_in(file: &Path) -> Option<u16> {
    let text = fs::read_to_string(file).ok()?;
    let ports: serde_json::Value = serde_json::from_str(&text).ok()?;
    let url = ports.get("nats")?.get(0)?.as_str()?;
    url.rsplit(':').next()?.parse().ok()
}

/// The nats-server to run.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("STEAD_NATS_SERVER") {
        return PathBuf::from(named);
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_tools = here.ancestors().map(|dir| dir.join(IN_TOOLS)).find(|path| path.is_file());
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|dir| dir.join("nats-server")).find(|path| path.is_file())
    };
    in_tools.or_else(on_path).unwrap_or_else(|| {
        panic!("no nats-server: name one in STEAD_NATS_SERVER, or put one at {IN_TOOLS}")
    })
}
