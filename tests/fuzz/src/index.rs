//! What lies in the index. The head is made right, or nothing would get past it.

use stead_index::read_line;

const VERSION: u8 = 1;

/// Tries one input.
pub fn target(bytes: &[u8]) {
    let _refused = read_line(bytes);
    let mut value = vec![VERSION];
    value.extend(checksum(bytes).to_le_bytes());
    value.extend(bytes);
    if let Ok(line) = read_line(&value) {
        assert_eq!(line.run.as_str().parse().as_ref(), Ok(&line.run));
    }
}

/// FNV-1a, 64 bit.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
