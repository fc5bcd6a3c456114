//! What is done with secrets themselves.

use std::collections::BTreeMap;

use stead_runtime::worker::StepContext;
use stead_schemas::failure::Failure;
use stead_schemas::ids::RunId;
use stead_schemas::step::sight::{PAGE, SightSecrets, Sighted, Thing};
use stead_schemas::step::touch::Resource;
use stead_schemas::step::vault::{PinSecrets, PinnedSecrets};

use super::{Reference, Secrets};

/// The field of a record that says which run of ours wrote it.
const MARKER: &str = "marker";

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

/// A page of them, in the order of their places. Of what is read only the mark is told; what was
/// destroyed cannot be read, and is not there.
pub(super) async fn sight_secrets(
    secrets: Secrets,
    cx: StepContext,
    ask: SightSecrets,
) -> Result<Sighted, Failure> {
    let mut places = secrets.list(&ask.folder).await?;
    places.retain(|place| ask.after.as_ref().is_none_or(|after| place > after));
    let more = places.len() > PAGE;
    places.truncate(PAGE);
    let mut things = Vec::new();
    for place in &places {
        cx.still_wanted()?;
        let resource = Resource::new("vault", "secret", place);
        if place.parse::<Reference>().is_err() {
            // Nobody here gives such names, and none can be asked for.
            things.push(Thing::new(resource, None));
        } else if let Some(secret) = secrets.current(place).await?.secret {
            // Only what names a run is a mark; anything else may be a secret.
            let marker = secret.field(MARKER).ok().filter(|text| text.parse::<RunId>().is_ok());
            let marker = marker.map(str::to_owned);
            things.push(Thing::new(resource, marker));
        }
    }
    Ok(Sighted { things, after: places.pop().filter(|_| more) })
}
