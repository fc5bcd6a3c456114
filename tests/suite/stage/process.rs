//! One process of Stead: started, killed, frozen, stopped. Only by its own id.

use std::fs::{self, File};
use std::future::ready;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::binary::binary;
use super::wait::until;

/// A running `stead`. Killed when dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `stead` with these words; what it says goes to the end of `log`.
    pub fn start(words: &[&str], environment: &[(String, String)], log: &Path) -> Self {
        Self::start_build(binary(), words, environment, log)
    }

    /// Starts this build of `stead`.
    pub fn start_build(
        build: &Path,
        words: &[&str],
        environment: &[(String, String)],
        log: &Path,
    ) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("a log file");
        let child = Command::new(build)
            .args(words)
            .env_clear()
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .expect("stead starts");
        Self { child, log: log.to_owned() }
    }

    /// Has `stead` carry out a verb, and returns how it ended and what it said.
    pub async fn carry_out(words: &[&str], environment: &[(String, String)]) -> Output {
        tokio::process::Command::new(binary())
            .args(words)
            .env_clear()
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .output()
            .await
            .expect("stead starts")
    }

    /// Ends it as a power cut would.
    pub fn kill9(mut self) {
        self.end();
    }

    /// Asks it to end in good order and waits until it has.
    pub async fn stop(mut self) {
        self.signal("-TERM");
        let what = format!("{} ends when asked to", self.log.display());
        let status = until(&what, || ready(self.child.try_wait().expect("a child"))).await;
        assert!(status.success(), "{status}: {}", self.said());
    }

    /// Asks it to read its configuration again.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    /// Stops it in its tracks.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// What it has said, and those that wrote to the same file before it.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let done = Command::new("kill").args([signal, &pid]).status().expect("`kill` runs");
        assert!(done.success(), "kill {signal} {pid}");
    }

    fn end(&mut self) {
        // An error is a process that has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
