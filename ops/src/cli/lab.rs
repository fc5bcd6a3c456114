//! The options of `stead lab`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use stead_lab::UserChange;

/// Where the lab is controlled, if nothing else is said.
pub const CONTROL_PORT: u16 = 7780;

/// Runs a lab, or speaks to a running one.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  stead lab --latency realistic --write-site lab.toml\n  \
    stead lab --from incident.stead.tar.gz --at 7 --write-site lab.toml\n  \
    stead lab break proxmox storage-full --times 2",
    args_conflicts_with_subcommands = true
)]
pub struct Lab {
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// Where the lab is controlled: a port on 127.0.0.1; 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7780")]
    pub control: String,
    /// How long the vendors take.
    #[arg(long, value_enum, default_value_t = Latency::Realistic)]
    pub latency: Latency,
    /// Who lets the systems on the machines live.
    #[arg(long, value_enum, default_value_t = Guests::Played)]
    pub guests: Guests,
    /// Where to write the site configuration that leads a Stead to this lab.
    #[arg(long, value_name = "FILE")]
    pub write_site: Option<PathBuf>,
    /// Let the vendors hold what the histories in this file show, and break what was broken: the
    /// bundle of an incident (FILE#RUN for one of several runs in it), or a history.
    #[arg(long, value_name = "FILE")]
    pub from: Option<String>,
    /// With --from, what was held at this moment: after the transition of this number, or at a
    /// time, as `stead replay --to` takes them.
    #[arg(long, value_name = "N|TIME", allow_hyphen_values = true, requires = "from")]
    pub at: Option<String>,
}

/// How long the vendors take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Latency {
    /// No delay anywhere.
    Zero,
    /// As in a small data centre: a clone of 1.5 s, boots of a few seconds.
    Realistic,
}

/// Who lets the systems on the machines live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Guests {
    /// The lab plays them, from power to agent.
    Played,
    /// Somebody else boots a system for each machine that is on.
    Elsewhere,
}

/// What may be asked of a running lab.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show what was made and is still there.
    #[command(after_help = "Example:\n  stead lab inventory")]
    Inventory(At),
    /// List every fault there is, and which are in force.
    #[command(after_help = "Example:\n  stead lab faults")]
    Faults(At),
    /// Commit a file to a repository of the lab's Forgejo, as somebody does who pushes it.
    #[command(after_help = "Example:\n  stead lab commit main.tf --as stead-machine/main.tf")]
    Commit {
        /// The file.
        file: PathBuf,
        /// Where it goes in the repository.
        #[arg(long = "as", value_name = "PATH")]
        path: String,
        /// The repository.
        #[arg(long, value_name = "OWNER/NAME", default_value = "platform/templates")]
        repository: String,
        /// The branch.
        #[arg(long, default_value = "main")]
        branch: String,
        #[command(flatten)]
        at: At,
    },
    /// Press Create, Start, Stop or Delete in the lab's Coder, as a developer does, and show the
    /// build's log. Only the builds of `stead up --lab` are handed over to Stead.
    #[command(after_help = "Example:\n  stead lab press create john/dev --set cpu_cores=8\n  \
        stead lab press stop john/dev")]
    Press {
        /// What is pressed.
        #[arg(value_enum)]
        what: Pressed,
        /// Whose workspace, and its name.
        #[arg(value_name = "OWNER/NAME")]
        workspace: String,
        /// A parameter of the template, as cpu_cores=8.
        #[arg(long = "set", value_name = "NAME=VALUE")]
        parameters: Vec<String>,
        /// The Coder template that it is created of.
        #[arg(long, value_name = "NAME", default_value = "stead-machine")]
        template: String,
        #[command(flatten)]
        at: At,
    },
    /// Put a fault in force.
    #[command(after_help = "Example:\n  stead lab break vault sealed\n  \
        stead lab break proxmox storage-full --times 2")]
    Break {
        /// Whose fault.
        vendor: String,
        /// Which one; `stead lab faults` lists them.
        fault: String,
        /// It ends by itself after it has struck so many times.
        #[arg(long, value_name = "NUMBER")]
        times: Option<u32>,
        #[command(flatten)]
        at: At,
    },
    /// Change somebody's account at the lab's Authentik.
    #[command(after_help = "Example:\n  stead lab user john disable\n  \
        stead lab user john rename johnny")]
    User {
        /// The name of the account now.
        user: String,
        #[command(subcommand)]
        change: Change,
        #[command(flatten)]
        at: At,
    },
    /// End one fault, all of a vendor, or all there are.
    #[command(after_help = "Example:\n  stead lab mend vault sealed\n  stead lab mend")]
    Mend {
        /// Whose fault (default: every vendor's).
        vendor: Option<String>,
        /// Which fault (default: all of the vendor's).
        fault: Option<String>,
        #[command(flatten)]
        at: At,
    },
}

/// What can be pressed in Coder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pressed {
    /// A new workspace.
    Create,
    /// Bring it up.
    Start,
    /// Take it down.
    Stop,
    /// Take it away.
    Delete,
}

impl Pressed {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Delete => "delete",
        }
    }
}

/// What becomes of an account.
#[derive(Debug, Subcommand)]
pub enum Change {
    /// Add the account.
    Add,
    /// Disable it.
    Disable,
    /// Enable it again.
    Enable,
    /// Rename it; it stays the same account.
    Rename {
        /// The new name.
        to: String,
    },
    /// Delete it.
    Delete,
}

impl Change {
    /// What was done, in words.
    pub fn told(&self) -> String {
        match self {
            Self::Add => "there is one now".to_owned(),
            Self::Disable => "it is disabled".to_owned(),
            Self::Enable => "it is enabled".to_owned(),
            Self::Rename { to } => format!("it is called {to} now"),
            Self::Delete => "it is gone".to_owned(),
        }
    }
}

impl From<&Change> for UserChange {
    fn from(change: &Change) -> Self {
        match change {
            Change::Add => Self::Add,
            Change::Disable => Self::Disable,
            Change::Enable => Self::Enable,
            Change::Rename { to } => Self::Rename(to.clone()),
            Change::Delete => Self::Delete,
        }
    }
}

/// Where the lab is.
#[derive(Debug, Args)]
pub struct At {
    /// The running lab's control address.
    #[arg(long, env = "STEAD_LAB", value_name = "URL", default_value = "http://127.0.0.1:7780")]
    pub lab: String,
}
