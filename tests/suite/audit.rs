//! Who commanded what, and the proof that the record of it is whole: by the real binary, on
//! streams that somebody with every right has tampered with.

use serde_json::{Value, json};
use stead_schemas::ids::Partition;

use crate::stage::{Setting, Stage, Streams, until};

fn said(output: &std::process::Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// A stage where a workspace has lived, which no engine can change any more.
async fn a_life_that_is_over() -> (Stage, String) {
    let mut stage = Stage::with(Setting { partitions: 1, ..Setting::default() }).await;
    let john = stage.desk("john").await;
    let created = john.carry_out("create", json!({ "cpu_cores": 2 })).await;
    john.carry_out("stop", json!({})).await;
    stage.stop_engine(0).await;
    (stage, created.run.to_string())
}

/// The stream that a run's history lies in.
async fn stream_of(streams: &mut Streams, run: &str) -> String {
    for stream in streams.logs().await {
        let messages = streams.messages(&stream).await;
        if messages.iter().any(|message| message.subject.ends_with(run)) {
            return stream;
        }
    }
    panic!("no history of {run}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_altered_history_is_found_and_its_place_named() {
    let (stage, run) = a_life_that_is_over().await;
    let whole = stage.verb(&["audit", "verify"]).await;
    assert!(whole.status.success(), "{}", said(&whole));
    let mut streams = stage.streams().await;
    let stream = stream_of(&mut streams, &run).await;
    let kept = streams.messages(&stream).await;
    let (second, seq) = kept
        .iter()
        .enumerate()
        .filter(|(_, message)| message.subject.ends_with(&run))
        .map(|(place, message)| (place, message.seq))
        .nth(1)
        .expect("a second transition");

    let mut altered = kept.clone();
    let at = altered[second].json()["at"].clone();
    let text = String::from_utf8(altered[second].body.clone()).expect("JSON");
    altered[second].body =
        text.replace(at.as_str().expect("a time"), "2020-01-01T00:00:00.000Z").into();
    streams.replace(&stream, &altered).await;
    let found = stage.verb(&["audit", "verify"]).await;
    let words = said(&found);
    assert!(!found.status.success(), "{words}");
    let place =
        format!("transition 3 of {run} does not follow from transition 2, which was altered");
    assert!(words.contains(&place) && words.contains("1 fault"), "{words}");

    let mut missing = kept.clone();
    missing.remove(second);
    streams.replace(&stream, &missing).await;
    let found = stage.verb(&["audit", "verify", "--json"]).await;
    let words = said(&found);
    let place = format!("sequence {seq}: transition 3 of {run} is where 2 should be");
    assert!(!found.status.success() && words.contains(&place), "{words}");

    // Without the whole history of the home, no other one has a gap.
    let mut without = kept.clone();
    without.retain(|message| !message.subject.contains(".home-"));
    assert!(without.len() < kept.len() && without.last().map(|one| one.seq) > Some(kept[0].seq));
    streams.replace(&stream, &without).await;
    let found = stage.verb(&["audit", "verify"]).await;
    let words = said(&found);
    let place = "partition 0, epoch 0, sequence";
    assert!(!found.status.success() && words.contains(place), "{words}");
    assert!(words.contains("written"), "{words}");

    streams.replace(&stream, &kept).await;
    let whole = stage.verb(&["audit", "verify"]).await;
    assert!(whole.status.success(), "{}", said(&whole));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_commanded_is_listed_and_exported_once() {
    let (stage, run) = a_life_that_is_over().await;
    let listed = stage.verb(&["audit", "log", "--owner", "john"]).await;
    let words = said(&listed);
    assert!(listed.status.success() && words.contains(&run), "{words}");
    let verbs: Vec<bool> = words.lines().map(|line| line.contains("done;")).collect();
    assert_eq!(verbs, [true, true], "{words}");
    let nobody = stage.verb(&["audit", "log", "--owner", "jane", "--json"]).await;
    assert_eq!(said(&nobody).trim(), "[]");
    let wrong = stage.verb(&["audit", "log", "--since", "yesterday"]).await;
    assert!(!wrong.status.success() && said(&wrong).contains("is no time"), "{}", said(&wrong));

    let lines = exported(&stage).await;
    assert_eq!(lines.len(), 4, "each when it was given and when it ended: {lines:#?}");
    assert!(lines.iter().all(|line| line["run"] == run && line["owner"] == "john"), "{lines:#?}");
    assert!(exported(&stage).await.is_empty(), "all of it was told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_is_listed_and_exported_with_who_asked() {
    let stage = Stage::with(Setting { partitions: 1, ..Setting::default() }).await;
    let john = stage.desk("john").await;
    let created = john.carry_out("create", json!({})).await;
    let bad = json!({ "name": "dev", "id": "tried-1" });
    john.ask("workspace", "create", bad).await.expect_err("it is there");
    let bad = serde_json::from_value(json!({ "name": "dev", "colour": "red" })).expect("fields");
    let published = stage.client.publish_command(&john.owner, "workspace", "start", &bad).await;
    published.expect("the inbox takes it");
    until("both refusals are kept", || async {
        (stage.streams().await.count("STEAD_REFUSALS").await == 2).then_some(())
    })
    .await;
    let listed = said(&stage.verb(&["audit", "log", "--owner", "john"]).await);
    for words in ["workspace.exists", "command.unknown-field", "inbox", created.run.as_str()] {
        assert!(listed.contains(words), "{words}: {listed}");
    }
    let starts = ["audit", "log", "--verb", "start", "--entity", "workspace/dev", "--json"];
    let starts: Value = serde_json::from_str(&said(&stage.verb(&starts).await)).expect("JSON");
    assert_eq!(starts.as_array().map(Vec::len), Some(1), "{starts:#}");
    assert_eq!(starts[0]["refused"]["code"], "command.unknown-field");
    let of_jane = said(&stage.verb(&["audit", "log", "--owner", "jane", "--json"]).await);
    assert_eq!(of_jane.trim(), "[]");

    let lines = exported(&stage).await;
    let refused: Vec<&Value> = lines.iter().filter(|line| line["refused"].is_object()).collect();
    assert_eq!(refused.len(), 2, "{lines:#?}");
    assert_eq!((&refused[0]["id"], &refused[0]["owner"]), (&json!("tried-1"), &json!("john")));
    assert!(refused.iter().all(|line| !line["by"].is_null()), "{refused:#?}");
    assert!(exported(&stage).await.is_empty(), "all of it was told");
    john.ask("workspace", "create", json!({ "name": "dev" })).await.expect_err("it is there");
    until("what came behind it is told", || async {
        (exported(&stage).await.len() == 1).then_some(())
    })
    .await;
    stage.finish().await;
}

/// What an export prints that goes on where the one before ended.
async fn exported(stage: &Stage) -> Vec<Value> {
    let position = stage.place("audit.position").display().to_string();
    let told = stage.verb(&["audit", "export", "--position", &position]).await;
    let words = said(&told);
    assert!(told.status.success(), "{words}");
    words.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_of_the_epoch_exports_nothing_again_and_an_altered_archive_is_found() {
    let mut stage = Stage::with(Setting { partitions: 1, ..Setting::default() }).await;
    let john = stage.desk("john").await;
    john.carry_out("create", json!({})).await;
    let over = john.ask("probe", "start", json!({ "name": "over" })).await.expect("it is let in");
    john.outcome(&over).await;
    assert!(exported(&stage).await.len() >= 3);
    until("what is over has left the log", || async {
        stage.verb(&["archive", "now"]).await;
        (stage.client.epoch(Partition(0)).await.ok()? > 0).then_some(())
    })
    .await;
    assert!(exported(&stage).await.is_empty(), "nothing was commanded since");
    john.carry_out("stop", json!({})).await;
    let verbs: Vec<Value> =
        exported(&stage).await.iter().map(|line| line["verb"].clone()).collect();
    assert_eq!(verbs, ["stop", "stop"], "given and ended");

    stage.stop_engine(0).await;
    let mut streams = stage.streams().await;
    let kept = streams.messages("STEAD_ARCHIVE").await;
    // The histories are the longest of a segment's parts.
    let longest = (0..kept.len()).max_by_key(|place| kept[*place].body.len()).expect("a part");
    let mut altered = kept.clone();
    let middle = altered[longest].body.len() / 2;
    altered[longest].body[middle] ^= 1;
    streams.replace("STEAD_ARCHIVE", &altered).await;
    let found = stage.verb(&["audit", "verify"]).await;
    let words = said(&found);
    assert!(!found.status.success() && words.contains("segment 1 of partition 0"), "{words}");
    streams.replace("STEAD_ARCHIVE", &kept).await;
    let whole = stage.verb(&["audit", "verify"]).await;
    let words = said(&whole);
    assert!(whole.status.success() && words.contains("1 segment with 1 run"), "{words}");
}
