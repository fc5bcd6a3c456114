//! Where the files lie and who may use them.
//!
//! An engine claims a directory by locking the file `lock` in it, and takes the directory
//! `<path>-1`, `<path>-2`, … where another process has it already. In it, each index that begins
//! anew has a numbered directory of its own: what remains of the one before it (an open file, a
//! deletion put off) cannot touch its files.

use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// How many engines may be pointed at one path before the next one has no place on disk.
const SIBLINGS_MAX: u32 = 64;

/// What Linux says of itself, and differently after each start of the machine (proc(5)).
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// How the name of each index's own directory begins; a number follows.
const BEGINNING: &str = "stead-index-";

/// A directory that is ours.
#[derive(Debug)]
pub(crate) struct Place {
    root: PathBuf,
    /// The lock goes when this is dropped.
    lock: File,
}

impl Place {
    /// Claims `path`, or the first directory beside it that no process uses.
    ///
    /// # Errors
    /// If no directory can be made or locked there.
    pub(crate) fn claim(path: &Path) -> io::Result<Self> {
        for number in 0..SIBLINGS_MAX {
            let root = sibling(path, number);
            if let Some(lock) = lock(&root)? {
                return Ok(Self { root, lock });
            }
            tracing::info!(path = %root.display(), "another process has its index here");
        }
        Err(io::Error::other(format!("{SIBLINGS_MAX} processes have their index here")))
    }

    /// Whether the lock is still on the file that others would try to lock.
    pub(crate) fn is_ours(&self) -> bool {
        self.lock
            .metadata()
            .is_ok_and(|held| Identity::of(&self.root.join("lock")) == Some(held.into()))
    }

    /// The name of whoever had the directory before, which is no more as the lock is ours: an engine
    /// that is started again where it was killed is the same one. It is `new` where nobody had it
    /// since the machine was started, or where the directory is a copy of another one.
    ///
    /// # Errors
    /// If the name cannot be kept for whoever comes next.
    pub(crate) fn name(&self, new: String) -> io::Result<String> {
        let Identity { device, inode } = self.lock.metadata()?.into();
        let here = format!("{} {device} {inode} ", fs::read_to_string(BOOT)?.trim());
        let kept = fs::read_to_string(self.root.join("lock"))?;
        let kept = kept.strip_prefix(&here).and_then(|name| name.strip_suffix('\n'));
        if let Some(name) = kept.filter(|name| !name.is_empty()) {
            return Ok(name.to_owned());
        }
        self.lock.set_len(0)?;
        self.lock.write_all_at(format!("{here}{new}\n").as_bytes(), 0)?;
        Ok(new)
    }

    /// A directory that does not exist yet, for an index that begins anew. What earlier ones
    /// have left is removed, and nothing else: the path may be somebody's mistake.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(crate) fn fresh(&self) -> io::Result<PathBuf> {
        let mut last = 0;
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let Some(number) = entry.file_name().to_str().and_then(number) else { continue };
            last = last.max(number);
            if let Err(error) = fs::remove_dir_all(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "an old index stays");
            }
        }
        Ok(self.root.join(format!("{BEGINNING}{}", last + 1)))
    }
}

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// The file that has this name now; nothing if there is none.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        fs::symlink_metadata(path).ok().map(Self::from)
    }
}

impl From<Metadata> for Identity {
    fn from(of: Metadata) -> Self {
        Self { device: of.dev(), inode: of.ino() }
    }
}

fn number(name: &str) -> Option<u64> {
    name.strip_prefix(BEGINNING)?.parse::<u32>().ok().map(u64::from)
}

fn sibling(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!("-{number}"));
    name.into()
}

/// The locked lock file of a directory; nothing if another process has it.
fn lock(root: &Path) -> io::Result<Option<File>> {
    let name = root.join("lock");
    loop {
        fs::create_dir_all(root)?;
        let file = File::options().create(true).write(true).truncate(false).open(&name)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Deleted between opening and locking: others would lock another file of this name.
        if Identity::of(&name) == Some(file.metadata()?.into()) {
            return Ok(Some(file));
        }
    }
}
