//! Processes that a verb starts for itself, as the demo and the benchmarks do.
//!
//! None of them outlives whoever started it, however that one ends: each child has a pipe on its
//! standard input that ends with its parent, and ends itself then (`parent.rs`). A program that
//! cannot do so runs beneath `stead keep`. Each child is in a process group of its own, so that
//! a terminal's Ctrl-C reaches the parent alone, which puts its house in order.
//!
//! Read next: `sandbox.rs`, a whole platform in a temporary folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::exit::Ended;

pub mod broker;
pub mod parent;
pub mod sandbox;

/// How long a child may take to end before it is killed: longer than it takes to end itself.
const END_WITHIN: Duration = Duration::from_secs(8);
/// How much of a log is shown when a child has ended too early, in lines.
const TAIL: usize = 12;

/// What is to be started.
pub struct Order<'a> {
    /// What we call it; its log is `<name>.log`.
    pub name: &'static str,
    /// The arguments of this same binary.
    pub arguments: Vec<OsString>,
    /// What it finds in its environment, beyond what we find in ours.
    pub environment: Vec<(&'static str, String)>,
    /// Where its log is written.
    pub logs: &'a Path,
}

/// A child.
pub struct Process {
    /// What we call it.
    pub name: &'static str,
    /// Its number.
    pub pid: u32,
    log: PathBuf,
    /// Held open for as long as it is to live.
    leash: ChildStdin,
    kill: oneshot::Sender<()>,
    over: watch::Receiver<Option<String>>,
}

impl Process {
    /// Starts a child; all that it says goes to its log.
    pub fn start(order: &Order<'_>) -> Result<Self, Ended> {
        let out = open_log(order)?;
        Ok(Self::spawn(order, out.into())?.0)
    }

    /// Starts a child whose results are read by us; only the rest goes to its log.
    pub fn start_heard(order: &Order<'_>) -> Result<(Self, ChildStdout), Ended> {
        let (process, out) = Self::spawn(order, Stdio::piped())?;
        let out = out.ok_or_else(|| Ended::Failed(format!("cannot hear {}", order.name)))?;
        Ok((process, out))
    }

    fn spawn(order: &Order<'_>, out: Stdio) -> Result<(Self, Option<ChildStdout>), Ended> {
        let failed = |error| Ended::Failed(format!("cannot start {}: {error}", order.name));
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        // What leads other verbs to a platform that is in use must not lead a child there.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("STEAD_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(&order.arguments)
            .envs(order.environment.iter().map(|(name, value)| (name, value)))
            .env(parent::VARIABLE, "1")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(open_log(order)?)
            .spawn()
            .map_err(failed)?;
        let (leash, pid) = (child.stdin.take(), child.id());
        let (Some(leash), Some(pid), out) = (leash, pid, child.stdout.take()) else {
            return Err(Ended::Failed(format!("cannot hold {}", order.name)));
        };
        let (kill, killed) = oneshot::channel();
        let (tell, over) = watch::channel(None);
        tokio::spawn(await_end(child, killed, tell));
        let process = Self { name: order.name, pid, log: log_of(order), leash, kill, over };
        Ok((process, out))
    }

    /// Resolves when it has ended, which nobody wanted, and says how.
    pub async fn broken(&self) -> Ended {
        let mut over = self.over.clone();
        let how = match over.wait_for(Option::is_some).await {
            Ok(how) => how.clone().unwrap_or_default(),
            Err(_) => "unseen".to_owned(),
        };
        let tail = match tail(&self.log) {
            None => "it left no word in its log".to_owned(),
            Some(tail) => format!("its log ends with:\n{tail}"),
        };
        Ended::Failed(format!("{} has ended ({how}); {tail}", self.name))
    }

    /// Kills it, and waits until it is gone.
    pub async fn kill(mut self) {
        self.kill.send(()).ok();
        self.over.wait_for(Option::is_some).await.ok();
    }

    /// Lets it end, and waits until it has.
    pub async fn stop(mut self) {
        drop(self.leash);
        if timeout(END_WITHIN, self.over.wait_for(Option::is_some)).await.is_err() {
            tracing::warn!(name = self.name, pid = self.pid, "a child does not end; killing it");
            self.kill.send(()).ok();
            self.over.wait_for(Option::is_some).await.ok();
        }
    }
}

async fn await_end(
    mut child: Child,
    killed: oneshot::Receiver<()>,
    tell: watch::Sender<Option<String>>,
) {
    let how = tokio::select! {
        how = child.wait() => how,
        Ok(()) = killed => {
            child.start_kill().ok();
            child.wait().await
        }
    };
    let how = how.map_or_else(|error| error.to_string(), |status| status.to_string());
    tell.send_replace(Some(how));
}

fn log_of(order: &Order<'_>) -> PathBuf {
    order.logs.join(format!("{}.log", order.name))
}

fn open_log(order: &Order<'_>) -> Result<std::fs::File, Ended> {
    let path = log_of(order);
    std::fs::File::options()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|error| Ended::Failed(format!("cannot write {}: {error}", path.display())))
}

fn tail(log: &Path) -> Option<String> {
    let text = String::from_utf8_lossy(&std::fs::read(log).ok()?).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(TAIL)..];
    (!last.is_empty()).then(|| format!("  {}", last.join("\n  ")))
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn the_end_of_a_log_is_what_is_shown() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join("log");
        assert_eq!(tail(&log), None);
        let lines: Vec<String> = (1..=20).map(|number| format!("line {number}\n\n")).collect();
        std::fs::write(&log, lines.concat()).expect("a log");
        let shown = tail(&log).expect("there are lines");
        assert!(shown.starts_with("  line 9\n  line 10\n") && shown.ends_with("\n  line 20"));
    }
}
