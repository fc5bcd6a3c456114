//! How a line is written into the index: a version, a checksum, and the line in bincode.
//!
//! The format describes nothing of itself, so a changed line is a new [`VERSION`]; an old value
//! does not decode, and an index that does not decode is filled again from the log.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of what is written. It goes up with every change of a stored type.
const VERSION: u8 = 1;

/// The longest encoded line, in bytes: as much as one message of the log may hold.
const LINE_BYTES_MAX: usize = 1 << 20;

/// The version and the checksum before each line.
const HEAD_BYTES: usize = 1 + size_of::<u64>();

const CONFIG: Configuration<LittleEndian, Fixint, Limit<LINE_BYTES_MAX>> =
    bincode::config::standard().with_fixed_int_encoding().with_limit::<LINE_BYTES_MAX>();

/// Why a value was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    /// It would not be read back.
    #[error("a line of {bytes} bytes is longer than {LINE_BYTES_MAX}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// The type has no spelling in this format.
    #[error("a line cannot be encoded")]
    Unsupported(#[source] bincode::error::EncodeError),
}

/// Why a value was not read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// There is not even a head.
    #[error("a value of {bytes} bytes is too short")]
    Short {
        /// How long it is.
        bytes: usize,
    },
    /// Another build wrote it.
    #[error("a value has version {found}, not {VERSION}")]
    Version {
        /// The version it has.
        found: u8,
    },
    /// It is not what was written.
    #[error("a value does not match its checksum")]
    Checksum,
    /// It is what was written, but not by this code.
    #[error("a value does not decode")]
    Payload(#[source] bincode::error::DecodeError),
    /// It holds more than one line.
    #[error("a value has {bytes} bytes too many")]
    TooMuch {
        /// How many.
        bytes: usize,
    },
}

/// Writes a value.
///
/// # Errors
/// If it is too long to be read back.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let payload = bincode::serde::encode_to_vec(value, CONFIG).map_err(EncodeError::Unsupported)?;
    // The format itself keeps to its limit only when reading.
    if payload.len() > LINE_BYTES_MAX {
        return Err(EncodeError::TooLong { bytes: payload.len() });
    }
    let mut bytes = Vec::with_capacity(HEAD_BYTES + payload.len());
    bytes.push(VERSION);
    bytes.extend(checksum(&payload).to_le_bytes());
    bytes.extend(payload);
    Ok(bytes)
}

/// Reads a value back.
///
/// # Errors
/// If it is not exactly what [`encode`] of this version made.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let short = DecodeError::Short { bytes: bytes.len() };
    let Some((&version, rest)) = bytes.split_first() else {
        return Err(short);
    };
    if version != VERSION {
        return Err(DecodeError::Version { found: version });
    }
    let Some((sum, payload)) = rest.split_first_chunk() else {
        return Err(short);
    };
    if checksum(payload) != u64::from_le_bytes(*sum) {
        return Err(DecodeError::Checksum);
    }
    let (value, read) =
        bincode::serde::decode_from_slice(payload, CONFIG).map_err(DecodeError::Payload)?;
    match payload.len() - read {
        0 => Ok(value),
        bytes => Err(DecodeError::TooMuch { bytes }),
    }
}

/// FNV-1a, 64 bit: it finds what disks do; nobody attacks a file that only repeats the log.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::any;
    use stead_schemas::public::RunSummary;

    use super::{DecodeError, EncodeError, LINE_BYTES_MAX, VERSION, checksum, decode, encode};

    #[test]
    fn a_value_is_read_back() {
        let value = ("dev".to_owned(), 7_u64, Some(-1_i64));
        let bytes = encode(&value).unwrap();
        assert_eq!(decode::<(String, u64, Option<i64>)>(&bytes).unwrap(), value);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let bytes = encode(&"a line".to_owned()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<String>(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_shortened_value_is_found() {
        let bytes = encode(&"a line".to_owned()).unwrap();
        for end in 0..bytes.len() {
            assert!(decode::<String>(&bytes[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = encode(&"a line".to_owned()).unwrap();
        bytes[0] = VERSION - 1;
        let error = decode::<String>(&bytes).unwrap_err();
        assert_eq!(error.to_string(), "a value has version 0, not 1");
    }

    #[test]
    fn what_follows_a_line_is_not_overlooked() {
        let two = encode(&("one".to_owned(), "two".to_owned())).unwrap();
        assert!(matches!(decode::<String>(&two), Err(DecodeError::TooMuch { bytes: 11 })));
    }

    #[test]
    fn what_could_not_be_read_back_is_not_written() {
        let long = "x".repeat(LINE_BYTES_MAX);
        assert!(matches!(encode(&long), Err(EncodeError::TooLong { .. })));
    }

    #[test]
    fn the_longest_line_is_read_back() {
        let longest = "x".repeat(LINE_BYTES_MAX - size_of::<u64>());
        assert_eq!(decode::<String>(&encode(&longest).unwrap()).unwrap(), longest);
    }

    proptest::proptest! {
        /// A small dose of what `ops/fuzz` does at length.
        #[test]
        fn no_payload_makes_a_reader_panic(payload in vec(any::<u8>(), 0..300)) {
            let mut bytes = vec![VERSION];
            bytes.extend(checksum(&payload).to_le_bytes());
            bytes.extend(&payload);
            if let Ok(line) = decode::<RunSummary>(&bytes) {
                assert_eq!(decode::<RunSummary>(&encode(&line).unwrap()).unwrap(), line);
            }
            assert!(decode::<RunSummary>(&payload).is_err());
        }
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        assert_eq!(checksum(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
