//! What lies in the archive. What is packed is packed right, or nothing would get past that.

use stead_schemas::archive::{
    Digests, Segment, Tombstone, check_whole, histories, lines, pack_histories,
};

/// Tries one input.
pub fn target(bytes: &[u8]) {
    if let Ok(segment) = Segment::decode(bytes) {
        assert_eq!(Segment::decode(&segment.encode()).as_ref(), Ok(&segment));
    }
    if let Ok(tombstone) = Tombstone::decode(bytes) {
        assert_eq!(Tombstone::decode(&tombstone.encode()).as_ref(), Ok(&tombstone));
    }
    if let Ok(digests) = Digests::decode(bytes) {
        assert_eq!(Digests::decode(&digests.encode()).as_ref(), Ok(&digests));
    }
    unpack(bytes);
    unpack(&stored(bytes));
}

fn unpack(packed: &[u8]) {
    let _refused = lines(packed);
    let (found, _) = histories(packed);
    for history in &found {
        let _refused = check_whole(history);
    }
    assert_eq!(histories(&pack_histories(&found)), (found, None));
}

/// The bytes in the zlib format, as they are: one stored block.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let bytes = &bytes[..bytes.len().min(usize::from(u16::MAX))];
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let mut packed = vec![0x78, 0x01, 0x01];
    packed.extend(length.to_le_bytes());
    packed.extend((!length).to_le_bytes());
    packed.extend(bytes);
    packed.extend(adler32(bytes).to_be_bytes());
    packed
}

fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (low, high) = bytes.iter().fold((1, 0), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % MODULUS;
        (low, (high + low) % MODULUS)
    });
    (high << 16) | low
}
