//! Keeps the generated JSON Schemas true, and every shape ever written readable.
//!
//! `STEAD_UPDATE=1 cargo test -p stead-schemas` writes the schemas anew. Golden shapes are added
//! by hand and never changed (`goldens.rs`).

mod decoders;
mod goldens;

use std::fs;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, schema_for};
use stead_schemas::command::bucket::BucketView;
use stead_schemas::command::mcp::McpView;
use stead_schemas::command::people::PeopleView;
use stead_schemas::command::schedule::ScheduleView;
use stead_schemas::command::template::TemplateView;
use stead_schemas::command::token::TokenView;
use stead_schemas::command::{COMMANDS, run};
use stead_schemas::dispatch::{CommandReply, RehearsalReply};
use stead_schemas::event::{self, Event};
use stead_schemas::glance::Glance;
use stead_schemas::public::{RunSummary, RunView, StepProgress, StepRetrying};
use stead_schemas::refusal::Refusal;
use stead_schemas::transition::{Transition, link};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn keep(file: &Path, schema: &Schema) {
    let text = serde_json::to_string_pretty(schema).expect("a schema is JSON") + "\n";
    if std::env::var_os("STEAD_UPDATE").is_some() {
        fs::create_dir_all(file.parent().expect("it has a folder")).expect("the folder is ours");
        fs::write(file, &text).expect("the file is ours");
    }
    let kept = fs::read_to_string(file).unwrap_or_default();
    assert_eq!(kept, text, "{} is not what the types say; set STEAD_UPDATE=1", file.display());
}

#[test]
fn every_command_has_its_schema() {
    let all = || COMMANDS.iter().chain(run::ORDERS);
    for command in all() {
        let name = format!("commands/{}.{}.json", command.kind, command.verb);
        keep(&root().join(name), &(command.schema)());
    }
    let files = fs::read_dir(root().join("commands")).expect("the folder is there").count();
    assert_eq!(files, all().count(), "a file without a command");
}

#[test]
fn every_event_has_its_schema() {
    fn event<T: JsonSchema>(name: &str) {
        keep(&root().join(format!("events/{name}.json")), &schema_for!(T));
    }
    event::<event::RunStarted>("run-started");
    event::<event::CommandAccepted>("command-accepted");
    event::<event::CommandCompleted>("command-completed");
    event::<event::StepScheduled>("step-scheduled");
    event::<event::StepCompleted>("step-completed");
    event::<event::StepFailed>("step-failed");
    event::<event::StepCancelled>("step-cancelled");
    event::<event::StepDropped>("step-dropped");
    event::<event::StepRetried>("step-retried");
    event::<event::StepSkipped>("step-skipped");
    event::<event::StepEdited>("step-edited");
    event::<event::UndoAbandoned>("undo-abandoned");
    event::<event::TimerStarted>("timer-started");
    event::<event::TimerFired>("timer-fired");
    event::<event::TimerDropped>("timer-dropped");
    event::<event::CancelRequested>("cancel-requested");
    event::<event::RunPaused>("run-paused");
    event::<event::RunResumed>("run-resumed");
    event::<event::SignalReceived>("signal-received");
    event::<event::ChangeMarked>("change-marked");
    event::<event::TerminateRequested>("terminate-requested");
    event::<event::RunTerminated>("run-terminated");
    event::<event::RunCompleted>("run-completed");
    event::<event::RunFailed>("run-failed");
    event::<event::ContinuedAsNew>("continued-as-new");
    event::<event::Noted>("noted");
    event::<Refusal>("refused");
    event::<StepProgress>("step-progress");
    event::<StepRetrying>("step-retrying");
    keep(&root().join("transition.json"), &schema_for!(Transition));
    keep(&root().join("replies/bucket.json"), &schema_for!(BucketView));
    keep(&root().join("replies/command.json"), &schema_for!(CommandReply));
    keep(&root().join("replies/mcp.json"), &schema_for!(McpView));
    keep(&root().join("replies/rehearsal.json"), &schema_for!(RehearsalReply));
    keep(&root().join("replies/show.json"), &schema_for!(RunView));
    keep(&root().join("replies/schedule.json"), &schema_for!(ScheduleView));
    keep(&root().join("replies/template.json"), &schema_for!(TemplateView));
    keep(&root().join("replies/people.json"), &schema_for!(PeopleView));
    keep(&root().join("replies/token.json"), &schema_for!(TokenView));
    keep(&root().join("replies/list.json"), &schema_for!(Vec<RunSummary>));
}

#[test]
fn every_shape_ever_written_can_be_read() {
    let folder = root().join("tests/golden");
    let mut prev = String::new();
    let mut files: Vec<_> = fs::read_dir(&folder).expect("the folder is there").flatten().collect();
    files.sort_by_key(fs::DirEntry::file_name);
    assert!(!files.is_empty());
    for file in files {
        let text = fs::read_to_string(file.path()).expect("it can be read");
        for line in text.lines() {
            let transition = Transition::decode(line.as_bytes())
                .unwrap_or_else(|error| panic!("{}: {error}", file.path().display()));
            let again = String::from_utf8(transition.encode()).expect("JSON is text");
            assert_eq!(again, line, "{} is written otherwise now", file.path().display());
            assert_eq!(transition.prev, prev, "{}: the chain is broken", file.path().display());
            prev = link(line.as_bytes());
        }
        prev.clear();
    }
}

#[test]
fn a_glance_sees_what_is_there() {
    let folder = root().join("tests/golden");
    let mut ends = 0;
    for file in fs::read_dir(&folder).expect("the folder is there").flatten() {
        let text = fs::read_to_string(file.path()).expect("it can be read");
        for line in text.lines() {
            let whole = Transition::decode(line.as_bytes()).expect("it can be read");
            let glance = Glance::at(line.as_bytes()).expect("it can be glanced at");
            assert_eq!((glance.n, glance.at), (whole.n, whole.at));
            assert_eq!(glance.ended.is_some(), whole.events.iter().any(Event::is_last));
            ends += u32::from(glance.ended.is_some());
            let accepted = whole.events.iter().filter_map(|event| match event {
                Event::CommandAccepted(command) => Some((&*command.id, &*command.digest)),
                _ => None,
            });
            let seen = glance.accepted.iter().map(|seen| (&*seen.id, &*seen.digest));
            assert!(accepted.eq(seen), "{line}");
            let started = whole.events.iter().find_map(|event| match event {
                Event::RunStarted(started) => Some(started),
                _ => None,
            });
            assert_eq!(glance.started.as_ref(), started);
        }
    }
    assert!(ends > 0);
}

#[test]
fn a_newer_shape_is_refused_in_words() {
    let text = r#"{"v":2,"run":"probe-27ytv97dprxd6njw-1","n":1,"at":"2026-01-01T00:00:00.000Z","engine":"e","prev":"","events":[]}"#;
    let error = Transition::decode(text.as_bytes()).unwrap_err().to_string();
    assert!(Glance::at(text.as_bytes()).is_none());
    assert_eq!(error, "written in shape 2, this build reads up to 1; use a newer Stead");
}
