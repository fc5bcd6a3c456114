//! The guest: a machine that has booted and reports by itself.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::Step;
use crate::dispatch::Route;

/// Waits for the guest's report that the home is mounted and was written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitHome {
    /// The NFS source that must be mounted: `10.10.30.2:/mnt/tank/coder-home/john`.
    pub source: String,
}

/// What the guest reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeReport {
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// The address that it has, where it says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl Step for AwaitHome {
    const NAME: &'static str = "guest.await-home";
    type Answer = HomeReport;

    fn route(&self) -> Route {
        Route::Outside
    }
}
