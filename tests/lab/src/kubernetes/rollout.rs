//! What the cluster does with a Deployment that has changed: new pods beside the old ones, until all
//! are new, or none of the new ones becomes ready in time.

use std::sync::Arc;

use chrono::Utc;
use serde_json::{Value, json};

use super::state::{Kind, Object};
use crate::world::World;

/// Rolls a generation out.
pub(super) fn begin(world: &Arc<World>, name: &str, generation: u64) {
    let (background, name) = (Arc::clone(world), name.to_owned());
    world.spawn(async move {
        let world = background;
        world.pace.work(200).await;
        if world.faults.fires("kubernetes", "rollout-stuck") {
            let mended = |world: &World| !world.faults.holds("kubernetes", "rollout-stuck");
            world.until(|world| mended(world).then_some(())).await;
        }
        if !change(&world, &name, generation, |object| progress(object, generation)) {
            return;
        }
        world.pace.work(1500).await;
        let trouble = trouble(&world, &name);
        change(&world, &name, generation, |object| match trouble {
            None => finish(object),
            Some(trouble) => give_up(object, trouble),
        });
    });
}

/// Changes the Deployment, unless it was changed or deleted meanwhile.
fn change(world: &World, name: &str, generation: u64, change: impl FnOnce(&mut Object)) -> bool {
    world.change(|state| {
        let found = state.kubernetes.objects.get_mut(&(Kind::Deployment, name.to_owned()));
        let Some(object) = found.filter(|object| object.generation == generation) else {
            return false;
        };
        change(object);
        true
    })
}

/// Why the new pods do not become ready, if they do not.
fn trouble(world: &World, name: &str) -> Option<(String, String)> {
    let image = world.read(|state| {
        let found = state.kubernetes.objects.get(&(Kind::Deployment, name.to_owned()));
        found.map(Object::image).unwrap_or_default()
    });
    let digest = image.rsplit_once('@').map_or("", |(_, digest)| digest);
    let runs = world.read(|state| state.kubernetes.images.get(digest).copied());
    if runs.is_none() || world.faults.fires("kubernetes", "image-pull-failed") {
        let words = format!("Back-off pulling image \"{image}\"");
        return Some(("ImagePullBackOff".to_owned(), words));
    }
    if runs == Some(false) || world.faults.fires("kubernetes", "rollout-failed") {
        let words = "back-off 5m0s restarting failed container=server";
        return Some(("CrashLoopBackOff".to_owned(), words.to_owned()));
    }
    None
}

/// The first new pod is there beside the old ones.
fn progress(object: &mut Object, generation: u64) {
    let available = object.status["availableReplicas"].as_u64().unwrap_or_default();
    let creating = "the container is being created".to_owned();
    object.waiting = Some(("ContainerCreating".to_owned(), creating));
    object.status = json!({
        "observedGeneration": generation, "replicas": available + 1, "updatedReplicas": 1,
        "readyReplicas": available, "availableReplicas": available, "unavailableReplicas": 1,
        "conditions": conditions(available > 0, "True", "ReplicaSetUpdated"),
    });
}

fn finish(object: &mut Object) {
    let replicas = object.replicas();
    object.waiting = None;
    object.status = json!({
        "observedGeneration": object.generation, "replicas": replicas,
        "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
        "conditions": conditions(true, "True", "NewReplicaSetAvailable"),
    });
}

fn give_up(object: &mut Object, trouble: (String, String)) {
    object.waiting = Some(trouble);
    let available = object.status["availableReplicas"].as_u64().unwrap_or_default();
    object.status["conditions"] = conditions(available > 0, "False", "ProgressDeadlineExceeded");
}

fn conditions(is_available: bool, progressing: &str, reason: &str) -> Value {
    let (now, available) = (Utc::now(), if is_available { "True" } else { "False" });
    let of = |kind: &str, status: &str, reason: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": "",
            "lastUpdateTime": now, "lastTransitionTime": now,
        })
    };
    json!([
        of("Available", available, "MinimumReplicasAvailable"),
        of("Progressing", progressing, reason),
    ])
}

/// The pods of a Deployment: those of before are ready, and one that is not says why.
pub(super) fn pods(name: &str, object: &Object) -> Vec<Value> {
    let shown = object.fields.show();
    let labels = &shown["spec"]["template"]["metadata"]["labels"];
    let ready = object.status["availableReplicas"].as_u64().unwrap_or_default();
    let pod = |number: u64, state: Value, image: &str| {
        json!({
            "metadata": { "name": format!("{name}-{number}"), "labels": labels },
            "spec": { "containers": [{ "name": "server", "image": image }] },
            "status": {
                "phase": if state["running"].is_object() { "Running" } else { "Pending" },
                "containerStatuses": [{
                    "name": "server", "image": image, "ready": state["running"].is_object(),
                    "imageID": if state["running"].is_object() { image } else { "" },
                    "restartCount": 0, "state": state,
                }],
            },
        })
    };
    let running = (0..ready).map(|number| pod(number, json!({ "running": {} }), "before"));
    let waiting = object.waiting.iter().map(|(reason, message)| {
        let state = json!({ "waiting": { "reason": reason, "message": message } });
        pod(ready, state, &object.image())
    });
    running.chain(waiting).collect()
}
