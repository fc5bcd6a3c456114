//! The options of `stead config` and `stead completions`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What may be asked about configurations.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Read a configuration as an engine would and name every fault in it.
    #[command(after_help = "Example:\n  stead config check /etc/stead/stead.toml")]
    Check {
        /// The configuration (default: the one of --config).
        file: Option<PathBuf>,
    },
    /// Print a complete configuration with comments, to begin with.
    #[command(after_help = "Example:\n  stead config example > stead.toml")]
    Example,
    /// Print a line with a new key, for the file that `encryption.keys` names.
    #[command(after_help = "Example:\n  (umask 077; stead config key 2026-12 > encryption.keys)")]
    Key {
        /// What the key is called: small letters, digits and hyphens.
        name: String,
    },
}

/// For which shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    stead completions bash > ~/.local/share/bash-completion/completions/stead")]
pub struct Completions {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// Says what an alert or a refusal means.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stead explain RunPaused")]
pub struct Explain {
    /// The alert, or the code of a refusal; all there are if left out.
    pub code: Option<String>,
}
