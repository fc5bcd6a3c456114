//! What is different where a dataset is a volume: it has a size, a multiple of its blocks, which
//! never shrinks, and takes no more than most of what is free unless that is insisted on.

use serde_json::{Map, Value};

use super::entry::available;
use super::rpc::{EINVAL, RpcError};
use super::state::{Dataset, State};

pub(super) fn size(value: &Value) -> Result<u64, RpcError> {
    let wrong = || RpcError::field("data.volsize", "Input should be a valid integer", EINVAL);
    value.as_u64().ok_or_else(wrong)
}

/// `before` is what it was, where it was there: a volume of that size, or none.
pub(super) fn check(
    nas: &State,
    dataset: &Dataset,
    before: Option<Option<u64>>,
    data: &Map<String, Value>,
) -> Result<(), RpcError> {
    let Some(size) = data.get("volsize").and(dataset.volsize) else { return Ok(()) };
    let schema = if before.is_some() { "pool_dataset_update" } else { "pool_dataset_create" };
    let wrong = |text: &str| Err(RpcError::field(&format!("{schema}.volsize"), text, EINVAL));
    let before = match before {
        Some(None) => return wrong("This field is not valid for FILESYSTEM"),
        Some(Some(before)) => before,
        None => 0,
    };
    if size < before {
        return wrong("You cannot shrink a zvol from GUI, this may lead to data loss.");
    }
    let block = dataset.settings.get("volblocksize").and_then(Value::as_str).unwrap_or("16K");
    let block = block.trim_end_matches('K').parse::<u64>().map_or(512, |kib| kib << 10);
    if size == 0 || !size.is_multiple_of(block) {
        return wrong("Volume size should be a multiple of volume block size");
    }
    let parent = dataset.id.rsplit_once('/').and_then(|(parent, _)| nas.datasets.get(parent));
    let free = parent.map_or(0, |parent| available(nas, parent)) + dataset.used;
    let is_forced = data.get("force_size") == Some(&Value::Bool(true));
    if u128::from(size) * 5 > u128::from(free) * 4 && !is_forced {
        let text = "It is not recommended to use more than 80% of your available space for VOLUME";
        return wrong(text);
    }
    Ok(())
}
