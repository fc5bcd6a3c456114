//! Gives the binary the name of the sources that it is made of.
//!
//! It is made of what they say, not of a commit: so it changes with each line that may decide
//! otherwise, is there where no git is, and nothing is built anew for a commit that changes none.

use std::io::{self, Write};
use std::path::Path;

#[path = "build/sources.rs"]
mod sources;

/// What goes into the binary, beneath the root of the repository.
const SOURCES: [&str; 10] = [
    "Cargo.lock",
    "engine/core/src",
    "engine/index/src",
    "engine/nats/src",
    "engine/runtime/src",
    "ops/src",
    "schemas/src",
    "tests/lab/src",
    "workers/src",
    "workflows/src",
];

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let digest = sources::digest(&root, &SOURCES)?;
    let mut out = io::stdout();
    for source in SOURCES {
        writeln!(out, "cargo::rerun-if-changed={}", root.join(source).display())?;
    }
    writeln!(out, "cargo::rustc-env=STEAD_VERSION={}+{digest}", env!("CARGO_PKG_VERSION"))
}
