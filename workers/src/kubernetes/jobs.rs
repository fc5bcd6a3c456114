//! Jobs: carried out once, of what a CronJob of the site's would carry out. What a copy is made of, and
//! what proves it, is that Job's own business; here it is told what it is to do, and watched to its end.

use std::time::Duration;

use serde_json::{Value, json};
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::backup::{Proof, RunJob, Work};

use super::client::{Client, Kubernetes};
use super::manifest::MARKER;
use crate::http::shortened;
use crate::pace::Pace;

const CRON_JOBS: (&str, &str) = ("apis/batch/v1", "cronjobs");
const JOBS: (&str, &str) = ("apis/batch/v1", "jobs");
const PODS: (&str, &str) = ("api/v1", "pods");
/// How long a Job and its pods stay for whoever looks at them: three days, in seconds.
const STAYS_SECONDS: u32 = 3 * 24 * 60 * 60;
/// How long a Job may work, whatever its template says: a day, in seconds. Nobody waits for it longer, and
/// the next one of its backup must not find it at work.
const WORKS_SECONDS: u64 = 24 * 60 * 60;
/// How many lines of its log are read; the last one that says something is kept.
const LINES: &str = "5";

/// Starts the Job, or finds the one that was started, and waits for its end.
pub(super) async fn run_job(
    client: Client,
    cx: StepContext,
    ask: RunJob,
) -> Result<Proof, Failure> {
    let kubernetes = client.open(&ask.place.login, &ask.place.namespace).await?;
    let name = name(&ask);
    if find(&kubernetes, &ask, &name).await?.is_none() {
        let place = &ask.place;
        let Some(cron_job) = kubernetes.look_at(CRON_JOBS, &place.cron_job).await? else {
            let words = format!("there is no CronJob {}/{}", place.namespace, place.cron_job);
            return Err(Failure::new(Class::Permanent, words));
        };
        cx.still_wanted()?;
        kubernetes.create(JOBS, &job(&ask, &name, &cron_job)).await?;
    }
    let mut pace = Pace::new(Duration::from_millis(20), Duration::from_secs(5));
    loop {
        let Some(job) = find(&kubernetes, &ask, &name).await? else {
            let words = format!("somebody has deleted the Job {name} before its end");
            return Err(Failure::new(Class::Permanent, words));
        };
        match end(&job) {
            Some(Ok(())) => {
                let words = last_words(&kubernetes, &name).await;
                let words = words.unwrap_or_else(|| format!("the Job {name} ended well"));
                return Ok(Proof { words, bytes: None });
            }
            Some(Err(reason)) => {
                let words = format!("the Job {name} failed: {reason}");
                let said = last_words(&kubernetes, &name).await.unwrap_or_default();
                return Err(Failure::new(Class::Permanent, words).vendor(said));
            }
            None => cx.progress(format!("the Job {name} is under way")),
        }
        pace.pause(&cx).await?;
    }
}

const fn word(work: Work) -> &'static str {
    match work {
        Work::Make => "make",
        Work::Prove => "prove",
        Work::Remove => "remove",
    }
}

fn name(ask: &RunJob) -> String {
    format!("{}-{}", ask.copy, word(ask.work))
}

/// The Job of this name; somebody else's is a conflict.
async fn find(kubernetes: &Kubernetes, ask: &RunJob, name: &str) -> Result<Option<Value>, Failure> {
    let found = kubernetes.look_at(JOBS, name).await?;
    match found {
        Some(job) if job["metadata"]["labels"][MARKER] != ask.place.marker.as_str() => {
            let words = format!("the Job {name} is there and is not ours");
            Err(Failure::new(Class::Conflict, words))
        }
        found => Ok(found),
    }
}

/// What the CronJob would start, told what to do.
fn job(ask: &RunJob, name: &str, cron_job: &Value) -> Value {
    let mut spec = cron_job["spec"]["jobTemplate"]["spec"].clone();
    spec["ttlSecondsAfterFinished"] = STAYS_SECONDS.into();
    let wanted = spec["activeDeadlineSeconds"].as_u64().unwrap_or(WORKS_SECONDS);
    spec["activeDeadlineSeconds"] = wanted.min(WORKS_SECONDS).into();
    let containers = spec["template"]["spec"]["containers"].as_array_mut();
    for container in containers.into_iter().flatten() {
        let mut env = container["env"].as_array().cloned().unwrap_or_default();
        let told = told(ask);
        env.retain(|known| !told.iter().any(|(name, _)| known["name"] == *name));
        env.extend(told.into_iter().map(|(name, value)| json!({ "name": name, "value": value })));
        container["env"] = env.into();
    }
    let labels = json!({ "app.kubernetes.io/managed-by": "stead", MARKER: ask.place.marker });
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": name, "namespace": ask.place.namespace, "labels": labels,
            "annotations": { "cronjob.kubernetes.io/instantiate": "manual" },
        },
        "spec": spec,
    })
}

/// What it finds in its environment.
fn told(ask: &RunJob) -> Vec<(&'static str, String)> {
    let mut told = vec![
        ("STEAD_COPY", ask.copy.clone()),
        ("STEAD_SERIES", ask.place.series.clone()),
        ("STEAD_WORK", word(ask.work).to_owned()),
    ];
    if let Some(old) = &ask.old {
        told.push(("STEAD_BEFORE", old.before.to_string()));
        told.push(("STEAD_KEEP", old.but.clone()));
    }
    told
}

/// How it ended, if it has: well, or for which reason not.
fn end(job: &Value) -> Option<Result<(), String>> {
    let conditions = job["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let holds = |kind: &str| {
        conditions
            .iter()
            .find(|condition| condition["type"] == kind && condition["status"] == "True")
    };
    let reason = |condition: &Value| shortened(condition["reason"].as_str().unwrap_or("unknown"));
    let failed = holds("Failed").map(|condition| Err(reason(condition)));
    failed.or_else(|| holds("Complete").map(|_| Ok(())))
}

/// The last line of the log that says something, of the pod that was started last. Where it cannot be
/// read, the Job has ended as it has all the same.
async fn last_words(kubernetes: &Kubernetes, job: &str) -> Option<String> {
    let selector = format!("job-name={job}");
    let mut pods = kubernetes.list(PODS, &[("labelSelector", &selector)]).await.ok()?;
    pods.sort_by_key(|pod| {
        pod["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned()
    });
    let name = pods.last()?["metadata"]["name"].as_str()?;
    let log = kubernetes.log(name, LINES).await.ok()?;
    log.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(shortened)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::end;

    #[test]
    fn a_job_has_ended_once_kubernetes_says_how() {
        let check = |conditions: Value, expected: Option<Result<(), String>>| {
            assert_eq!(end(&json!({ "status": { "conditions": conditions } })), expected);
        };
        check(Value::Null, None);
        check(json!([{ "type": "Suspended", "status": "True" }]), None);
        check(json!([{ "type": "SuccessCriteriaMet", "status": "True" }]), None);
        check(json!([{ "type": "Complete", "status": "True" }]), Some(Ok(())));
        let failed = json!([
            { "type": "FailureTarget", "status": "True", "reason": "BackoffLimitExceeded" },
            { "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded" },
        ]);
        check(failed, Some(Err("BackoffLimitExceeded".to_owned())));
    }
}
