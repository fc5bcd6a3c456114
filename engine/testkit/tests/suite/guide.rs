//! The guide shows what is compiled and run: each piece of Rust in it stands in the example, and
//! whoever types all of them in has the example.

use std::fs;
use std::path::{Path, PathBuf};

/// What is the example's own, and not a stranger's: it tests what the guide says and does not show.
const NOT_SHOWN: (&str, &str) = ("running.rs", "#[cfg(test)]\nmod running;\n");

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn guide() -> String {
    fs::read_to_string(here().join("../GUIDE.md")).expect("the guide is there")
}

/// The pieces of a language, each without its fence.
fn pieces<'a>(guide: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let pieces = guide.match_indices(&fence).map(|(at, _)| &guide[at + fence.len()..]);
    pieces.filter_map(|rest| rest.split("\n```").next()).collect()
}

/// The files of the example that the guide shows, and what is in them.
fn sources() -> Vec<(String, String)> {
    let files = fs::read_dir(here().join("examples/preview")).expect("the example is there");
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let files = files.flatten().filter_map(|file| {
        let text = fs::read_to_string(file.path()).ok()?;
        Some((name(&file.path())?, text.replace(NOT_SHOWN.1, "")))
    });
    files.filter(|(name, _)| name != NOT_SHOWN.0).collect()
}

#[test]
fn every_piece_of_the_guide_stands_in_the_example_and_every_line_of_that_in_the_guide() {
    let (guide, mut sources) = (guide(), sources());
    assert_eq!(sources.len(), 5, "{sources:?}");
    for piece in pieces(&guide, "rust") {
        let at = sources.iter_mut().find(|(_, source)| source.contains(piece));
        let Some((_, source)) = at else { panic!("is nowhere, or twice in the guide:\n{piece}") };
        *source = source.replacen(piece, "", 1);
    }
    for (name, rest) in sources {
        assert!(rest.trim().is_empty(), "the guide does not show this of {name}:\n{rest}");
    }
}

#[test]
fn the_guide_names_every_crate_that_the_example_uses() {
    let guide = guide();
    let [manifest] = pieces(&guide, "toml")[..] else { panic!("there is one Cargo.toml") };
    let named: Vec<String> = manifest
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name.replace('-', "_"))
        .collect();
    for (file, source) in sources() {
        let used = source.lines().filter_map(|line| line.strip_prefix("use "));
        for path in used {
            let used = path.split("::").next().unwrap_or_default();
            let is_known = ["std", "crate"].contains(&used) || named.iter().any(|one| one == used);
            assert!(is_known, "{file} uses {used}");
        }
    }
}
