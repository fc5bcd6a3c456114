//! A digest of files: FNV-1a in 64 bits, which needs no crate. It tells builds apart and guards
//! nothing.

use std::io;
use std::path::{Path, PathBuf};

/// The digest of the files that these names mean beneath `root`, in sixteen hex digits. It depends on
/// their names and on what is in them, and on nothing else.
///
/// # Errors
/// If one of them cannot be read.
pub fn digest(root: &Path, names: &[&str]) -> io::Result<String> {
    let mut files = Vec::new();
    for name in names {
        gather(&root.join(name), &mut files)?;
    }
    files.sort();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
        let bytes = std::fs::read(&file)?;
        // Their lengths say where each ends.
        let lengths = format!("{} {}\n", name.len(), bytes.len());
        for byte in lengths.bytes().chain(name.bytes()).chain(bytes) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    Ok(format!("{hash:016x}"))
}

fn gather(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        gather(&entry?.path(), files)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::digest;
    use crate::assemble::BUILD;

    #[test]
    fn other_sources_have_another_digest_and_the_same_ones_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("it is made");
            fs::write(file, text).expect("it is written");
        };
        let seen = || digest(folder.path(), &["lock", "src"]).expect("they can be read");
        write("lock", "1");
        write("src/one.rs", "fn one() {}");
        write("src/deep/two.rs", "fn two() {}");
        let first = seen();
        write("src/one.rs", "fn one() {}");
        write("elsewhere/three.rs", "fn three() {}");
        assert_eq!(seen(), first, "written again, and beside them");
        write("src/deep/two.rs", "fn two() { }");
        let changed = seen();
        assert_ne!(changed, first);
        write("src/deep/two.rs", "fn two() {}");
        assert_eq!(seen(), first, "as it was");
        fs::rename(folder.path().join("src/one.rs"), folder.path().join("src/other.rs"))
            .expect("it is renamed");
        assert_ne!(seen(), first, "by another name");
        assert!(digest(folder.path(), &["missing"]).is_err());
    }

    #[test]
    fn a_build_is_called_by_its_version_and_its_sources() {
        let digest = BUILD.strip_prefix(concat!("stead ", env!("CARGO_PKG_VERSION"), "+"));
        let digest = digest.unwrap_or_else(|| panic!("{BUILD}"));
        assert!(digest.len() == 16 && digest.chars().all(|c| c.is_ascii_hexdigit()), "{BUILD}");
    }
}
