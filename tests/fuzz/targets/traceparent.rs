//! The header that says beneath which span a step is done.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stead_schemas::trace::TraceParent;

fuzz_target!(|text: &str| {
    let Ok(parent) = text.parse::<TraceParent>() else { return };
    assert_eq!(parent.to_string().parse(), Ok(parent));
    let ids = format!("-{}-{}-", parent.trace, parent.span);
    assert_eq!(text.get(2..53), Some(&*ids));
});
