//! A machine that has a volume: what it is told, and what it does to what it finds there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use serde_json::Value;
use stead_schemas::step::coder::AwaitAgent;
use stead_schemas::step::proxmox::{ShutdownVm, StartVm};
use stead_schemas::step::truenas::iscsi::{EnsureTarget, EnsureVolume};
use stead_schemas::step::volume::AttachedVolume;

use super::{SOURCE, Scene, file, furnish, is_shell, seed};
use crate::guest::user_data::{Seed, user_data};
use crate::guest::volume::{SCRIPT, script};
use crate::testing::contract::specification;
use crate::testing::marker;

fn volume() -> AttachedVolume {
    AttachedVolume {
        dataset: "tank/coder-volumes/john.dev".to_owned(),
        portal: "127.0.0.1:3260".to_owned(),
        target: format!("iqn.2005-10.org.freenas.ctl:{}", marker()),
        initiator: "iqn.2026-01.org.stead:dev".to_owned(),
        size_gb: 10,
    }
}

fn told(seed: &Seed<'_>) -> Value {
    let text = user_data(seed);
    serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap()
}

#[test]
fn an_agent_waits_for_a_volume_where_there_is_one() {
    const AGENT: &str = "/etc/systemd/system/coder-agent.service";
    let own = volume();
    let data = told(&Seed { volume: Some(&own), ..seed() });
    is_shell(&file(&data, SCRIPT));
    let agent = file(&data, AGENT);
    assert!(agent.contains("\nRequires=stead-volume.service\nAfter=stead-volume.service\n"));
    let unit = file(&data, "/etc/systemd/system/stead-volume.service");
    assert!(unit.contains("Type=oneshot\nRemainAfterExit=yes\n") && unit.contains("ExecStop="));
    assert!(!told(&seed()).to_string().contains("stead-volume"));
    let Some(schema) = specification("cloud-init/schema-cloud-config-v1.json") else { return };
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&data));
}

#[tokio::test]
async fn a_machine_logs_in_at_every_boot_before_its_agent_and_out_when_it_is_off() {
    let scene = Scene::ready().await;
    let nas = "vault:secret/data/truenas/api#1";
    let id = scene.stage.lab.inventory().coder_workspaces[0].id.clone();
    scene.office.show_volume(Some(SOURCE), Some(&id), &volume());
    let machine = furnish(&scene.stage, false).await;
    scene.stage.ask(StartVm { machine: machine.clone() }).await.unwrap();
    // Nobody shows the volume yet: the agent waits.
    scene.stage.lab.until(|now| now.vms[0].guest_stage == "waiting-for-volume").await;
    let own = volume();
    let (login, dataset) = (nas.to_owned(), own.dataset.clone());
    let zvol = EnsureVolume { login, dataset, size_gb: 10, marker: marker() };
    scene.stage.ask(zvol.clone()).await.unwrap();
    let EnsureVolume { login, dataset, marker, .. } = zvol;
    let (portal, initiator, networks) = (1, own.initiator.clone(), Vec::new());
    let target = EnsureTarget { login, dataset, marker, portal, initiator, networks };
    assert_eq!(scene.stage.ask(target).await.unwrap().iqn, own.target);
    let login = "vault:secret/data/coder/api#1".to_owned();
    scene.stage.ask(AwaitAgent { login, id }).await.unwrap();
    let logged_in = || {
        let parts = scene.stage.lab.inventory().iscsi;
        parts.into_iter().find(|part| part.kind == "target").unwrap().initiator
    };
    assert_eq!(logged_in(), own.initiator);
    scene.stage.ask(ShutdownVm { machine, timeout_seconds: 60 }).await.unwrap();
    assert_eq!(logged_in(), "");
}

/// A machine whose volume is a file; what would need a kernel is only written down.
struct Machine(tempfile::TempDir);

impl Machine {
    const STUBS: [&str; 8] =
        ["iscsiadm", "systemctl", "chattr", "mount", "umount", "mountpoint", "e2fsck", "resize2fs"];

    /// Nothing if this machine has not the tools that the test is about.
    fn with(content: &[u8]) -> Option<Self> {
        let tools = "command -v blkid && command -v mkfs.ext4 && command -v cmp";
        let found = Command::new("sh").env("PATH", Self::path("")).args(["-c", tools]).output();
        if !found.unwrap().status.success() {
            return None;
        }
        let machine = Self(tempfile::tempdir().unwrap());
        let root = machine.0.path();
        fs::create_dir_all(root.join("by-path")).unwrap();
        fs::create_dir_all(root.join("bin")).unwrap();
        for stub in Self::STUBS {
            let at = root.join("bin").join(stub);
            // What asks whether there is a mount or a session is told that there is none.
            let ends = if stub == "mountpoint" { "exit 1" } else { "exit 0" };
            let words =
                format!("#!/bin/sh\necho {stub} \"$@\" >>'{}/log'\n{ends}\n", root.display());
            fs::write(&at, words).unwrap();
            fs::set_permissions(&at, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(root.join("disk"), content).unwrap();
        let disk = fs::OpenOptions::new().write(true).open(root.join("disk")).unwrap();
        disk.set_len(64 << 20).unwrap();
        let name = format!("ip-127.0.0.1:3260-iscsi-{}-lun-0", volume().target);
        symlink(root.join("disk"), root.join("by-path").join(name)).unwrap();
        Some(machine)
    }

    fn path(first: &str) -> String {
        format!("{first}:/usr/sbin:/sbin:/usr/bin:/bin")
    }

    /// A boot: what was done, line by line.
    fn boot(&self) -> String {
        let root = self.0.path().display().to_string();
        let script = script(&volume())
            .replace("/dev/disk/by-path", &format!("{root}/by-path"))
            .replace("/etc/iscsi", &format!("{root}/etc"))
            .replace("data=/data", &format!("data={root}/data"));
        let mut shell = Command::new("sh");
        let bin = Self::path(&format!("{root}/bin"));
        let told = shell.args(["-c", &script]).env("PATH", bin).output().unwrap();
        assert!(told.status.success(), "{told:?}");
        fs::read_to_string(self.0.path().join("log")).unwrap()
    }

    fn disk(&self) -> Vec<u8> {
        fs::read(self.0.path().join("disk")).unwrap()
    }
}

#[test]
fn an_empty_volume_gets_a_file_system_once() {
    let Some(machine) = Machine::with(b"") else { return };
    let done = machine.boot();
    let made = machine.disk();
    assert_eq!(made[1080..1082], [0x53, 0xef], "there is no ext4 on it");
    assert!(done.contains("--login\n") && done.contains("mount -t ext4 -o noatime,_netdev "));
    let name = fs::read_to_string(machine.0.path().join("etc/initiatorname.iscsi")).unwrap();
    assert_eq!(name, format!("InitiatorName={}\n", volume().initiator));
    let again = machine.boot();
    assert_eq!(machine.disk(), made, "it was made anew");
    assert_eq!(again.matches("systemctl restart iscsid").count(), 1);
    assert_eq!(again.matches("mount -t ext4").count(), 2);
}

#[test]
fn a_volume_that_holds_anything_is_left_as_it_is() {
    // Another kind of file system, what no tool knows, and what begins with nothing.
    let mut late = vec![0; 15 << 20];
    late.push(1);
    let mut swap = vec![0; 4096];
    swap[4086..].copy_from_slice(b"SWAPSPACE2");
    for content in [swap, b"something encrypted".to_vec(), late] {
        let Some(machine) = Machine::with(&content) else { return };
        let before = machine.disk();
        let done = machine.boot();
        assert!(machine.disk() == before, "it was written to");
        assert!(!done.contains("mount -t"), "{done}");
    }
}
