//! Who Authentik knows.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::pace::Pace;

/// Whose token Stead has.
pub(super) const SERVICE: &str = "stead";
/// Who is there from the first morning, and may own workspaces.
const DEVELOPERS: [&str; 5] = ["alice", "demo", "john", "john.doe", "platform"];

/// Who Authentik knows.
pub(crate) struct State {
    /// In the order in which they joined.
    pub(super) users: Vec<User>,
    pub(super) groups: Vec<Group>,
    next_pk: i64,
}

/// A user.
pub(super) struct User {
    pub(super) pk: i64,
    /// Never changes.
    pub(super) uuid: Uuid,
    /// A digest of the number: what `sub` is if nothing is said.
    pub(super) uid: String,
    pub(super) username: String,
    pub(super) is_active: bool,
    pub(super) groups: Vec<Uuid>,
    pub(super) kind: &'static str,
    pub(super) joined: DateTime<Utc>,
}

impl User {
    pub(super) fn email(&self) -> String {
        format!("{}@example.org", self.username)
    }
}

/// A group.
pub(super) struct Group {
    pub(super) pk: Uuid,
    pub(super) num_pk: i64,
    pub(super) name: &'static str,
    /// Whether its members may do everything.
    pub(super) rules: bool,
}

impl State {
    pub(crate) fn pristine(pace: &Pace) -> Self {
        let group = |num_pk, name, rules| Group { pk: pace.uuid(), num_pk, name, rules };
        let groups = vec![group(1, "authentik Admins", true), group(2, "developers", false)];
        let mut state = Self { users: Vec::new(), groups, next_pk: 4 };
        let (admins, developers) = (state.groups[0].pk, state.groups[1].pk);
        state.join("akadmin", "internal", vec![admins], pace.uuid());
        state.join(SERVICE, "service_account", Vec::new(), pace.uuid());
        for name in DEVELOPERS {
            state.join(name, "internal", vec![developers], pace.uuid());
        }
        state
    }

    fn join(&mut self, name: &str, kind: &'static str, groups: Vec<Uuid>, uuid: Uuid) {
        self.next_pk += 1;
        let pk = self.next_pk;
        let digest = Sha256::digest(format!("{pk}-lab").as_bytes());
        self.users.push(User {
            pk,
            uuid,
            uid: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            username: name.to_owned(),
            is_active: true,
            groups,
            kind,
            joined: Utc::now(),
        });
    }

    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    pub(super) fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.username == name)
    }

    /// Lets somebody have an account. False if the name is taken.
    pub(crate) fn add(&mut self, name: &str, uuid: Uuid) -> bool {
        let is_free = self.user(name).is_none();
        if is_free {
            let developers = self.group("developers").map(|group| group.pk);
            self.join(name, "internal", developers.into_iter().collect(), uuid);
        }
        is_free
    }

    /// Whether somebody may log in from now on. False if nobody is called so.
    pub(crate) fn set_active(&mut self, name: &str, is_active: bool) -> bool {
        self.change(name, |user| user.is_active = is_active)
    }

    /// Somebody is called otherwise from now on. False if nobody is called so, or the name is taken.
    pub(crate) fn rename(&mut self, name: &str, to: &str) -> bool {
        self.user(to).is_none() && self.change(name, |user| user.username = to.to_owned())
    }

    /// Somebody's account goes. False if nobody is called so.
    pub(crate) fn delete(&mut self, name: &str) -> bool {
        let before = self.users.len();
        self.users.retain(|user| user.username != name);
        self.users.len() < before
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut User)) -> bool {
        let found = self.users.iter_mut().find(|user| user.username == name);
        found.map(change).is_some()
    }
}
