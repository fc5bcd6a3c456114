//! Rollouts: that something was applied says nothing yet. What counts is that the controller has
//! seen it, that all pods are of it, and that they answer.

use std::time::Duration;

use serde_json::Value;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::kubernetes::{AwaitRollout, Place};

use super::client::{Client, Kubernetes};
use super::manifest::{Kind, MARKER, Whose, strange, whose};
use crate::http::shortened;
use crate::pace::Pace;

/// How far a rollout is.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Done,
    Waits(String),
    /// Its time is up.
    Failed,
    /// Something else was applied meanwhile.
    Replaced,
}

/// Looks again and again until it is over, and says what it waits for.
pub(super) async fn await_rollout(
    client: Client,
    cx: StepContext,
    ask: AwaitRollout,
) -> Result<Done, Failure> {
    let kubernetes = client.open(&ask.place.login, &ask.place.namespace).await?;
    let mut pace = Pace::new(Duration::from_millis(20), Duration::from_secs(5));
    loop {
        let found = kubernetes.look(Kind::Deployment, &ask.place.name).await?;
        let Some(deployment) = found else {
            let words = "somebody has deleted the Deployment";
            return Err(Failure::new(Class::Permanent, words));
        };
        if whose(&deployment, &ask.place) == Whose::Others {
            return Err(strange(Kind::Deployment, &deployment, &ask.place));
        }
        match standing(&deployment, &ask) {
            Standing::Done => return Ok(Done {}),
            Standing::Failed => return Err(failed(&kubernetes, &ask.place).await?),
            Standing::Replaced => {
                let words = "somebody has given the Deployment another image meanwhile";
                return Err(Failure::new(Class::Conflict, words));
            }
            Standing::Waits(words) => match waiting(&kubernetes, &ask.place).await? {
                Some(why) => cx.progress(format!("{words}: {}", why.words())),
                None => cx.progress(words),
            },
        }
        pace.pause(&cx).await?;
    }
}

fn standing(deployment: &Value, ask: &AwaitRollout) -> Standing {
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    let containers = spec["template"]["spec"]["containers"].as_array();
    let is_ours = |container: &Value| container["image"] == ask.image.as_str();
    if !containers.is_some_and(|all| all.iter().any(is_ours)) {
        return Standing::Replaced;
    }
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    // Whoever scales it meanwhile has it seen anew: the count that is wanted now is what counts.
    let wanted = ask.generation.max(number(&deployment["metadata"]["generation"]));
    if number(&status["observedGeneration"]) < wanted {
        return Standing::Waits("Kubernetes has not seen the change yet".to_owned());
    }
    if is_overdue(status) {
        return Standing::Failed;
    }
    let replicas = spec["replicas"].as_u64().unwrap_or(1);
    let [all, new, ready] =
        ["replicas", "updatedReplicas", "availableReplicas"].map(|field| number(&status[field]));
    if new < replicas {
        return Standing::Waits(format!("{new} of {replicas} pods are new"));
    }
    if all > new {
        return Standing::Waits(format!("{} old pods go", all - new));
    }
    if ready < replicas {
        return Standing::Waits(format!("{ready} of {replicas} pods answer"));
    }
    Standing::Done
}

fn is_overdue(status: &Value) -> bool {
    let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let progressing = conditions.iter().find(|condition| condition["type"] == "Progressing");
    progressing.is_some_and(|condition| {
        condition["status"] == "False" && condition["reason"] == "ProgressDeadlineExceeded"
    })
}

/// Why a pod is not ready, in Kubernetes' own words.
struct Why {
    reason: String,
    message: String,
}

impl Why {
    fn words(&self) -> String {
        format!("a pod is at {}", self.reason)
    }
}

/// Why a pod of the server is not ready, if one says so.
async fn waiting(kubernetes: &Kubernetes, place: &Place) -> Result<Option<Why>, Failure> {
    let selector = format!("app={},{MARKER}={}", place.name, place.marker);
    let pods = kubernetes.list(("api/v1", "pods"), &[("labelSelector", &selector)]).await?;
    Ok(pods.iter().find_map(why))
}

fn why(pod: &Value) -> Option<Why> {
    let text = |value: &Value| shortened(value.as_str().unwrap_or_default());
    let containers = pod["status"]["containerStatuses"].as_array();
    let states = containers.into_iter().flatten().map(|container| &container["state"]);
    let mut states = states.flat_map(|state| [&state["waiting"], &state["terminated"]]);
    let state = states.find(|state| state["reason"].is_string());
    if let Some(state) = state {
        return Some(Why { reason: text(&state["reason"]), message: text(&state["message"]) });
    }
    let conditions = pod["status"]["conditions"].as_array();
    let scheduled =
        |condition: &&Value| condition["type"] == "PodScheduled" && condition["status"] == "False";
    let condition = conditions.into_iter().flatten().find(scheduled)?;
    Some(Why { reason: text(&condition["reason"]), message: text(&condition["message"]) })
}

async fn failed(kubernetes: &Kubernetes, place: &Place) -> Result<Failure, Failure> {
    let why = waiting(kubernetes, place).await?;
    let reason = why.as_ref().map(|why| format!(": {}", why.words())).unwrap_or_default();
    let words = format!("the new pods do not become ready in time{reason}");
    let failure = Failure::new(Class::Permanent, words);
    Ok(match why {
        Some(why) => failure.vendor(why.message),
        None => failure,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stead_schemas::step::kubernetes::{AwaitRollout, Place};

    use super::{Standing, standing, why};

    fn ask() -> AwaitRollout {
        let [login, namespace, name, marker] = ["l", "n", "outline", "m"].map(str::to_owned);
        let place = Place { login, namespace, name, marker };
        AwaitRollout { place, image: "new".to_owned(), generation: 3 }
    }

    /// Observed, all, new and ready pods, of two that are wanted.
    fn deployment([seen, all, new, ready]: [u64; 4]) -> Value {
        json!({
            "metadata": { "generation": 3 },
            "spec": { "replicas": 2, "template": { "spec": { "containers": [{ "image": "new" }] } } },
            "status": {
                "observedGeneration": seen, "replicas": all, "updatedReplicas": new,
                "availableReplicas": ready,
            },
        })
    }

    #[test]
    fn a_rollout_is_done_when_all_pods_are_new_and_answer() {
        let waits = |words: &str| Standing::Waits(words.to_owned());
        for (numbers, expected) in [
            ([2, 2, 2, 2], waits("Kubernetes has not seen the change yet")),
            ([3, 3, 1, 2], waits("1 of 2 pods are new")),
            ([3, 3, 2, 2], waits("1 old pods go")),
            ([3, 2, 2, 1], waits("1 of 2 pods answer")),
            ([3, 2, 2, 2], Standing::Done),
        ] {
            assert_eq!(standing(&deployment(numbers), &ask()), expected, "{numbers:?}");
        }
        let mut fresh = deployment([0; 4]);
        fresh["status"] = json!({});
        assert!(matches!(standing(&fresh, &ask()), Standing::Waits(_)));
    }

    #[test]
    fn a_rollout_whose_time_is_up_has_failed_only_once_it_was_seen() {
        let condition = |status: &str, reason: &str| json!([{ "type": "Progressing", "status": status, "reason": reason }]);
        let mut late = deployment([3, 3, 1, 2]);
        late["status"]["conditions"] = condition("False", "ProgressDeadlineExceeded");
        assert_eq!(standing(&late, &ask()), Standing::Failed);
        // What failed was the generation before.
        late["status"]["observedGeneration"] = 2.into();
        assert!(matches!(standing(&late, &ask()), Standing::Waits(_)));
        let mut paused = deployment([3, 3, 1, 2]);
        paused["status"]["conditions"] = condition("Unknown", "DeploymentPaused");
        assert!(matches!(standing(&paused, &ask()), Standing::Waits(_)));
    }

    #[test]
    fn whoever_gives_it_another_image_is_noticed() {
        let mut other = deployment([3, 2, 2, 2]);
        other["spec"]["template"]["spec"]["containers"][0]["image"] = "other".into();
        assert_eq!(standing(&other, &ask()), Standing::Replaced);
    }

    #[test]
    fn a_pod_says_why_it_waits() {
        let reason = |pod: Value| why(&pod).map(|why| why.reason);
        let waiting = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "m" } });
        let pod = |state: Value| json!({ "status": { "containerStatuses": [{ "state": state }] } });
        assert_eq!(reason(pod(waiting)).as_deref(), Some("ImagePullBackOff"));
        assert_eq!(reason(pod(json!({ "running": {} }))), None);
        let unplaced = json!({ "status": { "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable" },
        ] } });
        assert_eq!(reason(unplaced).as_deref(), Some("Unschedulable"));
    }
}
