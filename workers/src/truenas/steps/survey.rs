//! One look at the room for homes.

use serde_json::json;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::Failure;
use stead_schemas::step::truenas::{PoolSeen, SurveyPool};

use super::super::client::Client;
use super::super::dataset::GIB;

/// What a dataset has `available` counts the limits of everything above it, which a pool's own
/// free space does not.
pub(crate) async fn survey_pool(
    client: Client,
    _cx: StepContext,
    ask: SurveyPool,
) -> Result<PoolSeen, Failure> {
    let nas = client.log_in(&ask.login);
    let filters = json!([[["id", "in", [ask.parent, ask.dataset]]]]);
    let found = nas.look("pool.dataset.query", filters).await?;
    let entries = found.as_array().map(Vec::as_slice).unwrap_or_default();
    let entry = |id: &str| entries.iter().find(|entry| entry["id"] == id);
    let free = entry(&ask.parent).map(|parent| {
        let available = &parent["available"];
        let raw = || available["rawvalue"].as_str().and_then(|text| text.parse().ok());
        available["parsed"].as_u64().or_else(raw).unwrap_or(0) / GIB
    });
    Ok(PoolSeen { free_gb: free, has_home: entry(&ask.dataset).is_some() })
}
