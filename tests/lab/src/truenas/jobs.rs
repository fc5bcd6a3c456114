//! Jobs: numbered work that outlives the connection that asked for it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::methods::{Reply, number, text, unexpected};
use super::query;
use super::rpc::{EINVAL, ENOENT, RpcError};
use super::session::{Out, Request, Session};
use crate::world::{NAS_USER, State, World};

/// One job.
#[derive(Clone)]
pub(super) struct Job {
    id: i64,
    method: String,
    arguments: Vec<Value>,
    message: Value,
    started: DateTime<Utc>,
    finished: Option<DateTime<Utc>>,
    outcome: Option<Result<Value, RpcError>>,
    aborted: bool,
}

impl Job {
    fn state(&self) -> &'static str {
        match &self.outcome {
            _ if self.aborted => "ABORTED",
            None => "RUNNING",
            Some(Ok(_)) => "SUCCESS",
            Some(Err(_)) => "FAILED",
        }
    }

    fn entry(&self) -> Value {
        let stamp = |at: DateTime<Utc>| json!({ "$date": at.timestamp_millis() });
        let (error, info) = match &self.outcome {
            Some(Err(error)) => {
                let (text, info) = error.of_job();
                (json!(text), info)
            }
            Some(Ok(_)) | None => (Value::Null, Value::Null),
        };
        let result = self.outcome.as_ref().and_then(|outcome| outcome.as_ref().ok()).cloned();
        json!({
            "id": self.id, "message_ids": [self.message], "method": self.method,
            "arguments": self.arguments, "transient": false, "description": null, "abortable": false,
            "logs_path": null, "logs_excerpt": null,
            "progress": {
                "percent": if self.outcome.is_some() { 100 } else { 0 }, "description": "", "extra": null,
            },
            "result": result, "result_encoding_error": null, "error": error, "exception": error,
            "exc_info": info, "state": self.state(), "time_started": stamp(self.started),
            "time_finished": self.finished.map(stamp),
            "credentials": { "type": "API_KEY", "data": { "username": NAS_USER } },
        })
    }
}

/// Starts a job; its work is done at its end.
pub(super) fn start(
    world: &Arc<World>,
    request: &Request,
    ms: u64,
    work: impl FnOnce(&World) -> Result<Value, RpcError> + Send + 'static,
) -> i64 {
    let id = world.change(|state| add(state, request));
    if world.faults.fires("truenas", "job-list-lost") {
        world.change(|state| state.truenas.jobs.clear());
    }
    let background = Arc::clone(world);
    world.spawn(async move {
        background.pace.work(ms).await;
        let fails = background.faults.fires("truenas", "job-failed");
        let outcome =
            if fails { Err(unexpected("The job was made to fail")) } else { work(&background) };
        background.change(|state| finish(state, id, outcome));
    });
    id
}

fn add(state: &mut State, request: &Request) -> i64 {
    let nas = &mut state.truenas;
    let id = nas.next_job;
    nas.next_job += 1;
    let job = Job {
        id,
        method: request.method.clone(),
        arguments: request.params.clone(),
        message: request.id.clone(),
        started: Utc::now(),
        finished: None,
        outcome: None,
        aborted: false,
    };
    announce(state, "added", &job);
    state.truenas.jobs.insert(id, job);
    id
}

fn finish(state: &mut State, id: i64, outcome: Result<Value, RpcError>) {
    let Some(job) = state.truenas.jobs.get_mut(&id) else {
        return;
    };
    job.finished = Some(Utc::now());
    job.outcome = Some(outcome);
    let job = job.clone();
    announce(state, "changed", &job);
}

fn announce(state: &State, what: &str, job: &Job) {
    let event = json!({
        "jsonrpc": "2.0",
        "method": "collection_update",
        "params": { "msg": what, "collection": "core.get_jobs", "id": job.id, "fields": job.entry() },
    });
    // Nobody may be listening.
    let _ = state.truenas.job_events.send(event);
}

/// The result of a job, once it has ended.
pub(super) async fn outcome(world: &World, id: i64) -> Result<Value, RpcError> {
    world
        .until(|world| {
            world.read(|state| match state.truenas.jobs.get(&id) {
                Some(job) => job.outcome.clone(),
                None => Some(Err(RpcError::missing("Job", &id.to_string()))),
            })
        })
        .await
}

pub(super) fn list(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let items = world.read(|state| state.truenas.jobs.values().map(Job::entry).collect());
    query::run(items, params)
}

/// None of the jobs here can be stopped half-way; the record says it was tried.
pub(super) fn abort(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let id = number(params, 0, "id")?;
    world.change(|state| {
        let job = state.truenas.jobs.get_mut(&id);
        let job = job.ok_or_else(|| RpcError::call(ENOENT, format!("Job {id} does not exist")))?;
        job.aborted = job.outcome.is_none();
        Ok(Value::Null.into())
    })
}

/// Waiting for a job is a job itself.
pub(super) fn wait(world: &Arc<World>, request: &Request) -> Result<Reply, RpcError> {
    let awaited = number(&request.params, 0, "id")?;
    let id = world.change(|state| add(state, request));
    let background = Arc::clone(world);
    world.spawn(async move {
        let ended = outcome(&background, awaited).await;
        background.change(|state| finish(state, id, ended));
    });
    Ok(Reply::Job(id))
}

/// Sends the job events of the whole system to this connection, as long as it lasts.
pub(super) fn subscribe(
    world: &Arc<World>,
    session: &Arc<Session>,
    params: &[Value],
) -> Result<Reply, RpcError> {
    let event = text(params, 0, "event")?;
    if event != "core.get_jobs" {
        return Err(RpcError::field("event", format!("Event {event} does not exist"), EINVAL));
    }
    let session = Arc::downgrade(session);
    let background = Arc::clone(world);
    let mut events = world.read(|state| state.truenas.job_events.subscribe());
    // Not the world's work: a reset must not silence a connection that lives on.
    tokio::spawn(async move {
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = background.closed() => return,
            };
            match event {
                Ok(event) => match session.upgrade() {
                    Some(session) => session.send(Out::Text(event)),
                    None => return,
                },
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => {
                    events = background.read(|state| state.truenas.job_events.subscribe());
                }
            }
        }
    });
    Ok(Value::from(world.pace.uuid().to_string()).into())
}
