//! The options of `stead incident` and `stead diff`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use reqwest::Url;

/// What may be done about incidents.
#[derive(Debug, Subcommand)]
pub enum Incident {
    /// Say what went wrong first in a run, what followed, what was undone and what is left, and
    /// which runs met the same before. From histories only: nothing is guessed.
    #[command(after_help = "Example:\n  stead incident explain john/dev\n  \
        stead incident explain incident.stead.tar.gz")]
    Explain(Explain),
    /// Pack histories and what stands around them into one file, which `stead replay`, `stead
    /// incident explain`, `stead diff` and `stead lab --from` read on a machine with no platform.
    #[command(after_help = "Example:\n  stead incident export john/dev -o dev.stead.tar.gz\n  \
        stead incident export 2026-03-01T14:00:00Z..2026-03-01T15:00:00Z -o night.tar.gz \\\n    \
        --prometheus http://127.0.0.1:9090 --log-file /var/log/stead/worker.log")]
    Export(Export),
}

/// Which run.
#[derive(Debug, Args)]
pub struct Explain {
    /// A run's id, `owner/name` for the latest workspace of that name, or a file: a history, or the
    /// bundle of an incident (FILE#RUN for one of several runs in it).
    #[arg(value_name = "RUN|FILE")]
    pub run: String,
    /// How many other runs are searched for the same trouble.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub search: usize,
}

/// What is packed, and where to.
#[derive(Debug, Args)]
pub struct Export {
    /// A run's id; `owner/name` for all lives of what is called so; or FROM..TO for every run whose
    /// history has something between two times.
    #[arg(value_name = "RUN|OWNER/NAME|FROM..TO")]
    pub what: String,
    /// The file that is written.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Leave people, addresses and hosts their names. Otherwise they get others, the same everywhere
    /// in the bundle; only a name that stands in free words alone is not known for one.
    #[arg(long)]
    pub plain: bool,
    /// Replace the file if it is there.
    #[arg(long)]
    pub force: bool,
    /// Pack the lines of this log that name one of the runs, too; may be given several times. Without
    /// it, those of the logs that [incident] names.
    #[arg(long, value_name = "FILE")]
    pub log_file: Vec<PathBuf>,
    /// Pack what this engine or worker says of itself now, too; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Vec<SocketAddr>,
    /// Pack what this Prometheus has kept of ours: of the time between FROM and TO, or of the hour
    /// before a run's last transition. Without it, the one that [incident] names.
    #[arg(long, value_name = "URL")]
    pub prometheus: Option<Url>,
    /// The most that is packed, before it is compressed; what does not fit is named in the bundle.
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    pub max_mib: u32,
}

/// Which runs are compared.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stead diff john/dev john/test\n  \
    stead diff yesterday.stead.tar.gz today.stead.tar.gz --exact")]
pub struct Diff {
    /// A run's id, `owner/name`, or a file: a history, or the bundle of an incident (FILE#RUN for
    /// one of several runs in it).
    #[arg(value_name = "RUN|FILE")]
    pub one: String,
    /// Another one.
    #[arg(value_name = "RUN|FILE")]
    pub other: String,
    /// Compare ids, markers and times, too, which differ from run to run.
    #[arg(long)]
    pub exact: bool,
}
