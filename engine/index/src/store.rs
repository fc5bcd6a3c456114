//! Keys and values, in files or in memory. Knows nothing of runs.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use crate::place::Identity;

/// The most memory that cached pages take.
const CACHE_BYTES: u64 = 16 << 20;

/// How long a line may stay in memory only.
const FLUSH_EVERY_MS: u64 = 1_000;

/// A key and its value.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);

/// Where the lines are.
#[derive(Debug)]
pub(crate) enum Store {
    /// In files.
    Disk(Disk),
    /// In memory, where there is no place for files.
    Memory(BTreeMap<Vec<u8>, Vec<u8>>),
}

/// A store in files.
#[derive(Debug)]
pub(crate) struct Disk {
    db: sled::Db,
    /// The file that holds everything, as it was opened.
    file: (PathBuf, Identity),
}

/// Why the files are of no use any more.
#[derive(Debug, thiserror::Error)]
#[error("the index cannot be read or written")]
pub(crate) struct Broken(#[from] sled::Error);

impl Store {
    /// Makes a new store in a directory that does not exist yet.
    ///
    /// # Errors
    /// If no file can be made there.
    pub(crate) fn create(directory: &Path) -> io::Result<Self> {
        let db = sled::Config::new()
            .path(directory)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(Some(FLUSH_EVERY_MS))
            .open()?;
        let path = directory.join("db");
        let file = Identity::of(&path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self::Disk(Disk { db, file: (path, file) }))
    }

    /// Makes a new store in memory.
    pub(crate) const fn in_memory() -> Self {
        Self::Memory(BTreeMap::new())
    }

    /// Whether what is read and written is still what lies on the disk. A deleted file goes on
    /// working for whoever has it open, so that nothing else would tell.
    pub(crate) fn is_there(&self) -> bool {
        match self {
            Self::Disk(disk) => Identity::of(&disk.file.0) == Some(disk.file.1),
            Self::Memory(_) => true,
        }
    }

    /// Keeps these entries, replacing those of the same keys.
    ///
    /// # Errors
    /// If the files are of no use any more.
    pub(crate) fn put(&mut self, entries: &[Entry]) -> Result<(), Broken> {
        match self {
            Self::Disk(disk) => disk.put(entries),
            Self::Memory(map) => {
                map.extend(entries.iter().cloned());
                Ok(())
            }
        }
    }

    /// The first values whose keys begin so, behind the key `after`, in the order of their keys.
    /// The others are not touched.
    ///
    /// # Errors
    /// If the files are of no use any more.
    pub(crate) fn values(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Vec<Vec<u8>>, Broken> {
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        match self {
            Self::Disk(disk) => disk.values(prefix, from, most),
            Self::Memory(map) => {
                let from = map.range::<[u8], _>((from, Bound::Unbounded));
                let found = from.take_while(|(key, _)| key.starts_with(prefix));
                Ok(found.take(most).map(|(_, value)| value.clone()).collect())
            }
        }
    }

    /// Removes everything whose key begins so.
    ///
    /// # Errors
    /// If the files are of no use any more.
    pub(crate) fn remove(&mut self, prefix: &[u8]) -> Result<(), Broken> {
        match self {
            Self::Disk(disk) => disk.remove(prefix),
            Self::Memory(map) => {
                map.retain(|key, _| !key.starts_with(prefix));
                Ok(())
            }
        }
    }
}

/// One change at a time: each of sled's batches takes memory that comes back only when the store
/// is closed, and then slowly. Nothing here must be changed together with anything else.
impl Disk {
    fn put(&self, entries: &[Entry]) -> Result<(), Broken> {
        for (key, value) in entries {
            self.db.insert(key, value.as_slice())?;
        }
        Ok(())
    }

    fn values(
        &self,
        prefix: &[u8],
        from: Bound<&[u8]>,
        most: usize,
    ) -> Result<Vec<Vec<u8>>, Broken> {
        let mut values = Vec::new();
        for entry in self.db.range::<&[u8], _>((from, Bound::Unbounded)).take(most) {
            let (key, value) = entry?;
            if !key.starts_with(prefix) {
                break;
            }
            values.push(value.to_vec());
        }
        Ok(values)
    }

    fn remove(&self, prefix: &[u8]) -> Result<(), Broken> {
        for key in self.db.scan_prefix(prefix).keys() {
            self.db.remove(key?)?;
        }
        Ok(())
    }
}
