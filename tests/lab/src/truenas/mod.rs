//! TrueNAS 25.10: JSON-RPC 2.0 over a WebSocket; a pool `tank` with `tank/coder-home` and
//! `tank/coder-volumes`, and a pool `backup`.
//!
//! Deleting a dataset takes its shares first and asks questions later; a closed socket takes the
//! answer with it; jobs answer with a number and go on without their caller.

mod dataset;
mod dataset_delete;
mod dataset_rename;
mod entry;
mod filesystem;
mod iscsi;
mod jobs;
mod methods;
mod query;
mod replication;
mod rpc;
mod session;
mod share;
mod snapshot;
mod state;
mod system;
mod volume;

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

pub(crate) use state::{Dataset, Mount, State};

use crate::net::Answer;
use crate::world::World;

/// The API versions this release serves; `current` is the last.
const VERSIONS: [&str; 6] =
    ["v25.10.0", "v25.10.1", "v25.10.2", "v25.10.3", "v25.10.4", "v25.10.5"];

/// The marker of an owner: the first user property whose name ends like this.
pub(crate) const OWNER_SUFFIX: &str = ":marker";

pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route(
            "/api/versions",
            get(|| async { Answer::json(200, json!(VERSIONS)).into_response() }),
        )
        .route("/api/{version}", get(connect))
        .with_state(world)
}

async fn connect(
    Shared(world): Shared<Arc<World>>,
    Path(version): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    if version != "current" && !VERSIONS.contains(&version.as_str()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    upgrade.on_upgrade(move |socket: WebSocket| session::run(world, socket))
}
