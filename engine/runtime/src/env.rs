//! What all owners of one engine share.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use stead_core::definition::Definition;
use stead_schemas::site::Site;

use crate::ports::Ports;

/// One engine: its name, what it can run, and its doors to the world.
pub struct Env {
    /// Unique for this process.
    pub engine: String,
    /// The build, as it is written into every run that it starts.
    pub build: String,
    /// How many partitions the platform has.
    pub partitions: u16,
    /// The workflows.
    pub definitions: &'static [Definition],
    /// The facts of the site.
    pub site: CurrentSite,
    /// The world.
    pub ports: Ports,
    /// How patient it is.
    pub tuning: Tuning,
}

impl Env {
    /// The workflow of this kind of entity.
    #[must_use]
    pub fn definition(&self, kind: &str) -> Option<&Definition> {
        self.definitions.iter().find(|definition| definition.kind == kind)
    }
}

/// The facts of the site, which may be read anew while the engine runs. A clone is the same.
#[derive(Clone, Default)]
pub struct CurrentSite(Arc<RwLock<Arc<Site>>>);

impl CurrentSite {
    /// The facts as they are now.
    #[must_use]
    pub fn now(&self) -> Arc<Site> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Completes every order from now on with these.
    pub fn replace(&self, site: Site) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(site);
    }
}

impl From<Site> for CurrentSite {
    fn from(site: Site) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(site))))
    }
}

/// How long a lease lasts. Whole seconds: the broker knows no finer ones. What else waits for one to
/// end is longer, and says so where it stands.
pub const LEASE: Duration = Duration::from_secs(3);
/// How long a step that is cancelled may go on before it is fenced off, at its owner and at its worker.
pub const GRACE: Duration = Duration::from_secs(10);

/// With this many messages of runs that are over, a new epoch of a partition's log is due where nothing
/// else is said: what goes into the archive takes about a gigabyte of the log then.
pub const ARCHIVE_AFTER: u32 = 1_000_000;

/// How patient an engine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// A worker that has said nothing for this long is taken for dead, and the step is sent again.
    pub silence: Duration,
    /// How long a step that was told to stop may take before nobody waits for it any more.
    pub grace: Duration,
    /// How long a lease lasts. Whole seconds: the broker knows no finer ones.
    pub lease: Duration,
    /// How often leases are renewed.
    pub renew: Duration,
    /// A run that only waits, for so long already and so long to come, leaves the memory until
    /// something concerns it.
    pub idle_after: Duration,
    /// With this many messages of runs that are over in a partition's log, it begins a new epoch
    /// of it, and they go into the archive. Here that is left to people where nothing is said; the
    /// configuration of `stead` says [`ARCHIVE_AFTER`].
    pub archive_after: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(6),
            grace: GRACE,
            lease: LEASE,
            renew: Duration::from_millis(700),
            idle_after: Duration::from_secs(10),
            archive_after: u64::MAX,
        }
    }
}
