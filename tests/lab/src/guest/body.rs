//! What of a guest outlives its task: its disk, its stage, and how to stop it.

use tokio::task::AbortHandle;

use super::installed::Installed;

/// A guest, running or not.
#[derive(Default)]
pub(crate) struct Body {
    /// Where it is; empty if it never ran.
    pub(crate) stage: String,
    /// What cloud-init left on its disk.
    pub(super) disk: Option<Installed>,
    /// The token its agent is connected with.
    pub(super) agent: Option<String>,
    pub(super) task: Option<AbortHandle>,
    pub(super) up: bool,
}

impl Body {
    /// Whether its system is up, so that it hears the power button and the guest agent answers.
    pub(crate) fn is_up(&self) -> bool {
        self.up
    }
}
