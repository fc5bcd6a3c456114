//! Which fault stands for which cause, by words of workers and by every incident that was recorded.

use std::path::Path;

use stead_lab::{Lab, LabOptions};
use stead_schemas::ids::RunId;
use stead_schemas::time::Timestamp;

use super::{fault, restore};
use crate::story::explain::{Kind, Link};

fn cause(kind: Kind, step: Option<&str>, words: &str) -> Link {
    let run: RunId = "workspace-sxz5p52h8deysn46-1".parse().expect("a run");
    let step = step.map(|step| (1, step.to_owned()));
    Link { run, n: 1, at: Timestamp::default(), step, kind, words: words.to_owned() }
}

#[test]
fn a_cause_is_the_fault_that_shows_so() {
    let failed = |step, words| fault(&cause(Kind::StepFailed, Some(step), words));
    for (step, words, expected) in [
        (
            "proxmox.start-vm",
            "it failed (not let in): our login at Proxmox lacks a privilege",
            Some(("proxmox", "forbidden")),
        ),
        (
            "proxmox.start-vm",
            "it failed (not let in): Proxmox does not accept our token",
            Some(("proxmox", "unauthorized")),
        ),
        (
            "vault.pin-secrets",
            "it failed (not let in): Vault does not let us read secret/data/x",
            Some(("vault", "denied")),
        ),
        (
            "coder.stop-workspace",
            "it failed (not let in): Coder does not accept our token",
            Some(("coder", "unauthorized")),
        ),
        // That it may not do just this is no fault that the lab knows.
        ("coder.stop-workspace", "it failed (not let in): our Coder token may not do this", None),
        ("forgejo.find-run", "it failed (not let in): our Forgejo token may not do this", None),
    ] {
        assert_eq!(failed(step, words), expected, "{step}: {words}");
    }
    let unheard = cause(Kind::Unheard, None, "no webhook told of it");
    assert_eq!(fault(&unheard), Some(("forgejo", "hook-lost")));
    let parked = cause(Kind::Waits, None, "it does not go on: it is parked");
    assert_eq!(fault(&parked), None);
}

/// What each recorded incident is made anew with; nothing where the lab knows no fault that does it.
const FAULTS: &[(&str, Option<(&str, &str)>)] = &[
    ("diverging-build", None),
    ("ended-token", Some(("coder", "unauthorized"))),
    ("expired-token", Some(("proxmox", "unauthorized"))),
    ("frozen-owner", None),
    ("full-pool", Some(("truenas", "pool-full"))),
    ("late-answer", None),
    ("lost-webhook", Some(("forgejo", "hook-lost"))),
    ("sealed-vault", Some(("vault", "sealed"))),
    ("stolen-vmid", Some(("proxmox", "vmid-taken"))),
    ("stuck-undo", Some(("proxmox", "forbidden"))),
    ("unmounted-home", Some(("guest", "home-never-mounts"))),
];

#[tokio::test]
async fn a_lab_is_made_of_each_recorded_incident_and_has_its_fault_or_says_that_there_is_none() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/suite/incidents");
    let bundles = std::fs::read_dir(&folder).expect("the folder").flatten();
    let bundles = bundles.filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.strip_suffix(".stead.tar.gz").map(str::to_owned)
    });
    let mut names: Vec<String> = bundles.collect();
    names.sort();
    assert_eq!(names, FAULTS.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
    for (name, expected) in FAULTS {
        let lab = Lab::start(LabOptions::default()).await.expect("a lab");
        let file = folder.join(format!("{name}.stead.tar.gz"));
        let restored = restore(&lab, file.to_str().expect("a plain path"), None).await;
        let restored = restored.unwrap_or_else(|ended| panic!("{name}: {ended}"));
        let faults: Vec<(&str, &str)> = restored
            .faults
            .iter()
            .map(|(vendor, fault)| (vendor.as_str(), fault.as_str()))
            .collect();
        assert_eq!(faults, Vec::from_iter(*expected), "{name}");
        let is_named = restored.missing.iter().any(|words| words.starts_with("the first cause"));
        assert_eq!(is_named, expected.is_none(), "{name}: {:?}", restored.missing);
        lab.shutdown().await;
    }
}
