//! What each build comes to, by where the workspace stands.

use clap::Parser;
use serde_json::{Value, json};
use stead_schemas::command::workspace::WorkspaceView;
use stead_schemas::public::RunView;

use super::{Build, Wish};
use crate::cli::workspace::{FromCoder, Verb};
use crate::cli::{Cli, Verb as Top};

const ID: &str = "4c9a0d4e-7a53-4e0a-9d3f-1b1a2c3d4e5f";

fn build(transition: &str) -> Build {
    let said = |name: &str| {
        Some(match name {
            "CODER_WORKSPACE_TRANSITION" => transition.to_owned(),
            "CODER_WORKSPACE_BUILD_ID" => "b-1".to_owned(),
            "CODER_WORKSPACE_ID" => ID.to_ascii_uppercase(),
            "CODER_WORKSPACE_OWNER" => "john.doe".to_owned(),
            "CODER_WORKSPACE_NAME" => "dev".to_owned(),
            "CODER_WORKSPACE_TEMPLATE_NAME" => "stead-machine".to_owned(),
            _ => return None,
        })
    };
    Build::of(said).expect("a build")
}

fn asked(words: &str) -> FromCoder {
    let line = format!("stead workspace from-coder {words}");
    let parsed = Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.verb);
    let Ok(Top::Workspace(workspace)) = parsed else { panic!("{parsed:?}") };
    let Verb::FromCoder(asked) = workspace.verb else { panic!("{workspace:?}") };
    asked
}

/// A workspace in this phase that waits for this step, shown by this workspace of Coder's.
fn living(phase: &str, step: &str, coder_id: Value) -> (RunView, WorkspaceView) {
    let shown = json!({
        "phase": phase, "template": "debian-12", "storage_backend": "iscsi", "node": "pve1",
        "size": { "cpu_cores": 4, "memory_gb": 8, "storage_quota_gb": 50 }, "coder_id": coder_id,
    });
    let waiting = json!([{
        "seq": 1, "what": step, "reason": "running", "words": "", "attempts": 1,
        "since": "2026-11-30T00:00:00Z",
    }]);
    let view = json!({
        "summary": {
            "run": "workspace-k3j5x7q2m4n6p8r9-1", "kind": "workspace", "owner": "john.doe",
            "name": "dev", "state": "running", "phase": phase, "waiting": "",
            "started": "2026-11-30T00:00:00Z", "updated": "2026-11-30T00:00:00Z",
            "transitions": 3,
        },
        "view": shown, "waiting": waiting, "commands": [], "outcome": null,
    });
    let shown = serde_json::from_value(shown).expect("a workspace");
    (serde_json::from_value(view).expect("a run"), shown)
}

fn wish(transition: &str, words: &str, living: Option<&(RunView, WorkspaceView)>) -> String {
    let living = living.map(|(view, shown)| (view, shown));
    match build(transition).wish(&asked(words), living) {
        Wish::Nothing(_) => "nothing".to_owned(),
        Wish::Refused(_) => "refused".to_owned(),
        Wish::Follow => "follow".to_owned(),
        Wish::Give(verb, _) => verb.to_owned(),
    }
}

/// What the three kinds of builds, and a change of the size, come to where the workspace is ours.
fn check(phase: &str, expected: [&str; 4]) {
    let ours = living(phase, "timer", json!(ID));
    let found = [
        wish("start", "", Some(&ours)),
        wish("stop", "", Some(&ours)),
        wish("destroy", "", Some(&ours)),
        wish("start", "--resize --cpu-cores 8", Some(&ours)),
    ];
    assert_eq!(found, expected, "{phase}");
}

#[test]
fn each_build_comes_to_what_the_workspace_lacks() {
    check("creating", ["follow", "stop", "delete", "resize"]);
    check("ready", ["restart", "stop", "delete", "resize"]);
    check("stopped", ["start", "nothing", "delete", "resize"]);
    check("dormant", ["start", "nothing", "delete", "resize"]);
    check("starting", ["follow", "stop", "delete", "resize"]);
    check("stopping", ["start", "follow", "delete", "resize"]);
    check("rebuilding", ["follow", "stop", "delete", "resize"]);
    check("stuck", ["start", "stop", "delete", "resize"]);
    check("deleting", ["refused", "refused", "follow", "refused"]);
    check("deleted", ["create", "nothing", "nothing", "nothing"]);
    let none = ["start", "stop", "destroy"].map(|transition| wish(transition, "", None));
    assert_eq!(none, ["create", "nothing", "nothing"]);
    assert_eq!(wish("start", "--resize --cpu-cores 8", None), "nothing");
}

#[test]
fn a_build_that_stead_asks_for_asks_for_nothing() {
    for (transition, step) in [
        ("start", "coder.start-workspace"),
        ("start", "coder.join-workspace"),
        ("stop", "coder.stop-workspace"),
        ("stop", "coder.leave-workspace"),
        ("destroy", "coder.delete-workspace"),
    ] {
        // Whatever it is about: a rebuild deletes in Coder, too.
        for phase in ["creating", "rebuilding", "ready"] {
            let own = living(phase, step, json!(null));
            assert_eq!(wish(transition, "", Some(&own)), "nothing", "{step}");
            assert_eq!(wish(transition, "--resize --cpu-cores 8", Some(&own)), "nothing");
        }
    }
    let other = living("ready", "coder.stop-workspace", json!(ID));
    assert_eq!(wish("destroy", "", Some(&other)), "delete");
}

#[test]
fn another_workspace_of_coders_is_not_taken_for_this_one() {
    for other in [json!(null), json!("another")] {
        let living = living("ready", "timer", other);
        let found =
            ["start", "stop", "destroy"].map(|transition| wish(transition, "", Some(&living)));
        assert_eq!(found, ["refused", "nothing", "nothing"]);
        assert_eq!(wish("start", "--resize --cpu-cores 8", Some(&living)), "nothing");
    }
    let going = living("deleting", "proxmox.destroy-vm", json!("another"));
    assert_eq!(wish("start", "", Some(&going)), "create");
}

#[test]
fn a_build_is_handed_over_once() {
    let failure = json!({ "class": "permanent", "words": "no room" });
    for (outcome, expected) in [
        (json!(null), "follow"),
        (json!({ "done": {} }), "nothing"),
        (json!({ "failed": failure }), "refused"),
    ] {
        let (mut view, shown) = living("ready", "timer", json!(ID));
        let resized =
            json!({ "id": "coder-b-1-resize-cpu_cores", "verb": "resize", "outcome": null });
        let given = json!({ "id": "coder-b-1-start", "verb": "start", "outcome": outcome });
        let other = json!({ "id": "coder-b-12-stop", "verb": "stop", "outcome": null });
        view.commands = serde_json::from_value(json!([resized, other, given])).expect("commands");
        assert_eq!(wish("start", "", Some(&(view, shown))), expected);
    }
}

#[test]
fn only_what_differs_is_changed() {
    let ours = living("ready", "timer", json!(ID));
    let words = "--resize --cpu-cores 4 --memory-gb 16";
    let Wish::Give(verb, fields) = build("stop").wish(&asked(words), Some((&ours.0, &ours.1)))
    else {
        panic!("it is a resize")
    };
    assert_eq!(Value::Object(fields.clone()), json!({ "name": "dev", "memory_gb": 16 }));
    assert_eq!(build("stop").command_id(verb, &fields), "coder-b-1-resize-memory_gb");
    assert_eq!(wish("start", "--resize --cpu-cores 4", Some(&ours)), "nothing");
}

#[test]
fn a_slider_that_shows_less_than_there_is_of_what_only_grows_asks_for_nothing() {
    let (view, mut shown) = living("ready", "timer", json!(ID));
    let made = json!({ "vmid": 9000, "disk_gb": 60, "coder_template": "t" });
    shown.made_from = Some(serde_json::from_value(made).expect("what it is made from"));
    let mut ours = (view, shown);
    let wishes = |ours: &(RunView, WorkspaceView), words: &[&str]| {
        words.iter().map(|said| wish("start", &format!("--resize {said}"), Some(ours))).collect()
    };
    let words = ["--disk-gb 40", "--disk-gb 60", "--disk-gb 80", "--volume-gb 0", "--volume-gb 9"];
    let found: Vec<String> = wishes(&ours, &words);
    // That it gets no volume any more is said by Stead.
    assert_eq!(found, ["nothing", "nothing", "resize", "nothing", "resize"]);
    (ours.1.size.disk_gb, ours.1.size.volume_gb) = (Some(100), Some(10));
    let found: Vec<String> = wishes(&ours, &words);
    assert_eq!(found, ["nothing"; 5]);
}

#[test]
fn what_is_made_is_known_by_coders_id() {
    let words = "--cpu-cores 8 --storage-backend nvme --template=";
    let Wish::Give("create", fields) = build("start").wish(&asked(words), None) else {
        panic!("it is a create")
    };
    let expected = json!({
        "name": "dev", "cpu_cores": 8, "storage_backend": "nvme", "coder_id": ID,
        "coder_template": "stead-machine",
    });
    assert_eq!(Value::Object(fields), expected);
}

#[test]
fn people_are_told_that_this_is_not_for_them() {
    let error = Build::of(|_| None).err().expect("there is no build");
    assert!(error.to_string().starts_with("CODER_WORKSPACE_TRANSITION is not set"), "{error}");
}
