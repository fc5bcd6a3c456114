//! Incidents that were recorded in the lab, explained word for word.
//!
//! `STEAD_UPDATE=1` writes the words anew; `tests/suite/incidents.rs` says how an incident is
//! recorded anew.

use std::path::{Path, PathBuf};

use super::explained;
use crate::commands::replay::verdict;
use crate::commands::source;
use crate::story::explain::Kind;

/// What is the first cause of each: its kind, its step, and what its words say.
const CAUSES: &[(&str, Kind, Option<&str>, &str)] = &[
    ("diverging-build", Kind::Divergence, None, "proxmox.resize-disc"),
    ("ended-token", Kind::StepFailed, Some("coder.stop-workspace"), "not let in"),
    ("expired-token", Kind::StepFailed, Some("proxmox.survey"), "not let in"),
    ("frozen-owner", Kind::OwnerChanged, None, "wrote nothing more"),
    ("full-pool", Kind::StepFailed, Some("truenas.ensure-dataset"), "no room left"),
    ("late-answer", Kind::Attempts, None, "attempts"),
    ("lost-webhook", Kind::Unheard, None, "no webhook told of"),
    ("sealed-vault", Kind::Waits, Some("vault.pin-secrets"), "Vault is sealed"),
    ("stolen-vmid", Kind::StepFailed, Some("proxmox.clone-vm"), "belongs to a stranger"),
    ("stuck-undo", Kind::StepFailed, Some("proxmox.start-vm"), "it failed"),
    ("unmounted-home", Kind::Waits, Some("guest.await-home"), "its home is mounted"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/suite/incidents")
}

#[tokio::test]
async fn the_first_cause_of_each_recorded_incident_is_named() {
    for (name, kind, step, words) in CAUSES {
        let file = folder().join(format!("{name}.stead.tar.gz"));
        let source = source::file(&file, None).unwrap_or_else(|ended| panic!("{name}: {ended}"));
        let explanation = explained(&source, 100).await.expect("it is explained");
        let cause = explanation.cause.as_ref().unwrap_or_else(|| panic!("{name}: no cause"));
        assert_eq!(cause.kind, *kind, "{name}: {cause:?}");
        if let Some(step) = step {
            assert_eq!(cause.step.as_ref().map(|(_, name)| name.as_str()), Some(*step), "{name}");
        }
        assert!(cause.words.contains(words), "{name}: {}", cause.words);
        check_told(name, &explanation.told(100));
    }
}

/// What a person reads, to the letter.
fn check_told(name: &str, told: &str) {
    let file = folder().join(format!("{name}.txt"));
    let told = format!("{told}\n");
    if std::env::var_os("STEAD_UPDATE").is_some() {
        std::fs::write(&file, &told).expect("it is written");
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(told, expected, "{name}: STEAD_UPDATE=1 writes it anew\n{told}");
}

#[tokio::test]
async fn each_recorded_incident_is_whole_and_is_listed_here() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder()).expect("the folder").flatten() {
        let file = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".stead.tar.gz") else { continue };
        names.push(name.to_owned());
        let source = source::file(&file, None).unwrap_or_else(|ended| panic!("{name}: {ended}"));
        let verdict = verdict(&source).unwrap_or_else(|ended| panic!("{name}: {ended}"));
        assert_eq!(verdict.chain, Ok(()), "{name}");
        let diverges = verdict.decisions.err().map(|divergence| divergence.to_string());
        assert_eq!(diverges.is_some(), name == "diverging-build", "{name}: {diverges:?}");
    }
    names.sort();
    let listed: Vec<&str> = CAUSES.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, listed);
}
