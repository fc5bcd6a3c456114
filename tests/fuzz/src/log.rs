//! How an owner reads its whole log: whose a message is, as its body alone says, is what it is.

use stead_nats::log::whose;
use stead_schemas::transition::Transition;

/// Tries one input.
pub fn target(bytes: &[u8]) {
    let said = whose(bytes);
    let Ok(transition) = Transition::decode(bytes) else { return };
    if let Some(said) = said {
        assert_eq!(said, transition.run.as_str());
    }
    assert_eq!(whose(&transition.encode()), Some(transition.run.as_str()));
}
