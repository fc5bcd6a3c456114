//! What a container holds: `ops/deploy/image-root` lays it out, and in it the program finds all that
//! it needs, as somebody who is not root; the lab, too, which has no configuration.

use std::fs::{self, File, Permissions};
use std::future::ready;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use stead_contract::skipped;
use stead_nats::testing::NatsServer;
use tempfile::TempDir;

use crate::stage::{Process, binary, until, within};

/// What is laid out of the host beside the program.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Nobody listens there.
const NOWHERE: &str = "nats://127.0.0.1:1";

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/deploy")
}

/// What the Containerfile says of the image.
fn said(word: &str) -> String {
    let file = fs::read_to_string(deploy().join("Containerfile")).expect("the Containerfile");
    // The last stage is the image.
    let mut lines = file.lines().rev();
    let line = lines.find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("the Containerfile has no {word}")).to_owned()
}

/// What the image holds, laid out.
struct Image(TempDir);

impl Image {
    /// Nothing where it cannot be laid out, or nobody could go in.
    fn lay_out() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skipped("only root can lay out an image, and go into it");
            return None;
        }
        if !Path::new(AUTHORITIES).exists() {
            skipped("there are no authorities here for an image to hold (package ca-certificates)");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("it is ours");
        let mut lay_out = Command::new(deploy().join("image-root"));
        let done = lay_out.arg(binary()).arg(folder.path()).output().expect("it runs");
        assert!(done.status.success(), "{done:?}");
        Some(Self(folder))
    }

    fn at(&self, place: &str) -> PathBuf {
        self.0.path().join(place)
    }

    /// `stead` in there, as the Containerfile has it.
    fn stead(&self, words: &[&str], nats: &str) -> Command {
        let mut command = Command::new("chroot");
        let environment = said("ENV");
        let environment = environment.split(' ').filter_map(|pair| pair.split_once('='));
        command
            .arg(format!("--userspec={}", said("USER")))
            .arg(self.0.path())
            .arg("/usr/bin/stead")
            .args(words)
            .env_clear()
            .envs(environment)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("STEAD_NATS_URL", nats)
            .env("STEAD_VAULT_ROLE_ID", "none")
            .env("STEAD_VAULT_SECRET_ID", "none")
            .stdin(Stdio::null());
        command
    }

    /// Puts the example of a configuration where the Containerfile says that it lies.
    fn configure(&self) {
        let example = self.carry_out(&["config", "example"]);
        assert!(example.status.success(), "{example:?}");
        fs::write(self.at("etc/stead/site.toml"), example.stdout).expect("a file");
    }

    fn carry_out(&self, words: &[&str]) -> Output {
        self.stead(words, NOWHERE).output().expect("chroot runs")
    }
}

/// A process in the image. Killed when dropped.
struct Inside(Child);

impl Drop for Inside {
    fn drop(&mut self) {
        // An error is a process that has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn the_image_holds_what_the_program_is_linked_to_and_the_authorities() {
    let Some(image) = Image::lay_out() else { return };
    let version = image.carry_out(&["--version"]);
    assert!(version.status.success(), "{version:?}");
    // The example's vendors are reached by TLS, for which a worker wants authorities when it starts.
    image.configure();
    let worker = image.carry_out(&["worker"]);
    let complaint = String::from_utf8_lossy(&worker.stderr);
    assert!(complaint.contains("cannot reach NATS"), "{complaint}");
    fs::remove_dir_all(image.at("etc/ssl")).expect("they are there");
    let worker = image.carry_out(&["worker"]);
    let complaint = String::from_utf8_lossy(&worker.stderr);
    assert!(complaint.contains("No CA certificates"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_in_the_image_keeps_its_index_though_it_is_not_root() {
    let Some(image) = Image::lay_out() else { return };
    let nats = NatsServer::start().await;
    let log = image.at("engine.log");
    let file = File::create(&log).expect("a log");
    image.configure();
    let mut engine = image.stead(&["engine"], &nats.url());
    let engine = engine.stdout(Stdio::null()).stderr(file).spawn().expect("chroot runs");
    let _engine = Inside(engine);
    let told = || fs::read_to_string(&log).expect("a log");
    until("the engine is up", || ready(told().contains("the engine is up").then_some(()))).await;
    let index = image.at(said("WORKDIR").trim_start_matches('/')).join("index");
    let whose = until("an index is kept", || {
        assert!(!told().contains("no index can be kept"), "{}", told());
        ready(fs::metadata(&index).ok().map(|index| index.uid()))
    })
    .await;
    assert_eq!(whose.to_string(), said("USER").split(':').next().expect("a user"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lab_needs_no_configuration_though_one_is_named_that_is_not_there() {
    let (nats, folder) = (NatsServer::start().await, tempfile::tempdir().expect("a folder"));
    let environment = |config: &str| {
        let pairs = [
            ("STEAD_CONFIG", config),
            ("STEAD_NATS_URL", &nats.url()),
            ("STEAD_ENGINE_INDEX", &folder.path().join("index").display().to_string()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let named = said("ENV");
    let named = named.split(' ').find_map(|pair| pair.strip_prefix("STEAD_CONFIG="));
    let (named, log) = (named.expect("one is named"), folder.path().join("lab.log"));
    let lab = Process::start(&["up", "--lab"], &environment(named), &log);
    until("the lab is up", || ready(lab.said().contains("the lab is up").then_some(()))).await;
    let create = ["workspace", "create", "--owner=john", "dev", "--wait"];
    // Its builds in Coder are handed over by the program, too.
    let told = within("it is made", Process::carry_out(&create, &environment("/dev/null"))).await;
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    lab.stop().await;
}
