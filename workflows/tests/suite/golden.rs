//! Histories that real runs left behind replay for ever.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use stead_core::ledger::Ledger;
use stead_core::run::Run;
use stead_schemas::event::Event;
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;
use stead_schemas::transition::Transition;
use stead_testkit::{Kit, Trouble};
use stead_workflows::WORKFLOWS;

use crate::backups;
use crate::kits::{self, john};
use crate::pools::{self, platform};
use crate::snapshots;
use crate::starts;
use crate::tale::Tale;
use crate::volumes;
use crate::world::World;

type Made = fn() -> Vec<Transition>;

/// Histories of those workflows that no lab has run, and of what happens seldom, as the test kit
/// made them. A file that is there is never changed; `STEAD_UPDATE=1` writes one that is not.
const MADE: [(&str, Made); 14] = [
    ("allowance-life", || of(kits::changes(), &key("allowance", &john(), "owner"))),
    ("backup-life", || of(backups::hourly(), &key("backup", &platform(), "homes"))),
    ("calendar-life", || of(kits::rest(), &key("calendar", &john(), "owner"))),
    ("notice-life", || of(kits::notices(), &kits::notices().hero().expect("a hero"))),
    ("people-life", || of(kits::people(), &key("people", &platform(), "site"))),
    ("pool-life", || of(pools::taken(), &key("pool", &platform(), "debian"))),
    ("spare-life", || of(pools::taken(), &key("spare", &platform(), "debian-1"))),
    ("volume-life", || of(volumes::volume(), &key("volume", &john(), "dev"))),
    ("workspace-cancelled", cancelled),
    ("workspace-create", || of(kits::create(), &key("workspace", &john(), "dev"))),
    ("workspace-ends", || of(kits::ends(), &key("workspace", &john(), "dev"))),
    ("workspace-late", starts::late),
    ("workspace-snapshots", || of(snapshots::snapshots(), &key("workspace", &john(), "dev"))),
    ("workspace-without-room", starts::without_room),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/tests/golden")
}

fn key(kind: &str, owner: &Owner, name: &str) -> EntityKey {
    EntityKey::of(kind, owner, name)
}

/// What an entity did where a kit is played.
fn of(kit: Kit<World>, key: &EntityKey) -> Vec<Transition> {
    let (stage, _) = kit.play(&Trouble::default());
    let run = stage.latest(key).unwrap_or_else(|| panic!("there is no run of {}", key.as_str()));
    stage.history(&run).to_vec()
}

/// A create is cancelled when it has come half way.
fn cancelled() -> Vec<Transition> {
    let mut tale = Tale::new(Trouble::default());
    let run = tale.give("create", "dev", json!({}));
    for _ in 0..7 {
        tale.stage.one_step();
    }
    assert!(tale.stage.cancel(&run, "not wanted any more"), "it is under way");
    tale.stage.settle();
    tale.stage.history(&run).to_vec()
}

#[test]
fn recorded_histories_replay() {
    for (name, make) in MADE {
        let file = folder().join(name).with_extension("jsonl");
        if !file.exists() && std::env::var_os("STEAD_UPDATE").is_some() {
            let lines: Vec<u8> =
                make().iter().flat_map(|one| [one.encode(), b"\n".to_vec()].concat()).collect();
            fs::write(&file, lines).expect("the file is ours");
        }
        assert!(file.exists(), "{} is kept for ever", file.display());
    }
    let mut kinds = BTreeSet::new();
    for file in fs::read_dir(folder()).expect("the folder is there").flatten() {
        let text = fs::read_to_string(file.path()).expect("it can be read");
        let mut run: Option<Run> = None;
        for line in text.lines() {
            let transition = Transition::decode(line.as_bytes()).expect("an old shape decodes");
            let run = run.get_or_insert_with(|| {
                let key = transition.run.key();
                let workflow = WORKFLOWS.iter().find(|known| known.kind == key.kind());
                let workflow = workflow.expect("the workflow is there");
                kinds.insert(workflow.kind);
                Run::new(*workflow, transition.run.clone())
            });
            let replayed = run.replay(&transition);
            assert!(replayed.is_ok(), "{}: {}", file.path().display(), replayed.unwrap_err());
        }
    }
    let all: BTreeSet<&str> = WORKFLOWS.iter().map(|workflow| workflow.kind).collect();
    assert_eq!(kinds, all, "every workflow has a recorded history");
}

/// Each of them, and where it lies.
pub fn histories() -> Vec<(PathBuf, Vec<Transition>)> {
    let files = fs::read_dir(folder()).expect("the folder is there").flatten();
    let read = |place: PathBuf| {
        let text = fs::read_to_string(&place).expect("it can be read");
        let transitions = text.lines().map(|line| Transition::decode(line.as_bytes()));
        let history = transitions.map(|one| one.expect("an old shape decodes")).collect();
        (place, history)
    };
    files.map(|file| read(file.path())).collect()
}

#[test]
fn lives_that_are_over_hold_nothing() {
    let mut touched = 0;
    for (place, history) in histories() {
        let mut ledger = Ledger::new(history[0].run.clone());
        for transition in &history {
            ledger.take(transition);
            touched += ledger.held().len();
        }
        let events = history.iter().flat_map(|transition| &transition.events);
        assert!(ledger.unread().is_empty(), "{}: {:?}", place.display(), ledger.unread());
        if events.into_iter().any(Event::is_last) {
            assert_eq!(ledger.held(), [], "{}", place.display());
        }
    }
    assert!(touched > 20, "they made something: {touched}");
}
