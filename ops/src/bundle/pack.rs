//! A bundle as bytes, and back: a tar archive, compressed as gzip does.
//!
//! What comes back is read by name into memory, bounded, and never written to a disk: an archive
//! of a stranger can be no more than wrong.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use stead_schemas::ids::RunId;
use tar::{Archive, Builder, EntryType, Header};

use super::{Bundle, Manifest, VERSION};

/// The most bytes that a bundle may have when it is unpacked.
pub const UNPACKED_BYTES_MAX: u64 = 512 << 20;

const MANIFEST: &str = "manifest.json";
const HISTORIES: &str = "histories/";
const VIEWS: &str = "views/";

/// Bytes are no bundle that this build can read.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// They are no archive, or a damaged one.
    #[error("it is not a bundle, or a damaged one: {0}")]
    Archive(#[from] std::io::Error),
    /// They would take too much room.
    #[error("it would take more than {} MiB", UNPACKED_BYTES_MAX >> 20)]
    TooLarge,
    /// A file in it is not what its name says.
    #[error("{name} in it cannot be read: {words}")]
    File {
        /// Which file.
        name: String,
        /// Why.
        words: String,
    },
    /// A newer Stead made it.
    #[error("it is of shape {0}, this build reads up to {VERSION}; use a newer Stead")]
    Newer(u8),
    /// There is no manifest.
    #[error("it has no {MANIFEST}, so it is none of ours")]
    NoManifest,
}

/// Whether bytes begin as those of a bundle do.
pub fn is_packed(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// The bundle's bytes; the same bundle has the same bytes.
///
/// # Errors
/// If a name is too long for an archive.
pub fn pack(bundle: &Bundle) -> std::io::Result<Vec<u8>> {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    let at = u64::try_from(bundle.manifest.at.as_millis() / 1_000).unwrap_or(0);
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(at);
        archive.append_data(&mut header, format!("incident/{name}"), bytes)
    };
    add(MANIFEST, &json(&bundle.manifest))?;
    for (run, lines) in &bundle.histories {
        let mut text = Vec::new();
        for line in lines {
            text.extend(line);
            text.push(b'\n');
        }
        add(&format!("{HISTORIES}{run}.jsonl"), &text)?;
    }
    for (run, view) in &bundle.views {
        add(&format!("{VIEWS}{run}.json"), &json(view))?;
    }
    for (name, text) in &bundle.texts {
        add(name, text.as_bytes())?;
    }
    let mut packed = archive.into_inner()?;
    packed.flush()?;
    packed.finish()
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    // Plain data, which JSON can always hold.
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Reads a bundle back. What this build does not know is left out.
///
/// # Errors
/// If the bytes are none, are damaged, or are of a newer shape.
pub fn unpack(bytes: &[u8]) -> Result<Bundle, UnpackError> {
    let mut files = files(bytes)?;
    let manifest = files.remove(MANIFEST).ok_or(UnpackError::NoManifest)?;
    let shape: serde_json::Value = read(MANIFEST, &manifest)?;
    match shape["v"].as_u64() {
        Some(v) if v > u64::from(VERSION) => {
            return Err(UnpackError::Newer(u8::try_from(v).unwrap_or(u8::MAX)));
        }
        _ => {}
    }
    let manifest: Manifest = read(MANIFEST, &manifest)?;
    let (mut histories, mut views) = (BTreeMap::new(), BTreeMap::new());
    let mut texts = BTreeMap::new();
    for (name, bytes) in files {
        if let Some(run) = run(&name, HISTORIES, ".jsonl") {
            histories.insert(run, lines(&bytes));
        } else if let Some(run) = run(&name, VIEWS, ".json") {
            views.insert(run, read(&name, &bytes)?);
        } else {
            texts.insert(name, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    for listed in &manifest.runs {
        if !histories.contains_key(&listed.run) {
            let (name, words) = (listed.run.to_string(), "its history is missing".to_owned());
            return Err(UnpackError::File { name, words });
        }
    }
    Ok(Bundle { manifest, histories, views, texts })
}

fn files(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, UnpackError> {
    let mut archive = Archive::new(GzDecoder::new(bytes).take(UNPACKED_BYTES_MAX));
    let (mut files, mut total) = (BTreeMap::new(), 0);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type() != EntryType::Regular {
            continue;
        }
        total += entry.size();
        if total >= UNPACKED_BYTES_MAX {
            return Err(UnpackError::TooLarge);
        }
        let path = entry.path()?.to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.insert(path.trim_start_matches("incident/").to_owned(), bytes);
    }
    // The checksum stands at the very end.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink())?;
    Ok(files)
}

fn run(name: &str, folder: &str, ending: &str) -> Option<RunId> {
    name.strip_prefix(folder)?.strip_suffix(ending)?.parse().ok()
}

/// The lines of a history that hold something.
pub fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

fn read<T: serde::de::DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, UnpackError> {
    serde_json::from_slice(bytes)
        .map_err(|error| UnpackError::File { name: name.to_owned(), words: error.to_string() })
}
