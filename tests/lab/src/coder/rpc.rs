//! The door of agents: a WebSocket that is open for as long as an agent is connected.
//!
//! What a real agent says in there is between it and Coder. The lab takes a connection that stands
//! as the sign that the agent is ready, and its end as the agent's.

use std::sync::Arc;

use axum::Router;
use axum::extract::State as Shared;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;

use super::agent::{ConnectError, Lifecycle};
use super::{Coder, answer};
use crate::net;
use crate::world::World;

/// The whole of Coder.
pub(crate) fn router(world: Arc<World>) -> Router {
    let door = Router::new().route("/api/v2/workspaceagents/me/rpc", get(connect));
    door.with_state(Arc::clone(&world)).merge(net::router::<Coder>(world))
}

async fn connect(
    Shared(world): Shared<Arc<World>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let token = headers.get("coder-session-token").and_then(|token| token.to_str().ok());
    let token = token.unwrap_or_default().to_owned();
    match world.change(|state| state.coder.connect_agent(&token)) {
        Ok(()) => upgrade.on_upgrade(move |socket| stay(world, socket, token)),
        Err(ConnectError::Outdated) => answer::message(403, "build is outdated").into_response(),
        Err(ConnectError::Unknown) => {
            answer::message(401, "Workspace agent not authorized.").into_response()
        }
    }
}

/// Until the agent goes, or a newer build makes it one of the past.
async fn stay(world: Arc<World>, mut socket: WebSocket, token: String) {
    world.change(|state| state.coder.agent_reached(&token, Lifecycle::Ready));
    let outdated = world
        .until(|world| world.change_quietly(|state| state.coder.is_outdated(&token)).then_some(()));
    tokio::select! {
        () = until_closed(&mut socket) => {}
        () = outdated => {}
        () = world.closed() => return,
    }
    world.change(|state| state.coder.agent_lost(&token, false));
}

async fn until_closed(socket: &mut WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Close(_)) {
            return;
        }
    }
}
