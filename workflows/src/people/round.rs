//! What is asked of Authentik, and what workspaces and people are told: beside the commands, so that
//! nobody waits for a vendor that is away.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;
use core::time::Duration;

use stead_core::combine::all;
use stead_core::context::Context;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::notice::Topic;
use stead_schemas::owner::Owner;
use stead_schemas::step::authentik::{FindUser, ListUsers, SUBJECTS_MAX, User};
use stead_schemas::step::people::Hold;
use stead_schemas::step::vault::PinSecrets;

use super::judge::Seen;
use super::state::People;
use crate::notice;

/// How long Authentik is tried before that is no answer.
const LOOK_WITHIN: Duration = Duration::from_secs(10 * 60);
/// How long it may take until a workspace has taken in whether it may run.
const HOLD_WITHIN: Duration = Duration::from_secs(10 * 60);
/// How many are asked or told at once.
const AT_ONCE: usize = 8;

/// Something under way. None of it outlives a new beginning.
pub(super) enum Job {
    Look(Pin<Box<dyn Future<Output = Came>>>),
    Tell(Pin<Box<dyn Future<Output = Came>>>),
}

/// What came of it.
pub(super) enum Came {
    Seen(Result<Seen, Failure>),
    Told(Vec<Told>),
}

/// A workspace that was told whether it may run.
pub(super) struct Told {
    owner: Owner,
    workspace: String,
    is_held: bool,
    result: Result<(), Failure>,
}

impl Job {
    pub async fn came(&mut self) -> Came {
        match self {
            Self::Look(under_way) | Self::Tell(under_way) => under_way.as_mut().await,
        }
    }
}

/// What is to be done next, if there is something: what follows from the last answer, or the next
/// question.
pub(super) fn next(cx: &Context, people: &mut People, is_wanted: bool) -> Option<Job> {
    if core::mem::take(&mut people.is_stirred) {
        let (holds, news) = (people.holds(), core::mem::take(&mut people.news));
        if !holds.is_empty() || !news.is_empty() {
            return Some(Job::Tell(Box::pin(tell(cx.clone(), holds, news))));
        }
    }
    let is_due = people.due().is_some_and(|due| due <= cx.now() || is_wanted);
    let site = people.site.clone().filter(|_| is_due)?;
    people.asked = cx.now();
    let whom = people.owners.iter().map(|(owner, person)| {
        (owner.clone(), person.user.as_ref().map(|user| user.subject.clone()))
    });
    let whom: Vec<(Owner, Option<String>)> = whom.collect();
    let cx = cx.clone();
    Some(Job::Look(Box::pin(async move { Came::Seen(look(&cx, site.secret, whom).await) })))
}

/// Asks for everybody: those whose subject is known together, the others by their names.
async fn look(
    cx: &Context,
    secret: String,
    whom: Vec<(Owner, Option<String>)>,
) -> Result<Seen, Failure> {
    let pins = PinSecrets { secrets: [secret.clone()].into() };
    let login = cx.step(pins).within(LOOK_WITHIN).await?.of(&secret);
    let mut users: Vec<User> = Vec::new();
    let subjects: Vec<&String> = whom.iter().filter_map(|(_, subject)| subject.as_ref()).collect();
    for some in subjects.chunks(SUBJECTS_MAX) {
        let subjects = some.iter().map(|subject| (*subject).clone()).collect();
        let list = ListUsers { login: login.clone(), subjects };
        users.extend(cx.step(list).within(LOOK_WITHIN).await?.users);
    }
    let finds = whom.iter().filter(|(_, subject)| subject.is_none()).map(|(owner, _)| {
        let username = alloc::string::ToString::to_string(owner);
        let find = FindUser { login: login.clone(), username, subject: None, groups: Vec::new() };
        async move { (owner.clone(), cx.step(find).within(LOOK_WITHIN).await) }
    });
    let mut seen = Seen::new();
    for (owner, found) in all(AT_ONCE, finds).await {
        seen.insert(owner, found?.user);
    }
    for (owner, subject) in whom.into_iter().filter_map(|(owner, s)| Some((owner, s?))) {
        let user = users.iter().find(|user| user.subject == subject).cloned();
        seen.insert(owner, user);
    }
    Ok(seen)
}

async fn tell(
    cx: Context,
    holds: Vec<(Owner, String, Option<String>)>,
    news: Vec<(String, String)>,
) -> Came {
    let cx = &cx;
    let holds = holds.into_iter().map(|(owner, workspace, why)| async move {
        let is_held = why.is_some();
        let hold = Hold::to(&owner, &workspace, why);
        let result = cx.step(hold).detached().within(HOLD_WITHIN).await.map(|_| ());
        Told { owner, workspace, is_held, result }
    });
    let told = all(AT_ONCE, holds).await;
    for (about, words) in news {
        notice::tell_about(cx, Topic::Owner, about, &words).await;
    }
    Came::Told(told)
}

impl People {
    /// Which workspaces are to be told whether they may run.
    fn holds(&self) -> Vec<(Owner, String, Option<String>)> {
        let mut holds = Vec::new();
        for (owner, person) in &self.owners {
            let why = person.why(owner);
            let other = person.workspaces.iter().filter(|(_, is_held)| **is_held != why.is_some());
            holds.extend(other.map(|(name, _)| (owner.clone(), name.clone(), why.clone())));
        }
        holds
    }

    /// What came of that. Whoever could not be reached is told after the next look; a workspace that
    /// is not there is not ours to tell.
    pub fn told(&mut self, told: Vec<Told>) {
        for Told { owner, workspace, is_held, result } in told {
            let Some(person) = self.owners.get_mut(&owner) else { continue };
            match result {
                Ok(()) => {
                    if let Some(known) = person.workspaces.get_mut(&workspace) {
                        *known = is_held;
                    }
                }
                Err(failure) if failure.class == Class::Refused => {
                    person.workspaces.remove(&workspace);
                }
                Err(_) => {}
            }
        }
    }
}
