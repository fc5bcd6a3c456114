//! What the processes log, for machines and for people: one thing on each line, by which all that
//! became of a run can be found, and in which nobody is named.

use serde_json::{Value, json};
use stead_lab::CallFault;

use crate::stage::{Setting, Stage, until};

/// Letters of a line that a person reads at a glance, or nearly.
const LINE_MAX: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_of_a_run_can_be_found_in_the_logs() {
    let stage = Stage::with(Setting { log_json: true, ..Setting::default() }).await;
    let john = stage.desk("john").await;
    stage.lab.break_call_times("proxmox", "", CallFault::FailPassing, 1).expect("a vendor");
    let created = john.carry_out("create", json!({})).await;
    let run = created.run.to_string();

    let is_done = |line: &Value| line["message"] == "a command is done" && line["run"] == run;
    let logs = until("the log says that the command is done", || async {
        let logs = lines(&stage);
        logs.iter().any(is_done).then_some(logs)
    });
    let logs = logs.await;
    let of_run = |words: &str| {
        let found = logs.iter().find(|line| line["message"] == words && line["run"] == run);
        found.unwrap_or_else(|| panic!("no line says that {words}")).clone()
    };
    assert_eq!(of_run("a command is accepted")["verb"], "create");
    let failed = of_run("an attempt came to nothing");
    assert!(failed["step"].as_str().expect("a step").starts_with("proxmox."), "{failed}");
    assert_eq!(of_run("a step is not done")["step"], failed["step"]);
    for line in &logs {
        assert!(line["timestamp"].is_string() && line["message"].is_string(), "{line}");
        assert!(!line.to_string().contains("john"), "an owner is named: {line}");
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_reads_one_line_of_each_thing() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    stage.lab.break_call_times("proxmox", "", CallFault::FailPassing, 1).expect("a vendor");
    let run = john.carry_out("create", json!({})).await.run.to_string();
    let logs = until("the log says that the command is done", || async {
        let logs = told(&stage);
        let is_done = |line: &String| line.contains("a command is done") && line.contains(&run);
        logs.iter().any(is_done).then_some(logs)
    });
    let logs = logs.await;
    let of_run = |words: &str| {
        let named = format!("run={run}");
        let found = logs.iter().filter(|line| line.contains(words) && line.contains(&named));
        found.cloned().collect::<Vec<_>>()
    };
    for (words, more) in [
        ("a command is accepted", "verb=\"create\""),
        ("an attempt came to nothing", "step=\"proxmox."),
        ("a command is done", "INFO"),
    ] {
        let lines = of_run(words);
        assert!(matches!(&lines[..], [line] if line.contains(more)), "{words}, {more}: {lines:#?}");
    }
    for line in &logs {
        assert!(!line.contains("john"), "an owner is named: {line}");
        assert!(line.chars().all(|letter| !letter.is_control()), "{line:?}");
        assert!(line.chars().count() < LINE_MAX, "nobody reads this: {line}");
    }
    stage.finish().await;
}

/// The lines that the processes log for people: a time, a level, what happened.
fn told(stage: &Stage) -> Vec<String> {
    let is_time = |word: &str| word.starts_with("20") && word.ends_with('Z') && word.contains('T');
    let is_level = |word: &str| ["INFO", "WARN", "ERROR"].contains(&word);
    let said = stage.said();
    let lines = said.iter().flat_map(|(_, text)| text.lines());
    let logged = lines.filter(|line| {
        let mut words = line.split_whitespace();
        words.next().is_some_and(is_time) && words.next().is_some_and(is_level)
    });
    logged.map(str::to_owned).collect()
}

/// Everything that the processes have logged. What the verbs say to people is not a log.
fn lines(stage: &Stage) -> Vec<Value> {
    let said = stage.said();
    let lines = said.iter().flat_map(|(_, text)| text.lines());
    let lines = lines.filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}
