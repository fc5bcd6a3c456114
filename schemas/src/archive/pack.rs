//! Bytes packed and unpacked: the zlib format, which every language can read.

use alloc::vec::Vec;

use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

use super::{Altered, UNPACKED_BYTES_MAX};

/// Small and still quick, as zlib itself has it by default.
const LEVEL: u8 = 6;

/// Packs bytes.
pub(super) fn pack(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec_zlib(bytes, LEVEL)
}

/// Unpacked bytes, and why there are no more, if the packed ones were altered.
pub(super) struct Unpacked {
    pub bytes: Vec<u8>,
    pub altered: Option<Altered>,
}

/// Unpacks as much as can be unpacked.
pub(super) fn unpack(packed: &[u8]) -> Unpacked {
    match decompress_to_vec_zlib_with_limit(packed, UNPACKED_BYTES_MAX) {
        Ok(bytes) => Unpacked { bytes, altered: None },
        Err(error) => {
            let words = "the packed bytes were altered: they cannot be unpacked to their end";
            Unpacked { bytes: error.output, altered: Some(words.into()) }
        }
    }
}
