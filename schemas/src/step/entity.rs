//! What a run may ask of any entity, whatever its kind.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::{Done, Step};
use crate::dispatch::Route;
use crate::ids::RunId;
use crate::owner::Owner;

/// Cancels a command that the asking run gave before. Done once that command is over, whichever
/// way, and what it did is taken back; done at once if it is over already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelCommand {
    /// The kind of entity.
    pub kind: String,
    /// Whose.
    pub owner: Owner,
    /// Which.
    pub name: String,
    /// The command's id.
    pub command: String,
}

impl CancelCommand {
    /// The verb that every entity knows.
    pub const VERB: &'static str = "cancel-command";
}

impl Step for CancelCommand {
    const NAME: &'static str = "entity.cancel-command";
    type Answer = Done;

    fn route(&self) -> Route {
        let Self { kind, owner, name, .. } = self.clone();
        Route::Entity { kind, owner, name }
    }
}

/// Asks which run of an entity lives. Nothing is written, and no life is begun for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookUpRun {
    /// The kind of entity.
    pub kind: String,
    /// Whose.
    pub owner: Owner,
    /// Which.
    pub name: String,
}

/// The answer to [`LookUpRun`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookedUp {
    /// The run that lives, if one does.
    pub living: Option<RunId>,
}

impl LookUpRun {
    /// The verb that every entity knows.
    pub const VERB: &'static str = "look-up-run";
}

impl Step for LookUpRun {
    const NAME: &'static str = "entity.look-up-run";
    type Answer = LookedUp;

    fn route(&self) -> Route {
        let Self { kind, owner, name } = self.clone();
        Route::Entity { kind, owner, name }
    }
}
