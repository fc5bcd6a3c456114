//! Who is let in, and what is known of the run behind an address.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use stead_runtime::worker::Engines;
use stead_schemas::command::workspace::{KIND, WorkspaceView};
use stead_schemas::ids::RunId;
use stead_schemas::public::{RunState, RunView};

use super::{SeedUrls, read};

/// Why a guest gets nothing.
#[derive(Debug)]
pub(super) enum Closed {
    /// The address is not one of ours, or its run is over.
    Unknown,
    /// Something is not there yet, or does not answer; ask again.
    NotNow(String),
}

impl IntoResponse for Closed {
    fn into_response(self) -> Response {
        match self {
            Self::Unknown => StatusCode::NOT_FOUND.into_response(),
            Self::NotNow(words) => {
                tracing::warn!(words, "a guest has to ask again");
                (StatusCode::SERVICE_UNAVAILABLE, [("Retry-After", "1")]).into_response()
            }
        }
    }
}

/// Checks addresses and looks runs up.
pub(super) struct Door {
    pub(super) urls: SeedUrls,
    pub(super) engines: Arc<dyn Engines>,
}

impl Door {
    /// The run of a genuine address. A wrong signature and a run that never was look the same
    /// from outside.
    pub(super) async fn admit(&self, run: &str, token: &str) -> Result<RunId, Closed> {
        let (run, token) = read::place(run, token).ok_or(Closed::Unknown)?;
        match self.urls.is_genuine(run.as_str(), &token).await {
            Ok(true) => Ok(run),
            Ok(false) => Err(Closed::Unknown),
            Err(failure) => Err(Closed::NotNow(failure.to_string())),
        }
    }

    /// The run, if it still goes on. A workspace keeps its run, and so its machine the address,
    /// for as long as it lives.
    pub(super) async fn living(&self, run: &RunId) -> Result<RunView, Closed> {
        let view = self.engines.view(run).await.map_err(Closed::NotNow)?;
        view.filter(|view| view.summary.state == RunState::Running).ok_or(Closed::Unknown)
    }
}

/// What a run shows, read as a workspace.
pub(super) fn workspace_of(view: &RunView) -> Result<WorkspaceView, Closed> {
    if view.summary.kind != KIND {
        return Err(Closed::Unknown);
    }
    serde_json::from_value(view.view.clone())
        .map_err(|_| Closed::NotNow("the workspace shows nothing yet".to_owned()))
}
