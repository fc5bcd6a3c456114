//! The way of a JSON-RPC call: latency, faults, login, the method, the journal.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;

use super::iscsi::{self, Kind};
use super::rpc::{EBUSY, EFAULT, EINVAL, ENOTAUTHENTICATED, RpcError};
use super::session::{Request, Session};
use super::{
    dataset, dataset_delete, dataset_rename, filesystem, jobs, replication, share, snapshot, system,
};
use crate::faults::CallFault;
use crate::journal::{RecordedRequest, kept, redacted};
use crate::world::World;

/// What a method gives.
pub(super) enum Reply {
    /// A result.
    Value(Value),
    /// The number of a job that was started.
    Job(i64),
}

impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

/// Methods that change something, and whose answer can be lost with the socket.
const CHANGES: [&str; 14] = [
    "filesystem.chown",
    "filesystem.setperm",
    "pool.dataset.create",
    "pool.dataset.delete",
    "pool.dataset.rename",
    "pool.dataset.update",
    "pool.snapshot.clone",
    "pool.snapshot.create",
    "pool.snapshot.delete",
    "pool.snapshot.hold",
    "replication.run_onetime",
    "sharing.nfs.create",
    "sharing.nfs.delete",
    "sharing.nfs.update",
];

/// Methods that need no login.
const OPEN: [&str; 4] =
    ["auth.login_ex", "auth.mechanism_choices", "core.ping", "core.set_options"];

/// Carries a call out; `None` closes the socket without an answer.
pub(super) async fn carry_out(
    world: &Arc<World>,
    session: &Arc<Session>,
    request: Request,
) -> Option<Result<Value, RpcError>> {
    world.pace.call().await;
    let outcome = through_rules(world, session, &request).await;
    record(world, &request, outcome.as_ref());
    outcome
}

async fn through_rules(
    world: &Arc<World>,
    session: &Arc<Session>,
    request: &Request,
) -> Option<Result<Value, RpcError>> {
    match world.faults.on_call("truenas", "CALL", &request.method) {
        Some(CallFault::FailLasting) => {
            let text = "The value is not permitted on this system";
            Some(Err(RpcError::field("data", text, EINVAL)))
        }
        Some(CallFault::FailPassing) => Some(Err(RpcError::call(EBUSY, "The system is busy"))),
        Some(CallFault::DropBefore) => None,
        Some(CallFault::LoseResponse) => {
            // Whatever came of it, nobody hears of it.
            let _ = perform(world, session, request).await;
            None
        }
        Some(CallFault::Delay(pause)) => {
            tokio::time::sleep(pause).await;
            through_named(world, session, request).await
        }
        None => through_named(world, session, request).await,
    }
}

async fn through_named(
    world: &Arc<World>,
    session: &Arc<Session>,
    request: &Request,
) -> Option<Result<Value, RpcError>> {
    let fires = |name| world.faults.fires("truenas", name);
    let changes = CHANGES.contains(&request.method.as_str())
        || Kind::of(&request.method).is_some_and(|(_, what)| what != "query");
    if changes && fires("socket-closed-before") {
        return None;
    }
    if changes && fires("method-gone") {
        return Some(Err(RpcError::NoMethod));
    }
    if fires("slow") {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let is_login = request.method == "auth.login_ex";
    if !is_login && fires("overload") {
        return Some(Err(RpcError::TooMany));
    }
    let outcome = perform(world, session, request).await;
    if changes && outcome.is_ok() && fires("socket-closed") {
        return None;
    }
    Some(outcome)
}

async fn perform(
    world: &Arc<World>,
    session: &Arc<Session>,
    request: &Request,
) -> Result<Value, RpcError> {
    let open = OPEN.contains(&request.method.as_str());
    if !open && !session.authenticated.load(Ordering::Acquire) {
        return Err(RpcError::call(ENOTAUTHENTICATED, "Not authenticated"));
    }
    match dispatch(world, session, request)? {
        Reply::Value(value) => Ok(value),
        Reply::Job(id) if session.legacy_jobs.load(Ordering::Acquire) => Ok(Value::from(id)),
        Reply::Job(id) => jobs::outcome(world, id).await,
    }
}

fn dispatch(
    world: &Arc<World>,
    session: &Arc<Session>,
    request: &Request,
) -> Result<Reply, RpcError> {
    let params = request.params.as_slice();
    match request.method.as_str() {
        "auth.login_ex" => system::login(world, session, params),
        "auth.mechanism_choices" => Ok(Value::from(vec!["API_KEY_PLAIN", "PASSWORD_PLAIN"]).into()),
        "api_key.my_keys" => Ok(system::keys(world).into()),
        "auth.me" => Ok(system::user_info().into()),
        "core.ping" => Ok(Value::from("pong").into()),
        "core.set_options" => system::set_options(session, params),
        "core.subscribe" => jobs::subscribe(world, session, params),
        "core.unsubscribe" => Ok(Value::Null.into()),
        "core.get_jobs" => jobs::list(world, params),
        "core.job_abort" => jobs::abort(world, params),
        "core.job_wait" => jobs::wait(world, request),
        "system.info" => Ok(system::info().into()),
        "pool.query" => system::pools(world, params),
        "pool.dataset.create" => dataset::create(world, params),
        "pool.dataset.update" => dataset::update(world, params),
        "pool.dataset.delete" => dataset_delete::delete(world, params),
        "pool.dataset.rename" => dataset_rename::rename(world, params),
        "pool.dataset.query" => dataset::query(world, params),
        "pool.dataset.get_instance" => dataset::get_instance(world, params),
        "pool.dataset.processes" => dataset::processes(world, params),
        "pool.dataset.snapshot_count" => snapshot::count(world, params),
        "pool.snapshot.create" => snapshot::create(world, params),
        "pool.snapshot.delete" => snapshot::delete(world, params),
        "pool.snapshot.hold" => snapshot::hold(world, params),
        "pool.snapshot.clone" => snapshot::clone(world, params),
        "pool.snapshot.query" => snapshot::query(world, params),
        "replication.run_onetime" => replication::run_onetime(world, request),
        "sharing.nfs.create" => share::create(world, params),
        "sharing.nfs.update" => share::update(world, params),
        "sharing.nfs.delete" => share::delete(world, params),
        "sharing.nfs.query" => share::query(world, params),
        "sharing.nfs.get_instance" => share::get_instance(world, params),
        "filesystem.stat" => filesystem::stat(world, params),
        "filesystem.setperm" | "filesystem.chown" => filesystem::change_owner(world, request),
        "iscsi.global.config" => Ok(iscsi::config().into()),
        method => match Kind::of(method) {
            Some((kind, what)) => iscsi::call(world, kind, what, params),
            None => Err(RpcError::NoMethod),
        },
    }
}

fn record(world: &World, request: &Request, outcome: Option<&Result<Value, RpcError>>) {
    let status = match outcome {
        Some(Ok(_)) => 200,
        Some(Err(error)) => error.code(),
        None => 0,
    };
    let secrets = world.all_secrets();
    let result = outcome.filter(|_| world.keeps_answers).and_then(|outcome| outcome.as_ref().ok());
    world.journal.request(RecordedRequest {
        vendor: "truenas".to_owned(),
        method: "CALL".to_owned(),
        path: request.method.clone(),
        query: Value::Null,
        body: redacted(&Value::from(request.params.clone()), &secrets),
        status,
        trace: None,
        answer: result.and_then(|result| kept(result, &secrets)),
    });
}

/// The positional parameter that must be an object with none but these fields.
pub(super) fn fields(
    params: &[Value],
    at: usize,
    required: &[&str],
    optional: &[&str],
) -> Result<serde_json::Map<String, Value>, RpcError> {
    let Some(Value::Object(fields)) = params.get(at) else {
        return Err(RpcError::field("data", "Input should be a valid dictionary", EINVAL));
    };
    let missing = required.iter().filter(|name| !fields.contains_key(**name));
    let missing =
        missing.map(|name| (Some(format!("data.{name}")), "Field required".to_owned(), EINVAL));
    let known = |name: &str| required.contains(&name) || optional.contains(&name);
    let extra = fields.keys().filter(|name| !known(name)).map(|name| {
        (Some(format!("data.{name}")), "Extra inputs are not permitted".to_owned(), EINVAL)
    });
    let wrong: Vec<_> = missing.chain(extra).collect();
    if wrong.is_empty() { Ok(fields.clone()) } else { Err(RpcError::Invalid(wrong)) }
}

/// The positional parameter that must be a text.
pub(super) fn text<'a>(params: &'a [Value], at: usize, name: &str) -> Result<&'a str, RpcError> {
    let text = params.get(at).and_then(Value::as_str);
    text.ok_or_else(|| RpcError::field(name, "Input should be a valid string", EINVAL))
}

/// The positional parameter that must be a number.
pub(super) fn number(params: &[Value], at: usize, name: &str) -> Result<i64, RpcError> {
    let number = params.get(at).and_then(Value::as_i64);
    number.ok_or_else(|| RpcError::field(name, "Input should be a valid integer", EINVAL))
}

/// An option of a call, false if it is not given.
pub(super) fn option(params: &[Value], at: usize, name: &str) -> bool {
    params.get(at).and_then(|options| options.get(name)).and_then(Value::as_bool).unwrap_or(false)
}

/// A positional option of a call, false if it is not given.
pub(super) fn option_at(params: &[Value], at: usize) -> bool {
    params.get(at).and_then(Value::as_bool).unwrap_or(false)
}

/// A failure nobody foresaw.
pub(super) fn unexpected(text: &str) -> RpcError {
    RpcError::call(EFAULT, text)
}
