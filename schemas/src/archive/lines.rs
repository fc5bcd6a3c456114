//! What lists show of runs that are over: a JSON line for each, packed.

use alloc::format;
use alloc::vec::Vec;

use super::Altered;
use super::pack::{pack, unpack};
use crate::public::RunSummary;

/// Packs lines.
#[must_use]
pub fn pack_lines(lines: &[RunSummary]) -> Vec<u8> {
    let mut text = Vec::new();
    for line in lines {
        // A line is plain data, which JSON can always hold.
        text.extend(serde_json::to_vec(line).unwrap_or_default());
        text.push(b'\n');
    }
    pack(&text)
}

/// Unpacks them.
///
/// # Errors
/// If they were altered.
pub fn lines(packed: &[u8]) -> Result<Vec<RunSummary>, Altered> {
    let unpacked = unpack(packed);
    if let Some(altered) = unpacked.altered {
        return Err(altered);
    }
    let text = unpacked.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines = text.map(|line| {
        serde_json::from_slice(line)
            .map_err(|error| Altered(format!("a line of the list cannot be read: {error}")))
    });
    lines.collect()
}
