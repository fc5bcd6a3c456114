//! A nats-server of one's own, or a cluster of them: JetStream in a folder, fsync on every write,
//! free ports of 127.0.0.1.

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::sandbox::soon;
use super::{Order, Process};
use crate::assemble;
use crate::config::NatsConfig;
use crate::exit::Ended;

/// A running nats-server.
pub struct Broker {
    /// What keeps it.
    pub keeper: Process,
    /// Its own number.
    pub pid: u32,
    /// Where it listens.
    pub url: String,
}

impl Broker {
    /// Starts one, or as many as are to keep a copy of everything each, with all that they write
    /// beneath `folder`; waits until JetStream answers on each.
    pub async fn start(program: &Path, folder: &Path, servers: usize) -> Result<Vec<Self>, Ended> {
        let routes = if servers > 1 { free_ports(servers)? } else { Vec::new() };
        let mut brokers = Vec::new();
        for number in 1..=servers {
            let folder = folder.join(format!("nats-{number}"));
            std::fs::create_dir_all(&folder).map_err(|error| not_written(&folder, &error))?;
            brokers.push(Self::launch(program, &folder, number, &routes).await?);
        }
        for broker in &brokers {
            broker.until_ready().await?;
        }
        Ok(brokers)
    }

    async fn launch(
        program: &Path,
        folder: &Path,
        number: usize,
        routes: &[u16],
    ) -> Result<Self, Ended> {
        let config = folder.join("nats.conf");
        let shown = folder.display();
        // Port -1: the server takes a free one and writes down which.
        let text = format!(
            "server_name: \"stead-{number}\"\nlisten: \"127.0.0.1:-1\"\n\
             ports_file_dir: \"{shown}\"\n\
             jetstream {{ store_dir: \"{shown}/store\", sync_interval: always }}\n{}",
            cluster(number, routes)
        );
        std::fs::write(&config, text).map_err(|error| not_written(&config, &error))?;
        let mut arguments: Vec<OsString> = vec!["keep".into(), "--".into()];
        arguments.extend([program.into(), "-c".into(), config.into()]);
        let environment = Vec::new();
        let keeper =
            Process::start(&Order { name: "nats-server", arguments, environment, logs: folder })?;
        let listening = soon("nats-server listens", async || port_in(folder));
        let (pid, url) = tokio::select! {
            listening = listening => listening?,
            broken = keeper.broken() => return Err(broken),
        };
        Ok(Self { keeper, pid, url })
    }

    /// In a cluster that takes until its servers have agreed on a leader.
    async fn until_ready(&self) -> Result<(), Ended> {
        let nats = NatsConfig { url: self.url.clone(), ..NatsConfig::default() };
        let ready = soon("JetStream answers", async || {
            let connection = assemble::connection(&nats, "stead-bench").await.ok()?;
            connection.has_jetstream().await.then_some(())
        });
        tokio::select! {
            ready = ready => ready,
            broken = self.keeper.broken() => Err(broken),
        }
    }
}

/// What makes servers one cluster; nothing for one alone.
fn cluster(number: usize, routes: &[u16]) -> String {
    let Some(own) = routes.get(number - 1) else { return String::new() };
    let all = routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\""));
    let all = all.collect::<Vec<_>>().join(", ");
    format!("cluster {{ name: stead, listen: \"127.0.0.1:{own}\", routes: [{all}] }}\n")
}

/// Ports that were free a moment ago. Servers of a cluster must know each other's before they
/// are up.
fn free_ports(count: usize) -> Result<Vec<u16>, Ended> {
    let failed = |error| Ended::Failed(format!("there is no free port on 127.0.0.1: {error}"));
    let taken = (0..count).map(|_| TcpListener::bind("127.0.0.1:0"));
    // All are held until each is known, so that none is given twice.
    let taken: Vec<TcpListener> = taken.collect::<Result<_, _>>().map_err(failed)?;
    let ports = taken.iter().map(|port| Ok(port.local_addr()?.port()));
    ports.collect::<Result<_, _>>().map_err(failed)
}

fn not_written(path: &Path, error: &std::io::Error) -> Ended {
    Ended::Failed(format!("cannot write {}: {error}", path.display()))
}

/// What the program says its version is: `2.15.1`.
pub async fn version(program: &Path) -> Result<String, Ended> {
    let failed = |words: String| {
        let words = format!(
            "{} is no nats-server that runs here: {words}; name one with --nats-server",
            program.display()
        );
        Ended::Usage(words)
    };
    let said = Command::new(program).arg("--version").stdin(Stdio::null()).output().await;
    let said = said.map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    match said.strip_prefix("nats-server: v") {
        Some(version) => Ok(version.to_owned()),
        None => Err(failed(format!("it says `{}`", said.lines().next().unwrap_or_default()))),
    }
}

/// The server's number and address, once it has written down which port it took.
fn port_in(folder: &Path) -> Option<(u32, String)> {
    let files = std::fs::read_dir(folder).ok()?;
    let mut paths = files.filter_map(|file| Some(file.ok()?.path()));
    let file: PathBuf = paths.find(|path| path.extension().is_some_and(|end| end == "ports"))?;
    let pid = file.file_stem()?.to_str()?.rsplit_once('_')?.1.parse().ok()?;
    let ports: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).ok()?).ok()?;
    let url = ports.get("nats")?.get(0)?.as_str()?;
    Some((pid, url.to_owned()))
}
