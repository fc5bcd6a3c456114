//! What lies in the log: whatever can be read can be written, and reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stead_schemas::transition::Transition;

fuzz_target!(|bytes: &[u8]| {
    let Ok(transition) = Transition::decode(bytes) else { return };
    let again = Transition::decode(&transition.encode()).expect("what was written can be read");
    assert_eq!(again, transition);
});
