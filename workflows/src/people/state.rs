//! What is known of people: who each owner is, where he stands, and which workspaces he has.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_core::context::Context;
use stead_schemas::command::people::{OwnedWorkspace, OwnerView, PeopleView, Standing};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::owner::Owner;
use stead_schemas::site::AuthentikSite;
use stead_schemas::step::authentik::User;
use stead_schemas::step::people::Met;
use stead_schemas::time::Timestamp;

/// How many owners a site may have: what is known of them has to fit into one message.
const OWNERS_MAX: usize = 1_000;

/// See the module's head.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct People {
    /// How Authentik is asked; nothing if it is not.
    pub site: Option<AuthentikSite>,
    pub owners: BTreeMap<Owner, Person>,
    /// When it was asked last, whatever came of it.
    pub asked: Timestamp,
    /// When it last said something.
    pub looked_at: Option<Timestamp>,
    pub trouble: Option<String>,
    /// Who would be disabled all at once.
    pub doubted: Vec<Owner>,
    /// Somebody has said that so many are really disabled.
    pub is_confirmed: bool,
    /// What people are still to be told: about whom, in which words.
    pub news: Vec<(String, String)>,
    /// Whether something follows that no workspace was told of yet.
    pub is_stirred: bool,
}

/// One owner.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Person {
    /// Who he is, as he was last seen.
    pub user: Option<User>,
    pub standing: Standing,
    pub since: Timestamp,
    /// His workspaces, and whether each was told that it may not run.
    pub workspaces: BTreeMap<String, bool>,
}

impl Person {
    /// Why his workspaces may not run, if they may not.
    pub fn why(&self, owner: &Owner) -> Option<String> {
        let called = self.user.as_ref().map(|user| user.username.as_str());
        let called = called.filter(|called| *called != owner.as_str());
        let called = called.map_or(String::new(), |called| format!(", called {called} there"));
        match self.standing {
            Standing::Active => None,
            Standing::Disabled => Some(format!("authentik: user is disabled: {owner}{called}")),
            Standing::Unknown => Some(format!("authentik: there is no user {owner}{called}")),
        }
    }

    pub fn stand(&mut self, cx: &Context, standing: Standing) {
        if self.standing != standing {
            (self.standing, self.since) = (standing, cx.now());
        }
    }
}

impl People {
    /// Takes over what the site says now.
    pub fn configure(&mut self, site: Option<AuthentikSite>) {
        if site.is_none() && self.site.is_some() {
            self.let_everybody_go();
        }
        self.site = site;
    }

    /// Nobody is asked any more: as long as that is so, everybody may have what he has.
    fn let_everybody_go(&mut self) {
        for person in self.owners.values_mut() {
            person.standing = Standing::Active;
        }
        self.doubted.clear();
        self.trouble = None;
        self.is_stirred = true;
    }

    /// A workspace of this owner's is about to be.
    pub fn meet(&mut self, cx: &Context, owner: Owner, workspace: String) -> Result<Met, Failure> {
        if self.owners.is_empty() {
            self.asked = cx.now();
        }
        if self.owners.len() >= OWNERS_MAX && !self.owners.contains_key(&owner) {
            let words = format!("{OWNERS_MAX} owners are known, which is as many as there may be");
            return Err(Failure::new(Class::Refused, words));
        }
        let person = self
            .owners
            .entry(owner)
            .or_insert_with(|| Person { since: cx.now(), ..Person::default() });
        person.workspaces.insert(workspace, false);
        self.is_stirred |= person.standing != Standing::Active;
        Ok(Met { user: person.user.clone() })
    }

    /// Workspaces that were made before Authentik was asked are watched from now on.
    pub fn adopt(&mut self, cx: &Context, workspaces: Vec<OwnedWorkspace>) -> Result<(), Failure> {
        for OwnedWorkspace { owner, workspace } in workspaces {
            let known = self.owners.get(&owner);
            if known.is_none_or(|person| !person.workspaces.contains_key(&workspace)) {
                self.meet(cx, owner, workspace)?;
            }
        }
        Ok(())
    }

    /// The workspace is no more. Whoever was seen is remembered: his home outlives his workspaces.
    pub fn part(&mut self, owner: &Owner, workspace: &str) {
        let Some(person) = self.owners.get_mut(owner) else { return };
        person.workspaces.remove(workspace);
        if person.workspaces.is_empty() && person.user.is_none() {
            self.owners.remove(owner);
        }
    }

    /// Whoever makes a workspace for an owner has seen him.
    pub fn record(&mut self, cx: &Context, owner: &Owner, user: User) -> Result<(), Failure> {
        let known = self.owners.get(owner).and_then(|person| person.user.as_ref());
        if known.is_some_and(|known| known.subject != user.subject) {
            let words = format!("{owner} is somebody else: a name does not pass to another one");
            return Err(Failure::new(Class::Refused, words));
        }
        self.see(cx, owner, Some(user));
        Ok(())
    }

    /// Lets happen at the next look what was in doubt.
    pub fn confirm(&mut self, cx: &Context, why: &str) -> Result<Value, Failure> {
        if self.doubted.is_empty() {
            let words = "nothing is in doubt: what Authentik said last was carried out";
            return Err(Failure::new(Class::Refused, words));
        }
        self.is_confirmed = true;
        self.asked = Timestamp::default();
        let words = format!("somebody confirms that they are disabled: {why}");
        cx.note("people-confirmed", words, &self.doubted);
        Ok(json!({ "owners": self.doubted }))
    }

    /// Forgets who somebody is, so that another one may be called so.
    pub fn forget(&mut self, cx: &Context, owner: &Owner, why: &str) -> Result<Value, Failure> {
        let Some(person) = self.owners.get(owner) else {
            return Err(Failure::new(Class::Refused, "nobody is known of this name any more"));
        };
        if !person.workspaces.is_empty() {
            let names: Vec<&str> = person.workspaces.keys().map(String::as_str).collect();
            let words = format!("{owner} has workspaces; delete them first: {}", names.join(", "));
            return Err(Failure::new(Class::Refused, words));
        }
        cx.note("owner-forgotten", format!("it is forgotten who {owner} is: {why}"), &person.user);
        self.owners.remove(owner);
        self.doubted.retain(|doubted| doubted != owner);
        Ok(json!({ "owner": owner }))
    }

    /// When Authentik is to be asked next, if it is.
    pub fn due(&self) -> Option<Timestamp> {
        let site = self.site.as_ref().filter(|_| !self.owners.is_empty())?;
        let every = Duration::from_secs(u64::from(site.every_minutes.max(1)) * 60);
        Some(self.asked.after(every))
    }

    pub fn has_nobody_to_ask_for(&self) -> bool {
        self.owners.is_empty() || self.site.is_none()
    }

    /// There was nothing to ask.
    pub fn looked(&mut self, cx: &Context) {
        self.looked_at = Some(cx.now());
        self.trouble = None;
    }

    pub fn trouble(&self) -> Option<String> {
        self.trouble.clone()
    }

    pub fn counted(&self) -> usize {
        self.owners.len()
    }

    pub fn doubted(&self) -> &[Owner] {
        &self.doubted
    }

    pub fn show(&self, cx: &Context) {
        let phase = match () {
            () if self.site.is_none() => "off",
            () if !self.doubted.is_empty() => "in-doubt",
            () if self.trouble.is_some() => "in-trouble",
            () => "ready",
        };
        let view = PeopleView {
            owners: self.owners.iter().map(|(owner, person)| shown(owner, person)).collect(),
            looked_at: self.looked_at,
            trouble: self.trouble.clone(),
            doubted: self.doubted.clone(),
        };
        cx.show(phase, &view);
    }
}

fn shown(owner: &Owner, person: &Person) -> OwnerView {
    let user = person.user.as_ref();
    OwnerView {
        owner: owner.clone(),
        subject: user.map(|user| user.subject.clone()),
        username: user.map(|user| user.username.clone()),
        standing: person.standing,
        since: person.since,
        workspaces: person.workspaces.keys().map(ToString::to_string).collect(),
    }
}
