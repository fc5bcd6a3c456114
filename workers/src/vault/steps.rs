//! What is done with secrets themselves.

use std::collections::BTreeMap;

use stead_runtime::worker::StepContext;
use stead_schemas::failure::Failure;
use stead_schemas::step::vault::{PinSecrets, PinnedSecrets};

use super::Secrets;

/// Reads each secret, which proves that it can be read, and says which version that was.
pub(super) async fn pin_secrets(
    secrets: Secrets,
    cx: StepContext,
    ask: PinSecrets,
) -> Result<PinnedSecrets, Failure> {
    let mut pinned = BTreeMap::new();
    for reference in ask.secrets {
        cx.still_wanted()?;
        let place = secrets.read(&reference).await?.place().to_string();
        pinned.insert(reference, place);
    }
    Ok(PinnedSecrets { pinned })
}
