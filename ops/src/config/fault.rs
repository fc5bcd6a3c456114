//! A configuration that cannot be used, in words.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use super::reader::Fault;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there, or may not be read.
    #[error("{}", unreadable(path, source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Error,
    },
    /// What is wrong in it, all of it.
    #[error("{} of {}:\n{}", counted(faults.len()), place, listed(faults))]
    Faulty {
        /// The file.
        place: String,
        /// Every fault.
        faults: Vec<Fault>,
    },
}

fn unreadable(path: &Path, source: &Error) -> String {
    let path = path.display();
    match source.kind() {
        ErrorKind::NotFound => format!(
            "there is no configuration {path}: name another one with --config, or begin with \
             `stead config example > {path}`"
        ),
        _ => format!("cannot read {path}: {source}"),
    }
}

fn counted(faults: usize) -> String {
    match faults {
        1 => "there is a fault in the configuration".to_owned(),
        faults => format!("there are {faults} faults in the configuration"),
    }
}

fn listed(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("  {fault}")).collect::<Vec<_>>().join("\n")
}
