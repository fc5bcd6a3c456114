//! The options of `stead owner`.

use clap::Subcommand;

/// What may be asked about owners, where the site has an Authentik.
#[derive(Debug, Subcommand)]
pub enum Owner {
    /// List the owners of workspaces: who each is at Authentik, and whether what he has may run.
    #[command(after_help = "Example:\n  stead owner list --json")]
    List,
    /// Show one owner: who he is, what he is called by now, which workspaces he has.
    #[command(after_help = "Example:\n  stead owner show john")]
    Show {
        /// Under which name he owns things.
        owner: String,
    },
    /// Ask Authentik now, also for the owners of workspaces that are older than the site's [authentik].
    #[command(after_help = "Example:\n  stead owner look")]
    Look,
    /// Confirm that this many owners are really disabled, and have their workspaces stopped.
    #[command(after_help = "Example:\n  stead owner confirm --why 'the interns have left'")]
    Confirm {
        /// Why; it is written into the history.
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
    /// Forget who somebody is, so that another user of this name may own workspaces. A home that is
    /// kept still is his then.
    #[command(after_help = "Example:\n  stead owner forget john --why 'another John has come'")]
    Forget {
        /// Under which name he owned things.
        owner: String,
        /// Why; it is written into the history.
        #[arg(long, value_name = "TEXT")]
        why: String,
        /// Say what would happen, and let nothing happen.
        #[arg(long)]
        dry_run: bool,
    },
}
