//! Jobs that make copies, prove and remove them: what a CronJob of the site's would start, told by its
//! environment what to do. Somebody has written those CronJobs; they are suspended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer;
use super::state::NAMESPACE;
use crate::net::{Answer, Call};
use crate::world::World;

/// The CronJobs that there are.
const CRON_JOBS: [&str; 2] = ["etcd-backup", "postgres-backup"];

/// What is known of Jobs.
#[derive(Default)]
pub(super) struct Jobs {
    jobs: BTreeMap<String, Job>,
    /// The copies that were made.
    copies: BTreeSet<String>,
}

#[derive(Clone)]
struct Job {
    uid: Uuid,
    born: DateTime<Utc>,
    object: Value,
    /// What it said, and whether it ended well; nothing while it runs.
    end: Option<Result<String, String>>,
}

impl Job {
    fn env(&self, name: &str) -> String {
        let env = &self.object["spec"]["template"]["spec"]["containers"][0]["env"];
        let env = env.as_array().map(Vec::as_slice).unwrap_or_default();
        let found = env.iter().find(|one| one["name"] == name);
        found.and_then(|one| one["value"].as_str()).unwrap_or_default().to_owned()
    }

    fn shape(&self) -> Value {
        let mut shown = self.object.clone();
        shown["metadata"]["uid"] = self.uid.to_string().into();
        shown["metadata"]["creationTimestamp"] = self.born.to_rfc3339().into();
        let condition = |kind: &str, reason: Value| json!([{ "type": kind, "status": "True", "reason": reason, "message": "" }]);
        shown["status"] = match &self.end {
            None => json!({ "active": 1, "ready": 1 }),
            Some(Ok(_)) => {
                json!({ "succeeded": 1, "conditions": condition("Complete", Value::Null) })
            }
            Some(Err(_)) => {
                let conditions = condition("Failed", "BackoffLimitExceeded".into());
                json!({ "failed": 1, "conditions": conditions })
            }
        };
        shown
    }
}

/// `/apis/batch/v1/namespaces/{}/…`
pub(super) fn route(world: &Arc<World>, call: &Call, rest: &[&str]) -> Result<Answer, Answer> {
    match (call.method.as_str(), rest) {
        ("GET", ["cronjobs", name]) => cron_job(name),
        ("GET", ["jobs", name]) => world.read(|state| {
            let found = state.kubernetes.jobs.jobs.get(*name);
            let found = found.ok_or_else(|| answer::not_found("jobs.batch", name))?;
            Ok(Answer::json(200, found.shape()))
        }),
        ("POST", ["jobs"]) => create(world, call),
        _ => Err(answer::status(405, "MethodNotAllowed", "the server does not allow this", &[])),
    }
}

fn cron_job(name: &str) -> Result<Answer, Answer> {
    if !CRON_JOBS.contains(&name) {
        return Err(answer::not_found("cronjobs.batch", name));
    }
    let container = json!({
        "name": "copy", "image": format!("registry.lan/{name}@sha256:0"),
        "env": [{ "name": "TARGET", "value": "/backup" }, { "name": "STEAD_WORK", "value": "make" }],
    });
    let pod = json!({ "restartPolicy": "Never", "containers": [container] });
    let body = json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": {
            "schedule": "0 0 1 1 *", "suspend": true,
            "jobTemplate": { "spec": { "backoffLimit": 0, "template": { "spec": pod } } },
        },
    });
    Ok(Answer::json(200, body))
}

fn create(world: &Arc<World>, call: &Call) -> Result<Answer, Answer> {
    let object = Value::Object(call.fields());
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 63 || !name.bytes().all(plain) {
        return Err(answer::invalid(&format!("Job.batch \"{name}\" is invalid: metadata.name")));
    }
    if object["apiVersion"] != "batch/v1" || object["kind"] != "Job" {
        return Err(answer::bad_request("the object provided is of another kind than the path"));
    }
    let job = Job { uid: world.pace.uuid(), born: Utc::now(), object, end: None };
    let shown = job.shape();
    let marker = shown["metadata"]["labels"]["stead/marker"].as_str().unwrap_or_default();
    world.change(|state| {
        let jobs = &mut state.kubernetes.jobs.jobs;
        if jobs.contains_key(&name) {
            let words = format!("jobs.batch \"{name}\" already exists");
            return Err(answer::status(409, "AlreadyExists", &words, &[]));
        }
        jobs.insert(name.clone(), job);
        Ok(())
    })?;
    world.journal.effect("kubernetes", "job-created", &name, marker);
    let background = Arc::clone(world);
    world.spawn(async move {
        background.pace.work(300).await;
        carry_out(&background, &name);
    });
    Ok(Answer::json(201, shown))
}

fn carry_out(world: &World, name: &str) {
    let fails = world.faults.fires("kubernetes", "job-failed");
    let is_hollow = !fails && world.faults.fires("kubernetes", "job-hollow");
    world.change(|state| {
        let jobs = &mut state.kubernetes.jobs;
        let Some(job) = jobs.jobs.get_mut(name) else { return };
        let (copy, work) = (job.env("STEAD_COPY"), job.env("STEAD_WORK"));
        let is_there = jobs.copies.contains(&copy);
        job.end = Some(match work.as_str() {
            _ if fails => Err("write: no space left on device".to_owned()),
            "make" if is_hollow => Ok(format!("{copy} is made")),
            "make" => {
                jobs.copies.insert(copy.clone());
                Ok(format!("{copy} is made"))
            }
            "prove" if is_there => Ok(format!("{copy} is whole")),
            "prove" => Err(format!("there is no {copy}")),
            _ => Ok("nothing is old".to_owned()),
        });
    });
}

/// The pods of the Job that is selected.
pub(super) fn pods(world: &World, job: &str) -> Answer {
    world.read(|state| {
        let found = state.kubernetes.jobs.jobs.get(job);
        let pod = |job: &Job| {
            let name = job.object["metadata"]["name"].as_str().unwrap_or_default();
            let metadata = json!({
                "name": format!("{name}-0"), "namespace": NAMESPACE,
                "creationTimestamp": job.born.to_rfc3339(), "labels": { "job-name": name },
            });
            json!({ "metadata": metadata, "status": {} })
        };
        let items: Vec<Value> = found.map(pod).into_iter().collect();
        let body = json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items });
        Answer::json(200, body)
    })
}

/// What a pod has said.
pub(super) fn log(world: &World, pod: &str) -> Result<Answer, Answer> {
    world.read(|state| {
        let job = pod.strip_suffix("-0").and_then(|job| state.kubernetes.jobs.jobs.get(job));
        let job = job.ok_or_else(|| answer::not_found("pods", pod))?;
        let said = match &job.end {
            Some(Ok(said) | Err(said)) => format!("begun\n{said}\n\n"),
            None => "begun\n".to_owned(),
        };
        Ok(Answer::bytes("text/plain", said.into_bytes()))
    })
}
