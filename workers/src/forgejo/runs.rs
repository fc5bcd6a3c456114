//! Runs of a repository's workflows: asked for once, found again by their marker, waited for.

use std::time::Duration;

use serde_json::{Value, json};
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::forgejo::{RunWorkflow, WorkflowRun};

use super::client::{Client, Forgejo};
use crate::http::segment;
use crate::pace::Pace;
use crate::trouble::Trouble;

/// The workflow's input that holds our marker.
const MARKER: &str = "marker";
/// How many runs are shown at once, the latest first; Forgejo shows no more.
const PAGE: u32 = 50;
/// How many pages are searched for our marker: a run that is further back has long ended.
const PAGES_MAX: u32 = 10;

/// Asks for the run, unless there is one of this marker, and waits until it has ended.
pub(super) async fn run_workflow(
    client: Client,
    cx: StepContext,
    ask: RunWorkflow,
) -> Result<WorkflowRun, Failure> {
    let forgejo = client.open(&ask.place).await?;
    let mut run = match find(&forgejo, &ask.marker).await? {
        Some(run) => run,
        None => {
            cx.still_wanted()?;
            dispatch(&forgejo, &ask).await?;
            // Forgejo answers when the run is there. The marker tells which one is ours, whoever
            // else has asked for one.
            found_again(find(&forgejo, &ask.marker).await?)?
        }
    };
    let mut pace = Pace::new(Duration::from_millis(20), Duration::from_secs(10));
    loop {
        if let Some(ended) = ended(&run) {
            return Ok(ended);
        }
        cx.progress(format!("the run is {}", status(&run)));
        pace.pause(&cx).await?;
        let number = run["id"].as_i64().unwrap_or_default();
        run = found_again(forgejo.look(&format!("/actions/runs/{number}"), &[]).await?)?;
    }
}

async fn dispatch(forgejo: &Forgejo, ask: &RunWorkflow) -> Result<(), Failure> {
    let path = format!("/actions/workflows/{}/dispatches", segment(&ask.workflow));
    let body = json!({ "ref": ask.branch, "inputs": { MARKER: ask.marker } });
    match forgejo.post(&path, &body).await {
        Ok(_) => Ok(()),
        Err(Trouble::Missing(said)) => {
            let RunWorkflow { workflow, branch, place, .. } = ask;
            let words = format!("{} has no workflow {workflow} on {branch}", place.repository);
            Err(Failure { words, ..said })
        }
        Err(trouble) => Err(trouble.into()),
    }
}

/// The run of this marker, if there is one.
async fn find(forgejo: &Forgejo, marker: &str) -> Result<Option<Value>, Failure> {
    let limit = PAGE.to_string();
    for page in 1..=PAGES_MAX {
        let page = page.to_string();
        let query = [("event", "workflow_dispatch"), ("limit", &limit), ("page", &page)];
        let listed = forgejo.look("/actions/runs", &query).await?.unwrap_or_default();
        let runs = listed["workflow_runs"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(run) = runs.iter().find(|run| is_marked(run, marker)) {
            return Ok(Some(run.clone()));
        }
        if u32::try_from(runs.len()).unwrap_or(PAGE) < PAGE {
            break;
        }
    }
    Ok(None)
}

/// What a run was started with stands in it as a text of JSON.
fn is_marked(run: &Value, marker: &str) -> bool {
    let payload = run["event_payload"].as_str().unwrap_or_default();
    let payload: Value = serde_json::from_str(payload).unwrap_or_default();
    payload["inputs"][MARKER] == marker
}

fn found_again(run: Option<Value>) -> Result<Value, Failure> {
    run.ok_or_else(|| Failure::new(Class::Retry, "Forgejo does not show the run yet"))
}

fn status(run: &Value) -> &str {
    run["status"].as_str().unwrap_or("unknown")
}

/// What came of the run, once something did.
fn ended(run: &Value) -> Option<WorkflowRun> {
    let status = status(run);
    if !matches!(status, "success" | "failure" | "cancelled" | "skipped") {
        return None;
    }
    Some(WorkflowRun {
        succeeded: status == "success",
        status: status.to_owned(),
        url: run["html_url"].as_str().unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ended, is_marked};

    #[test]
    fn a_run_that_was_skipped_proves_nothing() {
        let came_of = |status: &str| ended(&json!({ "status": status })).map(|run| run.succeeded);
        for status in ["waiting", "running", "blocked", "unknown"] {
            assert_eq!(came_of(status), None, "{status}");
        }
        assert_eq!(came_of("success"), Some(true));
        for status in ["failure", "cancelled", "skipped"] {
            assert_eq!(came_of(status), Some(false), "{status}");
        }
    }

    #[test]
    fn only_the_input_is_a_marker() {
        let run = json!({ "title": "m", "event_payload": "{\"inputs\":{\"marker\":\"m\"}}" });
        assert!(is_marked(&run, "m"));
        assert!(!is_marked(&run, "other"));
        assert!(!is_marked(&json!({ "title": "m", "event_payload": "" }), "m"));
    }
}
