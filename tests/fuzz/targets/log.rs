//! How an owner reads its whole log: whose a message is, as its body alone says, is what it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stead_nats::log::whose;
use stead_schemas::transition::Transition;

fuzz_target!(|bytes: &[u8]| {
    let said = whose(bytes);
    let Ok(transition) = Transition::decode(bytes) else { return };
    if let Some(said) = said {
        assert_eq!(said, transition.run.as_str());
    }
    assert_eq!(whose(&transition.encode()), Some(transition.run.as_str()));
});
