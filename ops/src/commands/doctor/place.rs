//! Folders of this machine: how much room they have, and whether an engine can use them.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::finding::Finding;

/// Less room than this, in per cent of the disk, is soon none.
const FREE_MIN: u64 = 10;

/// How much room the disk of a folder has.
pub fn free(check: &str, folder: &Path) -> Finding {
    let disk = match rustix::fs::statvfs(folder) {
        Ok(disk) => disk,
        Err(error) => {
            let words = format!("{} cannot be looked at: {error}", folder.display());
            return Finding::unseen(check, words, "run `stead doctor` where the folder is");
        }
    };
    let (free, all) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
    of_disk(check, &folder.display().to_string(), free, all)
}

fn of_disk(check: &str, folder: &str, free: u64, all: u64) -> Finding {
    let words = format!("{} of {} are free at {folder}", size(free), size(all));
    if free.saturating_mul(100) < all.saturating_mul(FREE_MIN) {
        return Finding::warning(check, words, "make room on this disk, or move to a larger one");
    }
    Finding::ok(check, words)
}

/// A number of bytes as a person says it.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

/// Whether an engine of this machine can keep its index in this folder.
pub fn index(folder: &Path) -> Vec<Finding> {
    const CHECK: &str = "index";
    let shown = folder.display();
    if !folder.is_dir() {
        let above = folder.ancestors().skip(1).find(|above| above.is_dir());
        let words =
            format!("{shown} is not there yet; an engine makes it, and fills it from the log");
        let mut findings = vec![Finding::ok(CHECK, words)];
        findings.extend(above.map(|above| free("index disk", above)));
        return findings;
    }
    let state = match File::options().read(true).write(true).open(folder.join("lock")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Finding::ok(CHECK, format!("{shown} is empty; an engine fills it from the log"))
        }
        Err(error) => {
            let words = format!(
                "an engine of this user cannot use {shown}: {error}; its index would be in memory"
            );
            Finding::failed(CHECK, words, format!("give {shown} to the user of the engine (chown)"))
        }
        Ok(lock) => match lock.try_lock() {
            // Whatever lies there is of no use to anybody, and so cannot be out of order.
            Ok(()) => Finding::ok(
                CHECK,
                format!("{shown} is free for an engine, which fills it anew from the log"),
            ),
            Err(TryLockError::WouldBlock) => {
                Finding::ok(CHECK, format!("{shown} is in use by an engine"))
            }
            Err(TryLockError::Error(error)) => {
                let words = format!("{shown} cannot be locked: {error}");
                Finding::warning(CHECK, words, "put the index on a local disk (`engine.index`)")
            }
        },
    };
    vec![state, free("index disk", folder)]
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::{free, index, of_disk, size};

    #[test]
    fn a_disk_that_is_nearly_full_is_told_before_it_is_full() {
        assert_eq!(of_disk("disk", "/", 10, 100).verdict, Verdict::Ok);
        assert_eq!(of_disk("disk", "/", 9, 100).verdict, Verdict::Warning);
        assert_eq!(size(3 << 30), "3 GiB");
    }

    #[test]
    fn an_index_in_use_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().join("index");
        assert!(index(&at)[0].words.contains("not there yet"));
        std::fs::create_dir(&at).expect("a folder");
        let lock = std::fs::File::create(at.join("lock")).expect("a file");
        assert!(index(&at)[0].words.contains("free for an engine"));
        lock.lock().expect("a lock");
        assert!(index(&at)[0].words.contains("in use"));
    }

    #[test]
    fn an_index_that_an_engine_cannot_use_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let empty = &index(folder.path())[0];
        assert!(empty.verdict == Verdict::Ok && empty.words.contains("is empty"), "{empty:?}");
        // Whoever checks may be root, who may read and write whatever is a file.
        std::fs::create_dir(folder.path().join("lock")).expect("a folder");
        let told = index(folder.path());
        assert_eq!(told[0].verdict, Verdict::Failed, "{told:?}");
        assert!(told[0].words.contains("its index would be in memory"), "{told:?}");
        assert_eq!(told[1].check, "index disk", "{told:?}");
    }

    #[test]
    fn a_disk_that_cannot_be_looked_at_is_unseen() {
        let folder = tempfile::tempdir().expect("a folder");
        let told = free("disk", &folder.path().join("nowhere"));
        assert_eq!(told.verdict, Verdict::Unseen, "{told:?}");
    }
}
