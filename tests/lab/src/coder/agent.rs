//! The agent of a start build, as Coder sees it.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::shapes;
use super::state::{JobStatus, State, Transition};
use crate::pace::Pace;

/// How long Coder waits for an agent's first sign of life before it calls it `timeout`.
const CONNECTION_TIMEOUT_S: i64 = 120;

/// An agent.
#[derive(Clone)]
pub(crate) struct Agent {
    pub(super) id: Uuid,
    pub(super) token: String,
    created: DateTime<Utc>,
    first_connected: Option<DateTime<Utc>>,
    disconnected: Option<DateTime<Utc>>,
    lifecycle: Lifecycle,
    ready: Option<DateTime<Utc>>,
}

/// How far the agent's scripts are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifecycle {
    Created,
    Starting,
    StartError,
    Ready,
    Off,
}

/// Why an agent is not let in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectError {
    /// The token belongs to an older build: `build is outdated`.
    Outdated,
    /// Nobody knows the token, or its build has not succeeded yet.
    Unknown,
}

impl Agent {
    pub(super) fn new(pace: &Pace, token: &str) -> Self {
        Self {
            id: pace.uuid(),
            token: token.to_owned(),
            created: Utc::now(),
            first_connected: None,
            disconnected: None,
            lifecycle: Lifecycle::Created,
            ready: None,
        }
    }

    pub(crate) fn status(&self) -> &'static str {
        let waited = Utc::now() - self.created;
        match (self.first_connected, self.disconnected) {
            (None, _) if waited > TimeDelta::seconds(CONNECTION_TIMEOUT_S) => "timeout",
            (None, _) => "connecting",
            (Some(_), None) => "connected",
            (Some(_), Some(_)) => "disconnected",
        }
    }

    pub(crate) fn lifecycle(&self) -> &'static str {
        match self.lifecycle {
            Lifecycle::Created => "created",
            Lifecycle::Starting => "starting",
            Lifecycle::StartError => "start_error",
            Lifecycle::Ready => "ready",
            Lifecycle::Off => "off",
        }
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.status() == "connected" && self.lifecycle == Lifecycle::Ready
    }

    /// Marks the connection as lost; one that never was stays as it is.
    pub(super) fn disconnect(&mut self) {
        if self.first_connected.is_some() && self.disconnected.is_none() {
            self.disconnected = Some(Utc::now());
        }
    }

    pub(super) fn shape(&self, resource: Uuid) -> Value {
        let reason = if self.is_healthy() { "" } else { "agent is not ready" };
        let mut shape = json!({
            "id": self.id, "parent_id": null, "created_at": self.created, "updated_at": Utc::now(),
            "first_connected_at": self.first_connected, "last_connected_at": self.first_connected,
            "disconnected_at": self.disconnected, "started_at": self.first_connected, "ready_at": self.ready,
            "status": self.status(), "lifecycle_state": self.lifecycle(), "name": "main",
            "resource_id": resource, "instance_id": "", "architecture": "amd64", "operating_system": "linux",
            "environment_variables": {}, "directory": "/home/coder", "expanded_directory": "/home/coder",
            "version": if self.first_connected.is_some() { "v2.36.1" } else { "" }, "api_version": "2.0",
            "apps": [], "scripts": [], "metadata": [], "log_sources": [], "logs_length": 0,
            "logs_overflowed": false, "latency": {}, "connection_timeout_seconds": CONNECTION_TIMEOUT_S,
            "troubleshooting_url": "", "subsystems": [], "display_apps": ["ssh_helper"],
            "startup_script_behavior": "non-blocking",
            "health": { "healthy": self.is_healthy(), "reason": reason },
        });
        let moments = [
            "first_connected_at",
            "last_connected_at",
            "disconnected_at",
            "started_at",
            "ready_at",
        ];
        shapes::omit_nulls(&mut shape, &moments);
        shape
    }
}

impl State {
    /// Lets an agent in by its token.
    pub(crate) fn connect_agent(&mut self, token: &str) -> Result<(), ConnectError> {
        let agent = self.current_agent(token)?;
        agent.first_connected.get_or_insert_with(Utc::now);
        agent.disconnected = None;
        agent.lifecycle = Lifecycle::Starting;
        Ok(())
    }

    /// Whether the token's build is still the latest.
    pub(crate) fn is_outdated(&mut self, token: &str) -> bool {
        self.current_agent(token).err() == Some(ConnectError::Outdated)
    }

    pub(crate) fn agent_reached(&mut self, token: &str, lifecycle: Lifecycle) {
        if let Ok(agent) = self.current_agent(token) {
            agent.lifecycle = lifecycle;
            agent.ready = (lifecycle == Lifecycle::Ready).then(Utc::now);
        }
    }

    /// The machine went down; in order means that the agent could say goodbye.
    pub(crate) fn agent_lost(&mut self, token: &str, in_order: bool) {
        let builds = self.workspaces.values_mut().flat_map(|workspace| &mut workspace.builds);
        for agent in
            builds.filter_map(|build| build.agent.as_mut()).filter(|agent| agent.token == token)
        {
            agent.disconnect();
            if in_order {
                agent.lifecycle = Lifecycle::Off;
            }
        }
    }

    fn current_agent(&mut self, token: &str) -> Result<&mut Agent, ConnectError> {
        for workspace in self.workspaces.values_mut().filter(|workspace| !workspace.deleted) {
            let last = workspace.builds.len() - 1;
            for (at, build) in workspace.builds.iter_mut().enumerate() {
                let done =
                    build.status == JobStatus::Succeeded && build.transition == Transition::Start;
                match build.agent.as_mut().filter(|agent| agent.token == token) {
                    Some(agent) if at == last && done => return Ok(agent),
                    Some(_) if at == last => return Err(ConnectError::Unknown),
                    Some(_) => return Err(ConnectError::Outdated),
                    None => {}
                }
            }
        }
        Err(ConnectError::Unknown)
    }
}
