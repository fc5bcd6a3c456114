//! The options of `stead workspace`.
//!
//! What an order says is handed on as it was typed: the engine decides what may be chosen, and
//! says why not, in one place for every client.

use clap::{Args, Subcommand};

use super::fields::{Command, Fields};

/// What may be asked of workspaces.
#[derive(Debug, Args)]
pub struct Workspace {
    /// Whose workspaces (default: $USER).
    #[arg(long, global = true, env = "STEAD_OWNER", value_name = "OWNER")]
    pub owner: Option<String>,
    #[command(subcommand)]
    pub verb: Verb,
}

/// One verb.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a workspace: a home, a machine on it, an agent that answers.
    #[command(after_help = "Example:\n  \
        stead workspace create dev --cpu-cores 8 --memory-gb 16 --wait")]
    Create {
        #[command(flatten)]
        command: Command,
        /// What it is made from (default: the site's first template).
        #[arg(long, value_name = "NAME")]
        template: Option<String>,
        #[command(flatten)]
        size: Size,
        /// The storage beneath the machine's own disk: iscsi or nvme.
        #[arg(long, value_name = "WORD")]
        storage_backend: Option<String>,
        /// When a step fails for good: take-back, or wait for a retry that changes something.
        #[arg(long, value_name = "WORD")]
        on_failure: Option<String>,
    },
    /// Do what a build in Coder asks for: its Terraform template gives this. Which build it is,
    /// CODER_WORKSPACE_* say in the environment.
    #[command(after_help = "Example:\n  \
        stead workspace from-coder --cpu-cores 8 --memory-gb 16 --storage-quota-gb 100")]
    FromCoder(FromCoder),
    /// List the owner's workspaces.
    #[command(after_help = "Example:\n  stead workspace list --owner john --all")]
    List {
        /// Those that are gone, too.
        #[arg(long)]
        all: bool,
    },
    /// Show one workspace: where it stands, what it waits for, what became of each command.
    #[command(after_help = "Example:\n  stead workspace show dev")]
    Show {
        /// The workspace.
        name: String,
    },
    /// Start the machine and wait for its agent.
    #[command(after_help = "Example:\n  stead workspace start dev --wait")]
    Start(Command),
    /// Shut the machine down; everything is kept.
    #[command(after_help = "Example:\n  stead workspace stop dev --wait")]
    Stop(Command),
    /// Stop and start again.
    #[command(after_help = "Example:\n  stead workspace restart dev --wait")]
    Restart(Command),
    /// Change what is named, keep the rest. Cores and memory take effect at the next start.
    #[command(after_help = "Example:\n  stead workspace resize dev --storage-quota-gb 100 --wait")]
    Resize {
        #[command(flatten)]
        command: Command,
        #[command(flatten)]
        size: Size,
    },
    /// Make the machine anew and keep the home. The old machine goes once the new one answers.
    #[command(after_help = "Example:\n  stead workspace rebuild dev --dry-run")]
    Rebuild {
        #[command(flatten)]
        command: Command,
        /// Another template of the site; the one it was made from, as it was then, if nothing is
        /// said.
        #[arg(long, value_name = "NAME")]
        template: Option<String>,
    },
    /// Take the template as the site has it now, with a new machine where that needs one, and the
    /// version of it that is active in Coder, with a restart.
    #[command(after_help = "Example:\n  stead workspace update dev --dry-run")]
    Update(Command),
    /// Say when the workspace is started, stopped or deleted by itself. What you leave out stays as it is.
    #[command(after_help = "Example:\n  \
        stead workspace configure dev --autostop-minutes 120 --ttl-hours 336\n  \
        stead workspace configure dev --autostart '0 8 * * mon-fri' --time-zone Europe/Berlin\n  \
        stead workspace configure dev --dormant-days 30 --dormant-delete-days 90")]
    Configure {
        #[command(flatten)]
        command: Command,
        /// Stop it when nobody has used it for so many minutes; 0 is never.
        #[arg(long, value_name = "MINUTES")]
        autostop_minutes: Option<String>,
        /// Delete it in so many hours; 0 is never.
        #[arg(long, value_name = "HOURS")]
        ttl_hours: Option<String>,
        #[command(flatten)]
        by_itself: ByItself,
    },
    /// Let a create that waits after a failure go on from the step that failed.
    #[command(after_help = "Example:\n  \
        stead workspace retry dev --storage-backend nvme --wait")]
    Retry {
        #[command(flatten)]
        command: Command,
        #[command(flatten)]
        change: Change,
    },
    /// Take a workspace away. It can be brought back within the site's grace period.
    #[command(after_help = "Example:\n  stead workspace delete dev --dry-run")]
    Delete {
        #[command(flatten)]
        command: Command,
        /// Without the grace period: it cannot be brought back, and a home that no other
        /// workspace uses is destroyed at once.
        #[arg(long)]
        now: bool,
    },
    /// Keep the machine as it is now in a snapshot: its own disk and how it is set up, without its memory.
    /// Home and volume are not in it. It goes with the machine.
    #[command(after_help = "Example:\n  \
        stead workspace snapshot dev before-upgrade --description 'Debian 12' --wait")]
    Snapshot(Take),
    /// List the machine's snapshots, whoever took them: how old each is, and what is said of it.
    #[command(after_help = "Example:\n  stead workspace snapshots dev")]
    Snapshots {
        /// The workspace.
        name: String,
    },
    /// Have the machine be again what a snapshot kept; what was written to its own disk since is lost.
    /// It is stopped for that, and started again if it ran. Home and volume stay as they are.
    #[command(after_help = "Example:\n  stead workspace rollback dev before-upgrade --dry-run")]
    Rollback(Kept),
    /// Delete a snapshot that was asked for. The machine stays as it is.
    #[command(after_help = "Example:\n  stead workspace drop dev before-upgrade --wait")]
    Drop(Kept),
    /// Bring a deleted workspace back, with its home and a new machine.
    #[command(after_help = "Example:\n  stead workspace undelete dev --wait")]
    Undelete(Command),
}

/// How a snapshot is taken.
#[derive(Debug, Args)]
pub struct Take {
    #[command(flatten)]
    pub command: Command,
    /// Its name: 2 to 40 of a-z, 0-9, _ and -, a letter first (default: made from the time).
    pub snapshot: Option<String>,
    /// What is said of it, in one line.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
}

impl Take {
    /// The fields of the command.
    pub fn fields(&self) -> Fields {
        let fields = self.command.fields().text("snapshot", self.snapshot.as_ref());
        fields.text("description", self.description.as_ref())
    }
}

/// A snapshot that is there.
#[derive(Debug, Args)]
pub struct Kept {
    #[command(flatten)]
    pub command: Command,
    /// Which snapshot.
    pub snapshot: String,
}

impl Kept {
    /// The fields of the command.
    pub fn fields(&self) -> Fields {
        self.command.fields().text("snapshot", Some(&self.snapshot))
    }
}

/// What a build in Coder says beside its environment.
#[derive(Debug, Args)]
pub struct FromCoder {
    /// Only change what is named of a workspace that is there.
    #[arg(long)]
    pub resize: bool,
    /// What it is made from (default: the first of the site's templates
    /// that this Coder template shows).
    #[arg(long, value_name = "NAME")]
    pub template: Option<String>,
    #[command(flatten)]
    pub size: Size,
    /// The storage beneath the machine's own disk: iscsi or nvme.
    #[arg(long, value_name = "WORD")]
    pub storage_backend: Option<String>,
}

/// When it starts by itself, and when it is taken for unused.
#[derive(Debug, Args)]
pub struct ByItself {
    /// Start it at the times of this cron expression, unless it is dormant; never is never.
    #[arg(long, value_name = "CRON")]
    pub autostart: Option<String>,
    /// The time zone, as in Europe/Berlin (default: UTC).
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// Stop it for good when nobody has used it for so many days, until it is started; 0 is never.
    #[arg(long, value_name = "DAYS")]
    pub dormant_days: Option<String>,
    /// Delete it when it has been dormant for so many days; 0 is never.
    #[arg(long, value_name = "DAYS")]
    pub dormant_delete_days: Option<String>,
}

/// What is different when a create is retried.
#[derive(Debug, Args)]
pub struct Change {
    /// Another template of the site.
    #[arg(long, value_name = "NAME")]
    pub template: Option<String>,
    /// Virtual cores.
    #[arg(long, value_name = "NUMBER")]
    pub cpu_cores: Option<String>,
    /// Memory, in GiB.
    #[arg(long, value_name = "GIB")]
    pub memory_gb: Option<String>,
    /// The storage beneath the machine's own disk: iscsi or nvme.
    #[arg(long, value_name = "WORD")]
    pub storage_backend: Option<String>,
    /// The node that the machine is made on, one of the site's.
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
    /// How much the home may hold, in GiB; as long as there is none yet.
    #[arg(long, value_name = "GIB")]
    pub storage_quota_gb: Option<String>,
    /// The machine's own disk, in GiB.
    #[arg(long, value_name = "GIB")]
    pub disk_gb: Option<String>,
    /// The volume of its own, in GiB, or 0 for none; as long as there is none yet.
    #[arg(long, value_name = "GIB")]
    pub volume_gb: Option<String>,
}

/// How large.
#[derive(Debug, Args)]
pub struct Size {
    /// Virtual cores.
    #[arg(long, value_name = "NUMBER")]
    pub cpu_cores: Option<String>,
    /// Memory, in GiB.
    #[arg(long, value_name = "GIB")]
    pub memory_gb: Option<String>,
    /// How much the home may hold, in GiB.
    #[arg(long, value_name = "GIB")]
    pub storage_quota_gb: Option<String>,
    /// The machine's own disk, in GiB. A disk only grows.
    #[arg(long, value_name = "GIB")]
    pub disk_gb: Option<String>,
    /// A volume of its own, mounted on /data, in GiB. A volume only grows.
    #[arg(long, value_name = "GIB")]
    pub volume_gb: Option<String>,
}

impl Fields {
    /// The fields of a size.
    pub fn size(self, size: &Size) -> Self {
        self.number("cpu_cores", size.cpu_cores.as_ref())
            .number("memory_gb", size.memory_gb.as_ref())
            .number("storage_quota_gb", size.storage_quota_gb.as_ref())
            .number("disk_gb", size.disk_gb.as_ref())
            .number("volume_gb", size.volume_gb.as_ref())
    }

    /// The fields of what happens by itself.
    pub fn by_itself(self, asked: &ByItself) -> Self {
        self.text("autostart", asked.autostart.as_ref())
            .text("time_zone", asked.time_zone.as_ref())
            .number("dormant_days", asked.dormant_days.as_ref())
            .number("dormant_delete_days", asked.dormant_delete_days.as_ref())
    }

    /// The fields of a change.
    pub fn change(self, change: &Change) -> Self {
        self.text("template", change.template.as_ref())
            .number("cpu_cores", change.cpu_cores.as_ref())
            .number("memory_gb", change.memory_gb.as_ref())
            .text("storage_backend", change.storage_backend.as_ref())
            .text("node", change.node.as_ref())
            .number("storage_quota_gb", change.storage_quota_gb.as_ref())
            .number("disk_gb", change.disk_gb.as_ref())
            .number("volume_gb", change.volume_gb.as_ref())
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
        let line = "stead workspace create Dev --cpu-cores 99 --memory-gb many --id a";
        let parsed = Cli::try_parse_from(line.split(' ')).map(|cli| cli.verb);
        let Ok(Top::Workspace(workspace)) = parsed else { panic!("{parsed:?}") };
        let Verb::Create { command, size, .. } = workspace.verb else { panic!("{workspace:?}") };
        let fields = command.fields().size(&size).0;
        let sent = json!({ "name": "Dev", "id": "a", "cpu_cores": 99, "memory_gb": "many" });
        assert_eq!(serde_json::Value::Object(fields), sent);
    }
}
