//! What is kept for ever is as it was on its first day.
//!
//! `tests/golden.sha256` has the digest of each file, as `sha256sum` prints it at the root of the
//! house. `STEAD_UPDATE=1 cargo test -p stead-schemas` adds what is new; a line is never changed.

use std::collections::BTreeMap;
use std::fs;

use stead_schemas::transition::link;

use crate::root;

/// The folders whose files stay as they are.
const KEPT: [&str; 3] =
    ["engine/core/tests/golden", "schemas/tests/archive", "schemas/tests/golden"];

/// The digest of every file that is kept, by its name.
fn digests() -> BTreeMap<String, String> {
    let files = KEPT.iter().flat_map(|folder| {
        let entries = fs::read_dir(root().join("..").join(folder)).expect("the folder is there");
        entries.flatten().map(move |entry| (folder, entry))
    });
    let digests = files.map(|(folder, file)| {
        let bytes = fs::read(file.path()).expect("it can be read");
        (format!("{folder}/{}", file.file_name().to_string_lossy()), link(&bytes))
    });
    digests.collect()
}

#[test]
fn what_is_kept_for_ever_was_never_changed() {
    let list = root().join("tests/golden.sha256");
    let mut text = fs::read_to_string(&list).unwrap_or_default();
    let mut now = digests();
    for line in text.lines() {
        let (digest, name) = line.split_once("  ").expect("a digest and a name");
        assert_eq!(
            now.remove(name).as_deref(),
            Some(digest),
            "{name} is not what was once written and must be readable for ever; put it back (`git \
             log {name}`), and record what is written today in a new file beside it"
        );
    }
    let new: Vec<String> =
        now.into_iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
    if std::env::var_os("STEAD_UPDATE").is_some() {
        text.extend(new);
        fs::write(&list, text).expect("the file is ours");
        return;
    }
    assert!(new.is_empty(), "not kept yet; STEAD_UPDATE=1 adds it to tests/golden.sha256: {new:?}");
}
