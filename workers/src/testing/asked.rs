//! No step is left out: each is asked for in some test of this crate, so that whatever it sends is held
//! against the vendor's description.

use std::fs;
use std::path::Path;

use stead_schemas::step::known::STEPS;

/// All that stands in files of tests.
fn tests(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = entries.map(|path| {
        let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap();
        match path.is_dir() {
            true => tests(&path),
            // The front door has its tests in it.
            false if name.contains("test") || name == "src/lib.rs" => {
                fs::read_to_string(&path).unwrap()
            }
            false => String::new(),
        }
    });
    texts.collect()
}

/// `proxmox.clone-vm` is asked for by a `CloneVm`.
fn request(step: &str) -> String {
    let words = step.split_once('.').unwrap().1.split('-');
    words.map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

#[test]
fn every_step_is_asked_for_in_a_test() {
    let tests = tests(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let is_asked = |step: &&str| {
        let request = request(step);
        [" ", "::", "("].iter().any(|before| tests.contains(&format!("{before}{request} {{")))
    };
    let missing: Vec<_> =
        STEPS.iter().map(|(step, _)| *step).filter(|step| !is_asked(step)).collect();
    assert!(missing.is_empty(), "no test asks for {missing:?}");
}
