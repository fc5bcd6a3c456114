//! The options of `stead nats`.

use std::path::PathBuf;

use clap::Subcommand;

/// What may be asked about NATS servers.
#[derive(Debug, Subcommand)]
pub enum Nats {
    /// Print the configuration of a server for these users.
    #[command(after_help = "Examples:\n  \
        stead nats config users.toml > /etc/nats/nats.conf\n  \
        stead nats config users.toml --accounts > /etc/nats/accounts.conf")]
    Config {
        /// Who may connect: a file as `stead nats example` prints it.
        file: PathBuf,
        /// Only who may do what, to be included in a configuration of one's own.
        #[arg(long)]
        accounts: bool,
    },
    /// Print a file of users with comments, to begin with.
    Example,
    /// Make a key: its seed goes into a new file that only you can read, its public half is
    /// printed.
    #[command(after_help = "Example:\n  stead nats key /etc/stead/nats.nk")]
    Key {
        /// The file, which must not be there yet.
        file: PathBuf,
    },
    /// Make a key for everybody whom a deployment has: a folder with the seed of each, the file of
    /// users that names them, and what the server includes.
    #[command(after_help = "Example:\n  stead nats keys /etc/stead/keys")]
    Keys {
        /// The folder, which must not be there yet.
        folder: PathBuf,
    },
}
