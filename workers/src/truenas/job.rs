//! Waits for the middleware's jobs. The list of jobs lies in memory and is lost when the
//! middleware restarts: a job that is not in it may have ended either way, and only the resource
//! itself can tell.

use std::time::Duration;

use serde_json::{Value, json};
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure, Kind};
use tokio::time::Instant;

use super::classify::{RpcError, classify};
use super::client::Nas;
use crate::http::Effect;
use crate::pace::Pace;

/// How long looking may fail before the job is given up.
const BLINDNESS_MAX: Duration = Duration::from_secs(30);

/// How a job ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JobEnd {
    /// Well.
    Success,
    /// Nobody knows.
    Forgotten,
}

/// Starts a job and waits for its end.
pub(super) async fn run(
    nas: &Nas,
    cx: &StepContext,
    method: &str,
    params: Value,
) -> Result<JobEnd, Failure> {
    let started = nas.act(method, params).await?;
    // On a connection that waits for jobs itself, the answer is the job's result, not its id.
    let Some(id) = started.as_u64() else { return Ok(JobEnd::Success) };
    follow(nas, cx, id).await
}

/// A job of this method that has not ended yet and was asked for so, if there is one.
pub(super) async fn under_way(
    nas: &Nas,
    method: &str,
    asked_so: impl Fn(&Value) -> bool,
) -> Result<Option<u64>, Failure> {
    let open = json!(["WAITING", "RUNNING"]);
    let filters = json!([[["method", "=", method], ["state", "in", open]]]);
    let jobs = nas.look("core.get_jobs", filters).await?;
    let jobs = jobs.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(jobs.iter().find(|job| asked_so(&job["arguments"])).and_then(|job| job["id"].as_u64()))
}

/// Waits for the end of a job that was started.
pub(super) async fn follow(nas: &Nas, cx: &StepContext, id: u64) -> Result<JobEnd, Failure> {
    let mut pace = Pace::new(Duration::from_millis(2), Duration::from_secs(2));
    let mut seen = Instant::now();
    loop {
        let news = nas.session().await.map(|session| session.jobs());
        match state(nas, cx, id).await {
            Ok(Some(end)) => return end,
            Ok(None) => seen = Instant::now(),
            Err(failure) if may_pass(&failure) && seen.elapsed() < BLINDNESS_MAX => {}
            Err(failure) => return Err(failure),
        }
        tokio::select! {
            paused = pace.pause(cx) => paused?,
            () = hear(news) => {}
        }
    }
}

fn may_pass(failure: &Failure) -> bool {
    failure.class.kind() == Kind::Passing
}

/// How a job ended, or why it failed.
type Outcome = Result<JobEnd, Failure>;

/// Whether the job has ended, and how.
async fn state(nas: &Nas, cx: &StepContext, id: u64) -> Result<Option<Outcome>, Failure> {
    let jobs = nas.look("core.get_jobs", json!([[["id", "=", id]]])).await?;
    let Some(job) = jobs.get(0) else { return Ok(Some(Ok(JobEnd::Forgotten))) };
    match job["state"].as_str().unwrap_or_default() {
        "SUCCESS" => Ok(Some(Ok(JobEnd::Success))),
        "FAILED" => Ok(Some(Err(failed(job)))),
        "ABORTED" => Ok(Some(Err(aborted()))),
        _ => {
            let percent = job["progress"]["percent"].as_f64().unwrap_or(0.0);
            cx.progress(format!("job {id}: {percent:.0} %"));
            Ok(None)
        }
    }
}

fn aborted() -> Failure {
    Failure::new(Class::Ambiguous, "somebody aborted the job at TrueNAS")
}

fn failed(job: &Value) -> Failure {
    let text = job["error"].as_str().unwrap_or("the job failed");
    let error = RpcError::of_job(text, job["exc_info"]["extra"].clone());
    classify(&error, Effect::Possible).into()
}

async fn hear(news: Result<tokio::sync::watch::Receiver<u64>, Failure>) {
    let Ok(mut news) = news else { return std::future::pending().await };
    if news.changed().await.is_err() {
        // The session is gone; the pace alone decides when to look again.
        std::future::pending::<()>().await;
    }
}
