//! The options of `stead bucket`.
//!
//! What an order says is handed on as it was typed: the engine decides what may be chosen, and
//! says why not, in one place for every client.

use clap::{Args, Subcommand};

use super::fields::{Command, Fields};

/// What may be asked of buckets.
#[derive(Debug, Args)]
pub struct Bucket {
    /// Whose buckets (default: $USER).
    #[arg(long, global = true, env = "STEAD_OWNER", value_name = "OWNER")]
    pub owner: Option<String>,
    #[command(subcommand)]
    pub verb: Verb,
}

/// One verb.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a bucket, and a key in Vault that opens it. A workspace of the same name finds both in
    /// its environment at its next boot.
    #[command(after_help = "Example:\n  stead bucket create dev --quota-gb 50 --wait")]
    Create {
        #[command(flatten)]
        command: Command,
        #[command(flatten)]
        limits: Limits,
    },
    /// List the owner's buckets.
    #[command(after_help = "Example:\n  stead bucket list --owner john --all")]
    List {
        /// Those that are gone, too.
        #[arg(long)]
        all: bool,
    },
    /// Show one bucket: where it is, where its key lies, what it waits for.
    #[command(after_help = "Example:\n  stead bucket show dev")]
    Show {
        /// The bucket.
        name: String,
    },
    /// Change how much a bucket may hold.
    #[command(after_help = "Example:\n  stead bucket resize dev --quota-gb 100 --wait")]
    Resize {
        #[command(flatten)]
        command: Command,
        #[command(flatten)]
        limits: Limits,
    },
    /// Record that a workspace uses the bucket, so that it cannot be deleted.
    #[command(after_help = "Example:\n  stead bucket attach data --workspace dev")]
    Attach(User),
    /// Say that a workspace no longer uses the bucket.
    #[command(after_help = "Example:\n  stead bucket detach data --workspace dev")]
    Detach(User),
    /// Take a bucket away. One that holds something goes only if that is confirmed, after the
    /// site's grace period.
    #[command(after_help = "Examples:\n  stead bucket delete dev --wait\n  \
        stead bucket delete dev --confirm dev   # with everything in it")]
    Delete {
        #[command(flatten)]
        command: Command,
        /// The bucket's name once more: everything in it may be deleted, too.
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
    },
    /// Take a delete back, within the grace period.
    #[command(after_help = "Example:\n  stead bucket restore dev")]
    Restore(Command),
}

/// A bucket and a workspace.
#[derive(Debug, Args)]
pub struct User {
    #[command(flatten)]
    pub command: Command,
    /// The workspace.
    #[arg(long, value_name = "NAME")]
    pub workspace: String,
}

/// How much.
#[derive(Debug, Args)]
pub struct Limits {
    /// How much it may hold, in GiB.
    #[arg(long, value_name = "GIB")]
    pub quota_gb: Option<String>,
    /// How many objects it may hold.
    #[arg(long, value_name = "NUMBER")]
    pub objects_max: Option<String>,
}

impl Fields {
    /// The fields of limits.
    pub fn limits(self, limits: &Limits) -> Self {
        self.number("quota_gb", limits.quota_gb.as_ref())
            .number("objects_max", limits.objects_max.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::Verb;
    use crate::cli::{Cli, Verb as Top};

    #[test]
    fn what_is_typed_is_handed_on_as_it_is() {
        let line = "stead bucket create Dev --quota-gb many --objects-max 0 --id a";
        let parsed = Cli::try_parse_from(line.split(' ')).map(|cli| cli.verb);
        let Ok(Top::Bucket(bucket)) = parsed else { panic!("{parsed:?}") };
        let Verb::Create { command, limits } = bucket.verb else { panic!("{bucket:?}") };
        let fields = command.fields().limits(&limits).0;
        let sent = json!({ "name": "Dev", "id": "a", "quota_gb": "many", "objects_max": 0 });
        assert_eq!(serde_json::Value::Object(fields), sent);
    }
}
