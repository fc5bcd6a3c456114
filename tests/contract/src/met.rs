//! Which known gaps are met, by whatever is checked in whichever process: each leaves a file in the
//! folder that `STEAD_CONTRACT_MET` names. Once everything was checked, a gap without a file is no gap
//! any more: the vendor's description has it now, or nobody asks for that any more.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::known::KNOWN;

/// Remembers that the gap at this place of the table was met; nothing where nobody wants to know.
///
/// # Panics
/// If the folder cannot be written to: what is forgotten would be called stale.
pub(crate) fn remember(place: usize) {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    static MET: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());
    let folder = FOLDER.get_or_init(|| std::env::var_os("STEAD_CONTRACT_MET").map(PathBuf::from));
    let Some(folder) = folder else { return };
    let is_new = MET.lock().unwrap_or_else(PoisonError::into_inner).insert(place);
    if is_new {
        keep(folder, place);
    }
}

fn keep(folder: &Path, place: usize) {
    let file = folder.join(place.to_string());
    fs::write(&file, KNOWN[place].to_string())
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

/// The known gaps that nothing has met, in words.
///
/// # Errors
/// If what was remembered cannot be read, or nothing was: then nothing was checked.
pub fn stale(folder: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let met: BTreeSet<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    if met.is_empty() {
        return Err(format!("{}: nothing was checked", folder.display()));
    }
    let gaps = KNOWN.iter().enumerate();
    let stale = gaps.filter(|(place, _)| !met.contains(&place.to_string()));
    Ok(stale.map(|(_, known)| known.to_string()).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{KNOWN, keep, stale};

    #[test]
    fn a_gap_that_nothing_meets_is_named() {
        let folder = std::env::temp_dir().join(format!("stead-met-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        assert!(stale(&folder).unwrap_err().contains("nothing was checked"));
        for place in 1..KNOWN.len() {
            keep(&folder, place);
        }
        assert_eq!(stale(&folder).unwrap(), [KNOWN[0].to_string()]);
        keep(&folder, 0);
        assert_eq!(stale(&folder).unwrap(), Vec::<String>::new());
        fs::remove_dir_all(&folder).unwrap();
        assert!(stale(&folder).is_err());
    }
}
