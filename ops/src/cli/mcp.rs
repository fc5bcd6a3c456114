//! The verbs of `stead mcp`.

use clap::{Args, Subcommand};

use super::fields::Command;

/// MCP servers that run in Kubernetes, as the site declares them.
#[derive(Debug, Args)]
pub struct Mcp {
    #[command(subcommand)]
    pub verb: Verb,
}

/// What may be asked of an MCP server.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List servers, and how each fares.
    #[command(after_help = "Example:\n  stead mcp list")]
    List {
        /// Those that were taken away, too.
        #[arg(long)]
        all: bool,
    },
    /// Show which image of a server runs, and what one can go back to.
    #[command(after_help = "Example:\n  stead mcp show outline")]
    Show {
        /// Its name.
        name: String,
    },
    /// Have a server run as the site declares it, with the image that its tag means now. If the new
    /// pods do not answer, what ran before goes on.
    #[command(after_help = "Example:\n  stead mcp deploy outline --wait\n  \
        stead mcp deploy outline --tag 1.5 --wait")]
    Deploy {
        #[command(flatten)]
        command: Command,
        /// Another tag than the site's, or a digest, of the same repository.
        #[arg(long, value_name = "TAG")]
        tag: Option<String>,
        /// Take over what others have set in Kubernetes, as `kubectl scale` does.
        #[arg(long)]
        take_over: bool,
    },
    /// Have what runs of a server rolled out once more, with the very image: what somebody took away or
    /// changed by hand is there again.
    #[command(after_help = "Example:\n  stead mcp repair outline --wait")]
    Repair {
        #[command(flatten)]
        command: Command,
        /// Take over what others have set in Kubernetes, as `kubectl scale` does.
        #[arg(long)]
        take_over: bool,
    },
    /// Have a server run as it did before.
    #[command(after_help = "Example:\n  stead mcp rollback outline --wait")]
    Rollback(Command),
    /// Take a server away: its pods, its Service and its route.
    #[command(after_help = "Example:\n  stead mcp remove outline --wait")]
    Remove(Command),
}
