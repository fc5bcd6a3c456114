//! A folder of a repository, packed as Coder takes it: the same files are the same bytes, at
//! whatever commit. Pure.
//!
//! What somebody has pushed is not trusted: there are limits, a link could lead out of the folder,
//! and a state of Terraform's holds secrets in the clear.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path};

use flate2::read::GzDecoder;
use stead_schemas::failure::{Class, Failure};
use tar::{Archive, Builder, EntryType, Header};

/// How large a repository may be, unpacked.
const UNPACKED_BYTES_MAX: u64 = 64 << 20;
/// How large the folder of a template may be.
const TEMPLATE_BYTES_MAX: u64 = 8 << 20;
/// How many files it may have.
const FILES_MAX: usize = 1000;
/// Who may do what with a file.
const PLAIN: u32 = 0o644;
const EXECUTABLE: u32 = 0o755;

/// The files of a template: what each holds, and its mode.
type Files = BTreeMap<String, (u32, Vec<u8>)>;

/// Packs what `archive`, as Forgejo makes it of a commit, holds in this folder.
///
/// # Errors
/// If that is no template, in words.
pub(super) fn pack(archive: &[u8], folder: &str) -> Result<Vec<u8>, Failure> {
    let files = files(archive, folder)?;
    let is_terraform = |path: &String| path.ends_with(".tf") && !path.contains('/');
    if !files.keys().any(is_terraform) {
        return Err(refused(format!("there is no Terraform file in {}", named(folder))));
    }
    packed(&files).map_err(|error| refused(format!("it cannot be packed: {error}")))
}

fn files(archive: &[u8], folder: &str) -> Result<Files, Failure> {
    let unreadable = |error: io::Error| {
        let words = format!("what Forgejo sent cannot be unpacked, or is too large: {error}");
        refused(words)
    };
    let mut archive = Archive::new(GzDecoder::new(archive).take(UNPACKED_BYTES_MAX));
    let (mut files, mut total) = (Files::new(), 0);
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let path = entry.path().map_err(unreadable)?.into_owned();
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader | EntryType::Directory) {
            continue;
        }
        let Some(path) = beneath(&path, folder) else { continue };
        check(&path, kind)?;
        total += entry.size();
        if total > TEMPLATE_BYTES_MAX || files.len() == FILES_MAX {
            let words = format!(
                "{} is larger than {} MiB or has more than {FILES_MAX} files",
                named(folder),
                TEMPLATE_BYTES_MAX >> 20
            );
            return Err(refused(words));
        }
        let is_executable = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
        let mode = if is_executable { EXECUTABLE } else { PLAIN };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(unreadable)?;
        files.insert(path, (mode, bytes));
    }
    Ok(files)
}

/// The path in the folder. Forgejo puts everything into one that is named like the repository.
fn beneath(path: &Path, folder: &str) -> Option<String> {
    let mut parts = path.components();
    parts.next()?;
    let rest = parts.as_path().strip_prefix(folder).ok()?;
    let plain = |part: Component<'_>| match part {
        Component::Normal(part) => part.to_str().map(str::to_owned),
        _ => None,
    };
    let parts: Vec<String> = rest.components().map(plain).collect::<Option<_>>()?;
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn check(path: &str, kind: EntryType) -> Result<(), Failure> {
    if kind != EntryType::Regular {
        return Err(refused(format!("{path} is a link or the like, and only files are taken")));
    }
    let mut parts = path.split('/');
    if path.contains(".tfstate") || parts.any(|part| part == ".terraform") {
        return Err(refused(format!("{path} is state of Terraform's, which holds secrets")));
    }
    Ok(())
}

fn packed(files: &Files) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for (path, (mode, bytes)) in files {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(*mode);
        header.set_mtime(0);
        tar.append_data(&mut header, path, bytes.as_slice())?;
    }
    tar.into_inner()
}

fn named(folder: &str) -> String {
    if folder.is_empty() { "the repository".to_owned() } else { format!("the folder {folder}") }
}

fn refused(words: String) -> Failure {
    Failure::new(Class::Permanent, words)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{Builder, EntryType, Header};

    use super::{FILES_MAX, pack};

    /// An archive as Forgejo makes one, of paths and what they hold.
    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = Header::new_gnu();
            header.set_mtime(text.len() as u64);
            header.set_mode(0o664);
            match text.strip_prefix("-> ") {
                Some(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    header.set_size(0);
                    tar.append_link(&mut header, format!("templates/{path}"), target).unwrap();
                }
                None => {
                    header.set_size(text.len() as u64);
                    let path = format!("templates/{path}");
                    tar.append_data(&mut header, path, text.as_bytes()).unwrap();
                }
            }
        }
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(&tar.into_inner().unwrap()).unwrap();
        gz.finish().unwrap()
    }

    fn names(packed: &[u8]) -> Vec<String> {
        let mut tar = tar::Archive::new(packed);
        let entries = tar.entries().unwrap();
        entries.map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
    }

    fn refused(files: &[(&str, &str)], words: &str) {
        let failure = pack(&archive(files), "machine").expect_err("it is refused");
        assert!(failure.words.contains(words), "{failure}");
    }

    #[test]
    fn only_the_folder_is_packed_and_the_rest_changes_nothing() {
        let folder = [("machine/main.tf", "a"), ("machine/scripts/up.sh", "b")];
        let other = [("machine-2/main.tf", "c"), ("README.md", "d"), ("up", "-> /etc/passwd")];
        let packed = pack(&archive(&folder), "machine").unwrap();
        assert_eq!(names(&packed), ["main.tf", "scripts/up.sh"]);
        assert_eq!(
            pack(&archive(&[other, [folder[1], folder[0], other[1]]].concat()), "machine").unwrap(),
            packed
        );
        let changed = pack(&archive(&[("machine/main.tf", "A"), folder[1]]), "machine").unwrap();
        assert_ne!(changed, packed);
        let whole = pack(&archive(&[("main.tf", "a")]), "").unwrap();
        assert_eq!(names(&whole), ["main.tf"]);
    }

    #[test]
    fn what_is_no_template_is_refused_in_words() {
        refused(&[("README.md", "")], "no Terraform file in the folder machine");
        refused(&[("machine/deep/main.tf", "a")], "no Terraform file");
        refused(&[("machine/main.tf", "-> /etc/passwd")], "main.tf is a link");
        refused(&[("machine/terraform.tfstate", "{}")], "which holds secrets");
        refused(&[("machine/.terraform/x", "{}")], "which holds secrets");
        let many: Vec<String> = (0..=FILES_MAX).map(|n| format!("machine/{n}.tf")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|path| (path.as_str(), "")).collect();
        refused(&many, "has more than 1000 files");
        let large = "x".repeat(9 << 20);
        refused(&[("machine/main.tf", &large)], "is larger than 8 MiB");
        let failure = pack(b"no archive", "machine").expect_err("it is refused");
        assert!(failure.words.contains("cannot be unpacked"), "{failure}");
    }
}
