//! One look at the room for homes.

use serde_json::json;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::Failure;
use stead_schemas::step::truenas::{PoolSeen, SurveyPool};
use stead_schemas::time::Timestamp;

use super::super::client::{Client, Nas};
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
    let (has_home, login_ends) = (entry(&ask.dataset).is_some(), login_ends(&nas).await);
    Ok(PoolSeen { free_gb: free, has_home, login_ends })
}

/// When our key ends, if it does. A role that may not see keys sees not even its own; then nothing is
/// known.
async fn login_ends(nas: &Nas) -> Option<Timestamp> {
    let id = nas.key_id().await.ok()?;
    let keys = nas.look("api_key.my_keys", json!([])).await.ok()?;
    let key = keys.as_array()?.iter().find(|key| key["id"].as_u64() == Some(id))?;
    Some(Timestamp::from_millis(key["expires_at"]["$date"].as_i64()?))
}
