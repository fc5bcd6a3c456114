//! The header that says beneath which span a step is done.

use stead_schemas::trace::TraceParent;

/// Tries one input.
pub fn target(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(parent) = text.parse::<TraceParent>() else { return };
    assert_eq!(parent.to_string().parse(), Ok(parent));
    let ids = format!("-{}-{}-", parent.trace, parent.span);
    assert_eq!(text.get(2..53), Some(&*ids));
}
