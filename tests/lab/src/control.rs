//! The lab's own HTTP API: look, break, mend.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::authentik::{self, UserChange};
use crate::error::LabError;
use crate::faults::Strikes;
use crate::forgejo;
use crate::inventory;
use crate::options::Addresses;
use crate::press::{self, PressOrder};
use crate::site;
use crate::world::World;

#[derive(Clone)]
struct Desk {
    world: Arc<World>,
    addresses: Addresses,
}

/// Which fault, and how often.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BreakOrder {
    pub(crate) vendor: String,
    pub(crate) fault: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) times: Option<u32>,
}

/// Which fault ends; all of a vendor's or all at all if it is left open.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct MendOrder {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vendor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<String>,
}

/// What is committed, and where.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CommitOrder {
    pub(crate) repository: String,
    pub(crate) branch: String,
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Whose account changes, and how.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UserOrder {
    pub(crate) user: String,
    pub(crate) change: UserChange,
}

pub(crate) fn router(world: Arc<World>, addresses: Addresses) -> Router {
    Router::new()
        .route(
            "/inventory",
            get(async |State(desk): State<Desk>| Json(desk.world.read(inventory::take))),
        )
        .route("/addresses", get(async |State(desk): State<Desk>| Json(desk.addresses)))
        .route(
            "/site.toml",
            get(async |State(desk): State<Desk>| {
                site::toml(&desk.addresses, desk.world.vault_mount)
            }),
        )
        .route("/faults", get(async |State(desk): State<Desk>| Json(desk.world.faults.status())))
        .route(
            "/requests",
            get(async |State(desk): State<Desk>| Json(desk.world.journal.requests())),
        )
        .route("/effects", get(async |State(desk): State<Desk>| Json(desk.world.journal.effects())))
        .route("/break", post(break_))
        .route("/mend", post(mend))
        .route("/commit", post(commit))
        .route("/user", post(user))
        .route("/press", post(press))
        .route("/builds/{id}", get(build))
        .route("/reset", post(reset))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "no such page"))
        .with_state(Desk { world, addresses })
}

fn refusal(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "error": text }))).into_response()
}

async fn break_(State(desk): State<Desk>, body: String) -> Response {
    let order: BreakOrder = match serde_json::from_str(&body) {
        Ok(order) => order,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let strikes = Strikes { skip: 0, left: order.times };
    match desk.world.faults.inject(&order.vendor, &order.fault, strikes) {
        Ok(()) => {
            desk.world.wake();
            Json(json!({})).into_response()
        }
        Err(error) => refusal(StatusCode::NOT_FOUND, &error.to_string()),
    }
}

async fn mend(State(desk): State<Desk>, body: String) -> Response {
    let text = if body.trim().is_empty() { "{}" } else { body.as_str() };
    let order: MendOrder = match serde_json::from_str(text) {
        Ok(order) => order,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let faults = &desk.world.faults;
    match (&order.vendor, &order.fault) {
        (None, None) => faults.mend(),
        (Some(vendor), None) => faults.mend_vendor(vendor),
        (Some(vendor), Some(fault)) => faults.mend_one(vendor, fault),
        (None, Some(_)) => return refusal(StatusCode::BAD_REQUEST, "a fault needs its vendor"),
    }
    desk.world.wake();
    Json(json!({})).into_response()
}

async fn commit(State(desk): State<Desk>, body: String) -> Response {
    let order: CommitOrder = match serde_json::from_str(&body) {
        Ok(order) => order,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let files = [(order.path.as_str(), order.text.as_str())];
    match forgejo::commit(&desk.world, &order.repository, &order.branch, &files) {
        Some(commit) => Json(json!({ "commit": commit })).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "Forgejo has no such repository"),
    }
}

async fn user(State(desk): State<Desk>, body: String) -> Response {
    let order: UserOrder = match serde_json::from_str(&body) {
        Ok(order) => order,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match authentik::change(&desk.world, &order.user, &order.change) {
        true => Json(json!({})).into_response(),
        false => {
            let words = "Authentik has no such user, or one who is called so already";
            refusal(StatusCode::NOT_FOUND, words)
        }
    }
}

async fn press(State(desk): State<Desk>, body: String) -> Response {
    let order: PressOrder = match serde_json::from_str(&body) {
        Ok(order) => order,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match press::press(&desk.world, &desk.addresses, &order).await {
        Ok(build) => Json(json!({ "build": build })).into_response(),
        Err(words) => refusal(StatusCode::CONFLICT, &words),
    }
}

async fn build(State(desk): State<Desk>, Path(id): Path<String>) -> Response {
    match press::build_log(&desk.world, &id) {
        Some(log) => Json(log).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "Coder has no such build"),
    }
}

async fn reset(State(desk): State<Desk>) -> Response {
    desk.world.reset();
    Json(json!({})).into_response()
}

/// An HTTP client for loopback, whatever proxies the environment names.
pub(crate) fn http_client() -> Result<reqwest::Client, LabError> {
    // Without a provider no client can be built, even if it never speaks TLS. One may be there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        // Reading the system's certificates takes longer than starting a lab.
        .tls_certs_only([])
        .timeout(Duration::from_secs(10))
        .build()
        .map_err(|source| LabError::Client { source })
}
