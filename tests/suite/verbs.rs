//! What the command line answers to bad input: the exit code, the words, and the same for machines.

use serde_json::{Value, json};

use crate::stage::Stage;

/// Words that are given to `stead`, and how it ends.
struct Bad<'a> {
    words: &'a [&'a str],
    exit: i32,
    /// What a person reads.
    says: &'a str,
    /// What a machine reads.
    error: Value,
}

const CREATE: [&str; 3] = ["workspace", "create", "--owner=john"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verb_that_ends_badly_says_so_to_people_and_to_machines() {
    let stage = Stage::start().await;
    stage.desk("john").await.carry_out("create", json!({ "name": "there" })).await;
    let before = stage.streams().await.transitions().await;
    let [workspace, create, owner] = CREATE;
    let refused =
        |code: &str, field: &str| json!({ "kind": "refused", "code": code, "field": field });
    for bad in [
        Bad {
            words: &[workspace, create, owner, "Dev"],
            exit: 3,
            says: "name: ",
            error: refused("workspace.name-invalid", "name"),
        },
        Bad {
            words: &[workspace, create, owner, "there"],
            exit: 3,
            says: "[workspace.exists]",
            error: refused("workspace.exists", "name"),
        },
        Bad {
            words: &[workspace, create, owner, "new", "--cpu-cores=17", "--wait"],
            exit: 3,
            says: "cpu_cores: ",
            error: refused("parameter.out-of-range", "cpu_cores"),
        },
        Bad {
            words: &[workspace, "show", owner, "nowhere"],
            exit: 3,
            says: "`stead run list --all` shows what there is",
            error: refused("workspace.unknown", "name"),
        },
        Bad {
            words: &[workspace, "explode"],
            exit: 2,
            says: "unrecognized subcommand",
            error: json!({ "kind": "usage" }),
        },
        Bad {
            words: &["config", "check", "/nowhere.toml"],
            exit: 5,
            says: "there is no configuration /nowhere.toml",
            error: json!({ "kind": "invalid" }),
        },
    ] {
        check(&stage, &bad).await;
    }
    assert_eq!(stage.streams().await.transitions().await, before, "nothing is written");
    stage.finish().await;
}

async fn check(stage: &Stage, bad: &Bad<'_>) {
    let told = stage.verb(bad.words).await;
    let said = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(bad.exit), "{:?}: {said}", bad.words);
    assert!(said.contains(bad.says), "{:?}: {said}", bad.words);
    assert!(told.stdout.is_empty(), "{:?}: a result is printed", bad.words);
    let words: Vec<&str> = bad.words.iter().copied().chain(["--json"]).collect();
    let told = stage.verb(&words).await;
    let said = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(bad.exit), "{words:?}: {said}");
    assert!(told.stdout.is_empty(), "{words:?}: a result is printed");
    let read: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{words:?}: {said}"));
    let error = &read["error"];
    assert_eq!(error["exit"], bad.exit, "{said}");
    assert!(error["words"].as_str().is_some_and(|words| words.len() > 10), "{said}");
    for (field, value) in bad.error.as_object().expect("fields") {
        assert_eq!(&error[field], value, "{words:?}: {said}");
    }
}
