//! A configuration that cannot be used, in words.

use std::path::PathBuf;

use super::reader::Fault;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there, or may not be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
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

fn counted(faults: usize) -> String {
    match faults {
        1 => "there is a fault in the configuration".to_owned(),
        faults => format!("there are {faults} faults in the configuration"),
    }
}

fn listed(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("  {fault}")).collect::<Vec<_>>().join("\n")
}
