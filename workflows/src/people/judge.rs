//! What follows from an answer of Authentik's, and what does not.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use stead_core::context::Context;
use stead_schemas::command::people::Standing;
use stead_schemas::failure::Failure;
use stead_schemas::owner::Owner;
use stead_schemas::step::authentik::User;

use super::state::People;

/// So few may always be disabled at once.
const FEW: usize = 3;
/// More than a few are not believed if they are more than this share of all: one in three.
const SHARE: usize = 3;
/// About whom it is told that many would be disabled.
const EVERYBODY: &str = "owners";
/// How much is kept that nobody was told of yet.
const NEWS_MAX: usize = 100;

/// What Authentik said of each owner who was asked for; nothing where there is nobody.
pub(super) type Seen = BTreeMap<Owner, Option<User>>;

impl People {
    /// Takes an answer in, or notes that there is none.
    pub fn judge(&mut self, cx: &Context, seen: Result<Seen, Failure>) {
        match seen {
            Ok(mut seen) => {
                self.looked(cx);
                self.is_stirred = true;
                seen.retain(|owner, _| self.owners.contains_key(owner));
                self.leave_out_what_is_in_doubt(cx, &mut seen);
                for (owner, user) in seen {
                    self.see(cx, &owner, user);
                }
            }
            Err(failure) => {
                let words = format!("it is not known who is disabled: {failure}");
                if self.trouble.is_none() {
                    cx.note(
                        "people-unseen",
                        format!("{words}; nothing follows from that"),
                        &failure,
                    );
                }
                self.trouble = Some(words);
            }
        }
    }

    /// An answer by which too many would be disabled at once may be wrong as a whole.
    fn leave_out_what_is_in_doubt(&mut self, cx: &Context, seen: &mut Seen) {
        let is_active = |owner: &Owner| self.owners[owner].standing == Standing::Active;
        let active = seen.keys().filter(|owner| is_active(owner)).count();
        let going: Vec<Owner> = seen
            .iter()
            .filter(|(owner, user)| is_active(owner) && standing(user.as_ref()) != Standing::Active)
            .map(|(owner, _)| owner.clone())
            .collect();
        let is_too_many = going.len() > FEW && going.len() * SHARE > active;
        // What was confirmed is what was said then, and nothing that has come to it since.
        let is_meant = core::mem::take(&mut self.is_confirmed)
            && going.iter().all(|owner| self.doubted.contains(owner));
        if !is_too_many || is_meant {
            self.doubted.clear();
            return;
        }
        seen.retain(|owner, _| !going.contains(owner));
        if self.doubted != going {
            let words = format!(
                "authentik: {} of {active} owners would be disabled at once. Nothing is stopped. If it \
                 is so, confirm it with `stead owner confirm`; otherwise see to Authentik",
                going.len(),
            );
            cx.note("people-doubted", words.clone(), &going);
            self.tell(EVERYBODY.to_string(), words);
        }
        self.doubted = going;
    }

    /// One owner was seen, or is not there.
    pub fn see(&mut self, cx: &Context, owner: &Owner, user: Option<User>) {
        let Some(person) = self.owners.get_mut(owner) else { return };
        let (was, now) = (person.standing, standing(user.as_ref()));
        let mut news = Vec::new();
        if let Some(user) = user {
            let user = User { groups: Vec::new(), ..user };
            match &person.user {
                None => {
                    let words = format!("{owner} is the user {} of Authentik's", user.subject);
                    cx.note("owner-known", words, &user);
                }
                Some(before) if before.username != user.username => news.push((
                    "owner-renamed",
                    format!(
                        "authentik: {owner} is called {} now. What he owns stays under the name of \
                         {owner}",
                        user.username
                    ),
                )),
                Some(_) => {}
            }
            person.user = Some(user);
        }
        person.stand(cx, now);
        if was != now {
            let many = person.workspaces.len();
            news.push(match person.why(owner) {
                Some(why) => (
                    "owner-stopped",
                    format!(
                        "{why}. His workspaces ({many}) are stopped, and nothing is taken away"
                    ),
                ),
                None => (
                    "owner-back",
                    format!("authentik: {owner} is active again. His workspaces may be started"),
                ),
            });
            self.is_stirred = true;
        }
        for (what, words) in news {
            cx.note(what, words.clone(), &owner);
            self.tell(owner.to_string(), words);
        }
    }

    fn tell(&mut self, about: String, words: String) {
        if self.news.len() < NEWS_MAX {
            self.news.push((about, words));
        }
    }
}

fn standing(user: Option<&User>) -> Standing {
    match user {
        None => Standing::Unknown,
        Some(user) if user.is_active => Standing::Active,
        Some(_) => Standing::Disabled,
    }
}
