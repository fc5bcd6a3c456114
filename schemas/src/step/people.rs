//! Who owns workspaces, and whether he still may. An entity, one for each site, that knows each owner by
//! the subject that Authentik has for him; and what it tells his workspaces.

use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};

use super::authentik::User;
use super::vmids::PLATFORM;
use super::{Done, Step};
use crate::dispatch::Route;
use crate::owner::Owner;

/// The kind of the entity.
pub const KIND: &str = "people";
/// The name of the site's one.
pub const NAME: &str = "site";

fn people() -> Route {
    let owner = Owner::new(PLATFORM).unwrap_or_else(|_| unreachable!("a short plain word"));
    Route::Entity { kind: KIND.to_string(), owner, name: NAME.to_string() }
}

/// A workspace of this owner's is about to be. Asked again, the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meet {
    /// Whose.
    pub owner: Owner,
    /// Its name.
    pub workspace: String,
}

/// The answer to [`Meet`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Met {
    /// The owner as he was last seen; nothing if he never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
}

impl Step for Meet {
    const NAME: &'static str = "people.meet";
    type Answer = Met;

    fn route(&self) -> Route {
        people()
    }
}

/// The workspace is no more. Done too if nothing was known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Whose.
    pub owner: Owner,
    /// Its name.
    pub workspace: String,
}

impl Step for Part {
    const NAME: &'static str = "people.part";
    type Answer = Done;

    fn route(&self) -> Route {
        people()
    }
}

/// The owner was seen, and is active. Who he is does not change any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Whose.
    pub owner: Owner,
    /// Who he is.
    pub user: User,
}

impl Step for Record {
    const NAME: &'static str = "people.record";
    type Answer = Done;

    fn route(&self) -> Route {
        people()
    }
}

/// A workspace may not run, or may again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Why not; nothing if it may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    #[serde(skip)]
    route: Route,
}

impl Hold {
    /// To this workspace.
    #[must_use]
    pub fn to(owner: &Owner, workspace: &str, why: Option<String>) -> Self {
        let kind = crate::command::workspace::KIND.to_string();
        let route = Route::Entity { kind, owner: owner.clone(), name: workspace.to_string() };
        Self { why, route }
    }
}

impl Step for Hold {
    const NAME: &'static str = "workspace.hold";
    type Answer = Done;

    fn route(&self) -> Route {
        self.route.clone()
    }
}
