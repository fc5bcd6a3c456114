//! The options of `stead token`.
//!
//! What an order says is handed on as it was typed: the engine decides what may be chosen, and
//! says why not, in one place for every client.

use clap::{Args, Subcommand};

use super::fields::{Command, Fields};

/// What may be asked of tokens.
#[derive(Debug, Args)]
pub struct Token {
    /// Whose tokens (default: $USER).
    #[arg(long, global = true, env = "STEAD_OWNER", value_name = "OWNER")]
    pub owner: Option<String>,
    #[command(subcommand)]
    pub verb: Verb,
}

/// One verb.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a token of Coder's, give it to a repository in Forgejo as a secret, and let a workflow
    /// prove it there. From then on it is made anew by itself.
    #[command(after_help = "Example:\n  stead token create ci --repository templates --wait")]
    Create {
        #[command(flatten)]
        command: Command,
        /// The repository, without its owner, who is the token's.
        #[arg(long, value_name = "NAME")]
        repository: String,
        /// The secret's name in workflows (default: CODER_SESSION_TOKEN).
        #[arg(long, value_name = "NAME")]
        secret: Option<String>,
        /// The workflow that proves it (default: prove-token.yml).
        #[arg(long, value_name = "FILE")]
        workflow: Option<String>,
        /// The branch that the workflow is taken from (default: main).
        #[arg(long, value_name = "BRANCH")]
        branch: Option<String>,
        #[command(flatten)]
        pace: Pace,
    },
    /// List the owner's tokens.
    #[command(after_help = "Example:\n  stead token list --owner platform")]
    List {
        /// Those that are gone, too.
        #[arg(long)]
        all: bool,
    },
    /// Say when a token ends, when it is made anew, and whether the last one was proved.
    #[command(after_help = "Example:\n  stead token status ci")]
    Status {
        /// The token.
        name: String,
    },
    /// Make a token anew now. The one before is revoked six hours later, or by the next rotation.
    #[command(after_help = "Example:\n  stead token rotate ci --wait")]
    Rotate(Command),
    /// Change how long tokens live and how often they are made. What you leave out stays as it is.
    #[command(after_help = "Example:\n  stead token configure ci --every-days 3")]
    Configure {
        #[command(flatten)]
        command: Command,
        #[command(flatten)]
        pace: Pace,
    },
    /// Take a token away: the repository's secret, and the token itself.
    #[command(after_help = "Example:\n  stead token delete ci --wait")]
    Delete(Command),
}

/// How long tokens live and how often they are made.
#[derive(Debug, Args)]
pub struct Pace {
    /// How many days each token lives (7 for a new one).
    #[arg(long, value_name = "DAYS")]
    pub life_days: Option<String>,
    /// After how many days the next token is made (6 for a new one).
    #[arg(long, value_name = "DAYS")]
    pub every_days: Option<String>,
}

impl Fields {
    /// The pace, as far as it was typed.
    pub fn pace(self, pace: &Pace) -> Self {
        self.number("life_days", pace.life_days.as_ref())
            .number("every_days", pace.every_days.as_ref())
    }
}
