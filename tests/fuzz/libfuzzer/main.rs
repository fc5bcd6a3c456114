//! One target of `stead-fuzz` for libFuzzer, the one that STEAD_FUZZ_TARGET names.
#![no_main]

use std::env;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use stead_fuzz::TARGETS;

static TRIES: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = env::var("STEAD_FUZZ_TARGET").expect("STEAD_FUZZ_TARGET names a target");
    TARGETS.iter().find(|target| target.name == name).expect("a target of that name").tries
});

fuzz_target!(|bytes: &[u8]| TRIES(bytes));
