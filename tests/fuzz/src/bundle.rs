//! The bundle of an incident, which a stranger may have made: as it is, packed, and as a manifest.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use tar::{Builder, Header};

// The binary is no library; what it packs and unpacks needs nothing else of it.
#[expect(dead_code, reason = "only what is read and written is tried")]
#[path = "../../../ops/src/bundle/mod.rs"]
mod ops;

use ops::pack::{is_packed, pack, unpack};

/// Tries one input.
pub fn target(bytes: &[u8]) {
    check(bytes);
    check(&squeezed(bytes));
    let mut archive = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, "incident/manifest.json", bytes).expect("a name that fits");
    check(&squeezed(&archive.into_inner().expect("memory takes it")));
}

fn check(packed: &[u8]) {
    let Ok(mut found) = unpack(packed) else { return };
    assert!(is_packed(packed));
    // Their names are a stranger's, and need not be what we would write.
    found.texts.clear();
    let again = unpack(&pack(&found).expect("names that fit")).expect("what we have packed");
    assert_eq!(again, found);
}

fn squeezed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::none());
    packer.write_all(bytes).expect("memory takes it");
    packer.finish().expect("memory takes it")
}
