//! What lies in the folder of a backup.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use stead_schemas::ids::Partition;
use stead_schemas::subjects;

use super::{BackupError, Manifest, StreamKept, VERSION};

/// The name of the manifest.
const MANIFEST: &str = "manifest.json";
/// How much of a file is read at a time.
const READ_BYTES: usize = 1 << 20;

/// Turns a failure of a file into ours.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> BackupError {
    move |source| BackupError::File { path: path.to_owned(), source }
}

/// A folder that becomes the backup when it is whole, and is gone if it never is.
pub(super) struct Draft {
    pub(super) folder: PathBuf,
    target: PathBuf,
}

impl Draft {
    /// A folder beside the one that is wanted.
    pub(super) fn begin(target: &Path) -> Result<Self, BackupError> {
        if target.exists() {
            return Err(BackupError::Taken { path: target.to_owned() });
        }
        let name = target.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let folder = target.with_file_name(format!(".{name}.{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        Ok(Self { folder, target: target.to_owned() })
    }

    /// Gives the folder its name, once all of it is on the disk.
    pub(super) fn finish(&self, manifest: &Manifest) -> Result<(), BackupError> {
        let path = self.folder.join(MANIFEST);
        let text = serde_json::to_vec_pretty(manifest).map_err(io::Error::other);
        fs::write(&path, text.map_err(at(&path))?).map_err(at(&path))?;
        for path in [&path, &self.folder] {
            File::open(path).and_then(|file| file.sync_all()).map_err(at(path))?;
        }
        if self.target.exists() {
            return Err(BackupError::Taken { path: self.target.clone() });
        }
        fs::rename(&self.folder, &self.target).map_err(at(&self.target))?;
        let above = self.target.parent().filter(|above| !above.as_os_str().is_empty());
        let above = above.unwrap_or(Path::new("."));
        File::open(above).and_then(|folder| folder.sync_all()).map_err(at(above))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone already if it has become the backup.
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Reads a whole backup and checks that it is as it was written. Asks no server.
///
/// # Errors
/// With everything that is wrong with it.
pub fn verify(source: &Path) -> Result<Manifest, BackupError> {
    let path = source.join(MANIFEST);
    let text = fs::read(&path).map_err(at(&path))?;
    let damaged = |words: String| BackupError::Damaged { faults: vec![words] };
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|error| damaged(format!("its manifest cannot be read: {error}")))?;
    if manifest.version != VERSION {
        let words = format!("it is of version {}; this build reads {VERSION}", manifest.version);
        return Err(damaged(words));
    }
    let mut faults = missing(&manifest);
    for stream in &manifest.streams {
        faults.extend(compare(source, stream).err());
    }
    match faults.is_empty() {
        true => Ok(manifest),
        false => Err(BackupError::Damaged { faults }),
    }
}

/// The streams without which there is no platform.
fn missing(manifest: &Manifest) -> Vec<String> {
    let has = |name: &str| manifest.streams.iter().any(|stream| stream.name == name);
    let mut wanted = vec![subjects::SETTINGS_BUCKET, subjects::ARCHIVE_STREAM];
    wanted.retain(|name| !has(name));
    let mut faults: Vec<String> =
        wanted.iter().map(|name| format!("it has no stream `{name}`")).collect();
    for partition in (0..manifest.partitions).map(Partition) {
        let logs = manifest.streams.iter();
        let mut logs = logs.filter_map(|stream| subjects::parse_log_stream(&stream.name));
        if !logs.any(|(_, of)| of == partition) {
            faults.push(format!("it has no log of partition {partition}"));
        }
    }
    faults
}

fn compare(source: &Path, stream: &StreamKept) -> Result<(), String> {
    // A manifest that names another place is none of ours.
    let plain =
        Path::new(&stream.file).file_name().is_some_and(|name| name == stream.file.as_str());
    if !plain {
        return Err(format!("`{}` is no file of a backup", stream.file));
    }
    let (bytes, sha256) = digest(&source.join(&stream.file))
        .map_err(|error| format!("{} cannot be read: {error}", stream.file))?;
    if bytes != stream.bytes {
        return Err(format!("{} has {bytes} bytes, not {}", stream.file, stream.bytes));
    }
    if sha256 != stream.sha256 {
        return Err(format!("{} is not what was written", stream.file));
    }
    Ok(())
}

fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut piece = vec![0; READ_BYTES];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok((bytes, hexadecimal(hash)));
        }
        bytes += read as u64;
        hash.update(&piece[..read]);
    }
}

/// A finished hash as text.
pub(super) fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
