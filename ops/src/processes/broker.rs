//! A nats-server of one's own: JetStream in a folder, fsync on every write, a free port of
//! 127.0.0.1.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::sandbox::soon;
use super::{Order, Process};
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
    /// Starts it, with all that it writes beneath `folder`.
    pub async fn start(program: &Path, folder: &Path) -> Result<Self, Ended> {
        let config = folder.join("nats.conf");
        let shown = folder.display();
        // Port -1: the server takes a free one and writes down which.
        let text = format!(
            "server_name: \"stead\"\nlisten: \"127.0.0.1:-1\"\nports_file_dir: \"{shown}\"\n\
             jetstream {{ store_dir: \"{shown}/store\", sync_interval: always }}\n"
        );
        std::fs::write(&config, text).map_err(|error| {
            Ended::Failed(format!("cannot write {}: {error}", config.display()))
        })?;
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
