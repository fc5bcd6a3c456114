//! The options of `stead schedule`.
//!
//! What is said is handed on as it was typed: the engine decides what may be chosen, and says why
//! not, in one place for every client.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::fields::Fields;

/// What may be asked of schedules.
#[derive(Debug, Args)]
pub struct Schedule {
    /// Whose schedules (default: $USER).
    #[arg(long, global = true, env = "STEAD_OWNER", value_name = "OWNER")]
    pub owner: Option<String>,
    #[command(subcommand)]
    pub verb: Verb,
}

/// One verb.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Give a command again and again, at the times that a cron expression says.
    #[command(after_help = "Example:\n  \
        stead schedule create evening --cron '0 19 * * mon-fri' --time-zone Europe/Berlin \\\n    \
        --give workspace.stop --to dev")]
    Create {
        #[command(flatten)]
        command: Command,
        /// When: minute, hour, day of month, month, day of week.
        #[arg(long, value_name = "EXPRESSION")]
        cron: String,
        /// The command to give at each firing: workspace.stop.
        #[arg(long, value_name = "KIND.VERB")]
        give: String,
        /// The name of whom it is for.
        #[arg(long, value_name = "NAME")]
        to: String,
        #[command(flatten)]
        choices: Choices,
    },
    /// List the owner's schedules.
    #[command(after_help = "Example:\n  stead schedule list --owner john")]
    List {
        /// Those that are gone, too.
        #[arg(long)]
        all: bool,
    },
    /// Show one schedule: the next firings, what became of the last ones, and how many there were.
    #[command(after_help = "Example:\n  stead schedule show evening")]
    Show {
        /// The schedule.
        name: String,
    },
    /// Let a schedule fire no more until it is resumed. What it has given goes on.
    #[command(after_help = "Example:\n  stead schedule pause evening")]
    Pause(Command),
    /// Let a paused schedule fire again, from now on.
    #[command(after_help = "Example:\n  stead schedule resume evening")]
    Resume(Command),
    /// Fire now, whatever the time; a paused schedule, too.
    #[command(after_help = "Example:\n  stead schedule trigger evening")]
    Trigger(Command),
    /// Change what is named, keep the rest.
    #[command(after_help = "Example:\n  \
        stead schedule update evening --cron '0 20 * * *' --overlap queue-one")]
    Update {
        #[command(flatten)]
        command: Command,
        /// When: minute, hour, day of month, month, day of week.
        #[arg(long, value_name = "EXPRESSION")]
        cron: Option<String>,
        /// The command to give at each firing.
        #[arg(long, value_name = "KIND.VERB", requires = "to")]
        give: Option<String>,
        /// The name of whom it is for.
        #[arg(long, value_name = "NAME", requires = "give")]
        to: Option<String>,
        #[command(flatten)]
        choices: Choices,
    },
    /// Take a schedule away. What it has given goes on.
    #[command(after_help = "Example:\n  stead schedule delete evening --dry-run")]
    Delete {
        #[command(flatten)]
        command: Command,
        /// Say what would happen, and let nothing happen.
        #[arg(long)]
        dry_run: bool,
    },
}

/// What every command to a schedule says.
#[derive(Debug, Args)]
pub struct Command {
    /// The schedule.
    pub name: String,
    /// The command's id: sent twice, a command of the same id acts once.
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
}

impl Command {
    /// The fields that every command has.
    pub fn fields(&self) -> Fields {
        Fields::of(&self.name, self.id.as_ref())
    }
}

/// What may be chosen, and need not be.
#[derive(Debug, Args)]
pub struct Choices {
    /// What else the command says, as a JSON object.
    #[arg(long, value_name = "JSON", requires = "give")]
    pub with: Option<String>,
    /// The time zone, as in Europe/Berlin (default: UTC).
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// While the command before is still carried out: skip, queue-one, cancel-running or allow.
    #[arg(long, value_name = "WORD")]
    pub overlap: Option<String>,
    /// Of firings that no engine was there for: skip, last or all.
    #[arg(long, value_name = "WORD")]
    pub catch_up: Option<String>,
    /// How old such a firing may be.
    #[arg(long, value_name = "SECONDS")]
    pub catch_up_within_seconds: Option<String>,
    /// What it is for, for whoever wonders.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

impl Fields {
    /// What is given to whom. What is no JSON is sent as the text it is, for the engine to
    /// refuse.
    pub fn give(self, give: Option<&String>, to: Option<&String>, with: Option<&String>) -> Self {
        let (Some(give), Some(to)) = (give, to) else { return self };
        let (kind, verb) = give.split_once('.').unwrap_or((give, ""));
        let mut command = json!({ "kind": kind, "name": to, "verb": verb });
        if let Some(with) = with {
            command["fields"] = typed(with);
        }
        self.value("command", Some(command))
    }

    /// What was chosen.
    pub fn choices(self, choices: &Choices) -> Self {
        let within = choices.catch_up_within_seconds.as_deref().map(typed);
        self.text("time_zone", choices.time_zone.as_ref())
            .text("overlap", choices.overlap.as_ref())
            .text("catch_up", choices.catch_up.as_ref())
            .value("catch_up_within_seconds", within)
            .text("note", choices.note.as_ref())
    }
}

fn typed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::{Value, json};

    use super::Verb;
    use crate::cli::{Cli, Verb as Top};

    #[test]
    fn what_is_typed_is_handed_on_as_it_is() {
        let line = [
            "stead",
            "schedule",
            "create",
            "S",
            "--cron",
            "61 * * * *",
            "--give",
            "workspace.resize",
            "--to",
            "dev",
            "--with",
            "{\"cpu_cores\":8}",
            "--catch-up-within-seconds",
            "long",
        ];
        let parsed = Cli::try_parse_from(line).map(|cli| cli.verb);
        let Ok(Top::Schedule(schedule)) = parsed else { panic!("{parsed:?}") };
        let Verb::Create { command, cron, give, to, choices } = schedule.verb else {
            panic!("{schedule:?}")
        };
        let fields = command
            .fields()
            .text("cron", Some(&cron))
            .give(Some(&give), Some(&to), choices.with.as_ref())
            .choices(&choices);
        let fields_given = json!({ "cpu_cores": 8 });
        let command =
            json!({ "kind": "workspace", "name": "dev", "verb": "resize", "fields": fields_given });
        let sent = json!({ "name": "S", "cron": "61 * * * *", "command": command, "catch_up_within_seconds": "long" });
        assert_eq!(Value::Object(fields.0), sent);
    }
}
