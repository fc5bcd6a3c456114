//! cloud-init's webhook reporter: start and finish of every stage.
//!
//! A reporter that is configured by user-data knows nothing of what came before user-data: its
//! first event is `init-network/activate-datasource`.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::json;

use super::installed::Webhook;
use super::seed::is_local;
use crate::world::World;

/// What is reported before the last stage starts the agent's units.
pub(super) const BEFORE: [(&str, &str); 11] = [
    ("init-network/activate-datasource", "start"),
    ("init-network/activate-datasource", "finish"),
    ("init-network/config-write-files", "start"),
    ("init-network/config-write-files", "finish"),
    ("init-network/config-mounts", "start"),
    ("init-network/config-mounts", "finish"),
    ("init-network", "finish"),
    ("modules-config", "start"),
    ("modules-config", "finish"),
    ("modules-final", "start"),
    ("modules-final/config-scripts_user", "start"),
];
/// What is reported while they start.
pub(super) const AFTER: [(&str, &str); 2] =
    [("modules-final/config-scripts_user", "finish"), ("modules-final", "finish")];

/// How long a reporter waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How a boot goes in cloud-init's own eyes; it ends with 0, 2 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Success,
    Warn,
    Fail,
}

impl Verdict {
    pub(super) fn of(world: &World) -> Self {
        if world.faults.fires("guest", "cloud-init-fails") {
            return Self::Fail;
        }
        if world.faults.fires("guest", "cloud-init-warns") { Self::Warn } else { Self::Success }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// Reports one after the other. `config-mounts` is a success even if nothing was mounted.
pub(super) async fn report(
    world: &World,
    webhooks: &[Webhook],
    events: &[(&str, &str)],
    how: Verdict,
) {
    for (stage, kind) in events {
        for webhook in webhooks.iter().filter(|webhook| is_local(&webhook.endpoint)) {
            send(world, webhook, stage, kind, how).await;
        }
    }
}

async fn send(world: &World, webhook: &Webhook, stage: &str, kind: &str, how: Verdict) {
    let module = stage.rsplit('/').next().unwrap_or(stage);
    let description = match kind {
        "start" => format!("running {module}"),
        _ => format!("{module} ran successfully"),
    };
    let is_behind = world.faults.fires("guest", "clock-behind");
    let behind = if is_behind { TimeDelta::days(1) } else { TimeDelta::zero() };
    let stamp = (Utc::now() - behind).timestamp_micros();
    #[expect(clippy::cast_precision_loss, reason = "cloud-init sends seconds as a float")]
    let timestamp = stamp as f64 / 1e6;
    let mut event = json!({
        "name": stage, "description": description, "event_type": kind, "origin": "cloudinit",
        "timestamp": timestamp,
    });
    if kind == "finish" {
        event["result"] = json!(how.word());
    }
    for _ in 0..=webhook.retries {
        let sent = world.http.post(&webhook.endpoint).timeout(TIMEOUT).json(&event).send().await;
        if sent.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
    }
    tracing::debug!(stage, kind, "cloud-init event was not taken");
}
