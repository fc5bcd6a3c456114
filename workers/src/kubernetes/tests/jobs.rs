//! Jobs that make copies, against the lab.

use serde_json::Value;
use stead_schemas::failure::Class;
use stead_schemas::step::backup::{JobPlace, Old, RunJob, Work};
use stead_schemas::time::Timestamp;

use super::LOGIN;
use crate::testing::Stage;

const COPY: &str = "stead-etcd-2026-11-30t02-00-00-000z";

fn run(work: Work) -> RunJob {
    let [login, namespace, cron_job] = [LOGIN, "mcp-servers", "etcd-backup"].map(str::to_owned);
    let [series, marker] = ["stead-etcd-", "backup-etcd"].map(str::to_owned);
    let place = JobPlace { login, namespace, cron_job, series, marker };
    RunJob { place, copy: COPY.to_owned(), work, old: None }
}

/// The Jobs that were sent, in order.
fn sent(stage: &Stage) -> Vec<Value> {
    let requests = stage.lab.requests().into_iter();
    let jobs = requests.filter(|call| call.method == "POST" && call.path.ends_with("/jobs"));
    jobs.map(|call| call.body).collect()
}

#[tokio::test]
async fn a_job_is_told_what_to_do_and_watched_to_its_end() {
    let stage = Stage::open().await;
    for _ in 0..2 {
        stage.ask(run(Work::Make)).await.unwrap();
    }
    let proof = stage.ask(run(Work::Prove)).await.unwrap();
    assert_eq!(proof.words, format!("{COPY} is whole"));
    let old = Old { before: Timestamp::from_millis(0), but: COPY.to_owned() };
    stage.ask(RunJob { old: Some(old), ..run(Work::Remove) }).await.unwrap();
    let sent = sent(&stage);
    assert_eq!(sent.len(), 3, "asked twice it is started once");
    assert!(sent.iter().all(|job| job["spec"]["activeDeadlineSeconds"] == 86_400));
    let container = &sent[2]["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "registry.lan/etcd-backup@sha256:0");
    let env = container["env"].as_array().unwrap().iter();
    let env: Vec<_> =
        env.map(|one| [&one["name"], &one["value"]].map(|text| text.as_str().unwrap())).collect();
    assert_eq!(
        env,
        [
            ["TARGET", "/backup"],
            ["STEAD_COPY", COPY],
            ["STEAD_SERIES", "stead-etcd-"],
            ["STEAD_WORK", "remove"],
            ["STEAD_BEFORE", "1970-01-01T00:00:00.000Z"],
            ["STEAD_KEEP", COPY],
        ]
    );
    assert!(sent[0]["metadata"]["name"].as_str().is_some_and(|name| name.len() <= 63));
}

#[tokio::test]
async fn a_job_that_fails_says_what_it_said_last() {
    let stage = Stage::open().await;
    stage.lab.break_times("kubernetes", "job-failed", 1).unwrap();
    let failure = stage.refused(run(Work::Make), Class::Permanent).await;
    assert!(failure.to_string().contains("BackoffLimitExceeded"), "{failure}");
    assert!(failure.to_string().contains("no space left on device"), "{failure}");
}

#[tokio::test]
async fn what_says_that_it_has_made_a_copy_and_has_not_is_found_out() {
    let stage = Stage::open().await;
    stage.lab.break_times("kubernetes", "job-hollow", 1).unwrap();
    stage.ask(run(Work::Make)).await.unwrap();
    let failure = stage.refused(run(Work::Prove), Class::Permanent).await;
    assert!(failure.to_string().contains("there is no"), "{failure}");
}

#[tokio::test]
async fn a_lost_answer_starts_one_job() {
    let stage = Stage::open().await;
    stage.survives(("kubernetes", "lost-response"), Class::Ambiguous, run(Work::Make)).await;
    assert_eq!(stage.count("job-created"), 1);
}

#[tokio::test]
async fn a_strangers_job_is_not_taken_for_ours() {
    let stage = Stage::open().await;
    stage.ask(run(Work::Make)).await.unwrap();
    let mut theirs = run(Work::Make);
    theirs.place.marker = "backup-other".to_owned();
    stage.refused(theirs, Class::Conflict).await;
    let mut nowhere = run(Work::Prove);
    nowhere.place.cron_job = "nowhere".to_owned();
    let failure = stage.refused(nowhere, Class::Permanent).await;
    assert_eq!(failure.words, "there is no CronJob mcp-servers/nowhere");
}
