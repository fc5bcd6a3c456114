//! One WebSocket: messages in, answers and notifications out.
//!
//! Calls of one connection run side by side. When the socket closes they are dropped; jobs are
//! not theirs and go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::methods;
use super::rpc::RpcError;
use crate::world::World;

/// Calls that one connection may have in flight before it is told that they are too many.
const IN_FLIGHT_MAX: usize = 20;
/// Message limits in bytes before and after logging in.
const MESSAGE_MAX_GUEST: usize = 8 << 10;
const MESSAGE_MAX: usize = 64 << 10;

type Sink = SplitSink<WebSocket, Message>;

/// What a connection remembers.
pub(super) struct Session {
    pub(super) authenticated: AtomicBool,
    /// Job methods answer with a job id; without it, with the job's result when it ends.
    pub(super) legacy_jobs: AtomicBool,
    out: UnboundedSender<Out>,
}

/// What goes out.
pub(super) enum Out {
    Text(Value),
    /// The socket closes without a word.
    Hangup,
}

impl Session {
    pub(super) fn send(&self, out: Out) {
        // A closed socket has nobody to tell.
        let _ = self.out.send(out);
    }

    fn message_max(&self) -> usize {
        if self.authenticated.load(Ordering::Acquire) { MESSAGE_MAX } else { MESSAGE_MAX_GUEST }
    }
}

/// Serves a connection until either side ends it.
pub(super) async fn run(world: Arc<World>, socket: WebSocket) {
    let (mut sink, mut stream) = socket.split();
    let (out, mut outgoing) = unbounded_channel();
    let session = Arc::new(Session {
        authenticated: AtomicBool::new(false),
        legacy_jobs: AtomicBool::new(true),
        out,
    });
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            incoming = stream.next() => match incoming {
                Some(Ok(Message::Text(text))) if text.len() > session.message_max() => {
                    too_big(&mut sink).await;
                    return;
                }
                Some(Ok(Message::Text(text))) => accept(&world, &session, &mut calls, text.as_str()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {}
            },
            keep = forward(&mut outgoing, &mut sink) => if !keep { return },
            Some(_) = calls.join_next() => {}
            () = world.closed() => return,
        }
    }
}

async fn too_big(socket: &mut Sink) {
    let frame = CloseFrame { code: 1009, reason: "Max message length is exceeded".into() };
    // The peer may be gone already.
    let _ = socket.send(Message::Close(Some(frame))).await;
}

async fn forward(outgoing: &mut UnboundedReceiver<Out>, socket: &mut Sink) -> bool {
    match outgoing.recv().await {
        Some(Out::Text(value)) => {
            socket.send(Message::Text(value.to_string().into())).await.is_ok()
        }
        Some(Out::Hangup) | None => false,
    }
}

fn accept(world: &Arc<World>, session: &Arc<Session>, calls: &mut JoinSet<()>, text: &str) {
    let request = match parse(text) {
        Ok(request) => request,
        Err((id, error)) => {
            session.send(Out::Text(json!({ "jsonrpc": "2.0", "id": id, "error": error.body() })));
            return;
        }
    };
    if calls.len() >= IN_FLIGHT_MAX {
        session.send(Out::Text(
            json!({ "jsonrpc": "2.0", "id": request.id, "error": RpcError::TooMany.body() }),
        ));
        return;
    }
    let (world, session) = (Arc::clone(world), Arc::clone(session));
    calls.spawn(async move {
        let id = request.id.clone();
        match methods::carry_out(&world, &session, request).await {
            Some(Ok(result)) => {
                session.send(Out::Text(json!({ "jsonrpc": "2.0", "id": id, "result": result })))
            }
            Some(Err(error)) => {
                session
                    .send(Out::Text(json!({ "jsonrpc": "2.0", "id": id, "error": error.body() })));
            }
            None => session.send(Out::Hangup),
        }
    });
}

/// A well-formed call.
pub(super) struct Request {
    pub(super) id: Value,
    pub(super) method: String,
    pub(super) params: Vec<Value>,
}

fn parse(text: &str) -> Result<Request, (Value, RpcError)> {
    let invalid = |id: &Value, why| (id.clone(), RpcError::Malformed(why));
    let message: Value =
        serde_json::from_str(text).map_err(|_| invalid(&Value::Null, "Invalid JSON"))?;
    let id = message.get("id").cloned().unwrap_or(Value::Null);
    if !message.is_object() || message.get("jsonrpc") != Some(&json!("2.0")) {
        return Err(invalid(&id, "Invalid Message Format"));
    }
    let method = message.get("method").and_then(Value::as_str);
    let method = method.ok_or_else(|| invalid(&id, "Missing 'method' member"))?.to_owned();
    match message.get("params") {
        None => Ok(Request { id, method, params: Vec::new() }),
        Some(Value::Array(params)) => Ok(Request { id, method, params: params.clone() }),
        Some(_) => Err(invalid(&id, "`params` must be an array")),
    }
}
