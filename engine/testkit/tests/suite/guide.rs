//! The guide shows what is compiled and run: each piece of Rust in it stands in the example.

use std::fs;
use std::path::Path;

#[test]
fn every_piece_of_the_guide_stands_in_the_example() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(here.join("../GUIDE.md")).expect("the guide is there");
    let example = fs::read_dir(here.join("examples/preview")).expect("the example is there");
    let sources: Vec<String> =
        example.flatten().filter_map(|file| fs::read_to_string(file.path()).ok()).collect();
    let pieces = guide.split("```rust\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let mut count = 0;
    for piece in pieces {
        assert!(sources.iter().any(|source| source.contains(piece)), "is nowhere:\n{piece}");
        count += 1;
    }
    assert!(count >= 10, "{count}");
}
