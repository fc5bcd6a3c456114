//! Authentik: who somebody is, and whether he may log in.
//!
//! Who he is does not change, and is his UUID there, the subject. His user name may change.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Step;

/// How many subjects one list may be asked for.
pub const SUBJECTS_MAX: usize = 200;

/// Looks somebody up: by the subject where that is known, otherwise by the user name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindUser {
    /// Pinned reference to our API token.
    pub login: String,
    /// The user name, as it is written: letters differ by case.
    pub username: String,
    /// Who is meant, whatever he is called by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The groups of which it matters whether he is in them, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// The answer to [`FindUser`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundUser {
    /// Nothing if there is none.
    pub user: Option<User>,
}

/// A user, as Authentik shows him.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Who he is, for ever.
    pub subject: String,
    /// What he is called now.
    pub username: String,
    /// Whether he may log in.
    pub is_active: bool,
    /// Those of the groups that were asked about that he is in himself; older builds told all names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl Step for FindUser {
    const NAME: &'static str = "authentik.find-user";
    type Answer = FoundUser;
}

/// Looks at each of these at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListUsers {
    /// Pinned reference to our API token.
    pub login: String,
    /// Who is meant: [`SUBJECTS_MAX`] at most.
    pub subjects: Vec<String>,
}

/// The answer to [`ListUsers`]. Whoever is not among them was asked for by himself, and is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedUsers {
    /// Those that are there.
    pub users: Vec<User>,
}

impl Step for ListUsers {
    const NAME: &'static str = "authentik.list-users";
    type Answer = ListedUsers;
}
