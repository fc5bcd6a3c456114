//! What a decision about a finding comes to, or why it makes no sense. Only the order and the site are
//! looked at, so that it can be told before anything is written.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use stead_schemas::command::drift::{Drift, Found, Holder};
use stead_schemas::command::schedule::CommandToGive;
use stead_schemas::command::{bucket, mcp, template, token, workspace};
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::refusal::Refusal;
use stead_schemas::site::{CoderSite, ForgejoSite, Site};
use stead_schemas::step::coder::TokenPlace;
use stead_schemas::step::{home, volume};

/// What is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Act {
    /// It is listed no more until it changes; if it was to be destroyed, it is not.
    Ignore,
    /// It gets the mark of the run that made it.
    Restore,
    /// It gets the mark of the run that holds the decisions, and is the platform's.
    TakeOver,
    /// The entity that needs it is given a command.
    Give(CommandToGive),
    /// The home that needs it puts it right.
    RepairHome,
    /// The volume that needs it puts it right.
    RepairVolume,
    /// It is taken away, after so many seconds.
    Destroy {
        /// For how long that can be taken back.
        grace_seconds: u64,
    },
}

/// What is known when something is decided.
pub(super) struct Case<'a> {
    pub verb: &'a str,
    pub found: &'a Found,
    /// Whether it was adopted before.
    pub is_adopted: bool,
    pub site: &'a Site,
}

impl Case<'_> {
    /// What the decision comes to.
    pub fn meaning(&self) -> Result<Act, Refusal> {
        match self.verb {
            "ignore" => Ok(Act::Ignore),
            "adopt" => self.adopted(),
            "repair" => self.repaired(),
            _ => self.destroyed(),
        }
    }

    fn adopted(&self) -> Result<Act, Refusal> {
        let what = self.found.what();
        if self.is_adopted {
            return Err(self.refuse("it was adopted already"));
        }
        if !["proxmox/machine", "truenas/dataset"].contains(&what.as_str()) {
            let words = "only machines and datasets can be given a mark by which they are known to be \
                         ours; of the others, make a new one where it is needed";
            return Err(self.refuse(words));
        }
        match (self.found.drift, &self.found.holder) {
            (Drift::Missing, _) => Err(self.refuse("it is not there")),
            (Drift::Changed, Some(_)) if self.found.quota_bytes.is_none() => Ok(Act::Restore),
            (Drift::Changed, _) => Err(self.refuse("it carries our mark; repair it")),
            (Drift::Orphan, Some(_)) => {
                Err(self.refuse("it carries our mark; destroy or ignore it"))
            }
            (Drift::Stranger | Drift::Orphan, _) => Ok(Act::TakeOver),
        }
    }

    fn repaired(&self) -> Result<Act, Refusal> {
        let (found, what) = (self.found, self.found.what());
        let Some(holder) = &found.holder else {
            return Err(self.refuse("no entity needs it; adopt, ignore or destroy it"));
        };
        let is_other_mark = found.drift == Drift::Changed && found.quota_bytes.is_none();
        match (found.drift, what.as_str(), holder.kind.as_str()) {
            // Each start makes it anew, and takes it away.
            (_, "proxmox/seed", workspace::KIND) => Ok(Act::Give(give(holder, "restart", None))),
            (Drift::Orphan | Drift::Stranger, ..) => {
                Err(self.refuse("no run needs it any more; destroy or ignore it"))
            }
            (_, "proxmox/machine", workspace::KIND) => Ok(Act::Give(give(holder, "rebuild", None))),
            (Drift::Missing, "coder/workspace", workspace::KIND) => {
                Ok(Act::Give(give(holder, "restart", None)))
            }
            (Drift::Missing, "truenas/share", home::KIND) => Ok(Act::RepairHome),
            (Drift::Changed, "truenas/dataset", home::KIND) if !is_other_mark => {
                Ok(Act::RepairHome)
            }
            (Drift::Missing, "truenas/extent" | "truenas/target", volume::KIND) => {
                Ok(Act::RepairVolume)
            }
            (Drift::Changed, "truenas/dataset", volume::KIND) if !is_other_mark => {
                Ok(Act::RepairVolume)
            }
            (Drift::Changed, "s3/bucket", bucket::KIND) if !is_other_mark => self.bucket(holder),
            (Drift::Missing, "coder/token" | "forgejo/secret" | "vault/secret", token::KIND) => {
                Ok(Act::Give(give(holder, "rotate", None)))
            }
            (Drift::Missing, _, mcp::KIND) => Ok(Act::Give(give(holder, "repair", None))),
            (Drift::Missing, "coder/template-version", template::KIND) => {
                let words = "a version that was archived is brought back by hand (`coder templates \
                             versions unarchive`), or made anew of the repository: `stead template push`";
                Err(self.refuse(words))
            }
            (Drift::Missing, "truenas/dataset" | "s3/bucket", _) => {
                let words = "what it held is gone, and an empty one in its place would hide that; bring \
                             it back from a backup or a replica, then adopt it";
                Err(self.refuse(words))
            }
            (Drift::Missing, "proxmox/snapshot", _) => {
                let words = "what it kept is gone, and cannot be taken anew; `stead workspace drop` has its \
                             workspace forget it";
                Err(self.refuse(words))
            }
            (Drift::Missing, "vault/secret" | "s3/key", _) => {
                let words = "what it opened cannot be opened any more; make what it belongs to anew: \
                             `stead token rotate`, or the bucket's delete and create";
                Err(self.refuse(words))
            }
            _ if is_other_mark => Err(self.refuse(
                "it carries another's mark, and nobody here touches it; adopt it if \
                                 it is the one that was made, or ignore it",
            )),
            _ => Err(self.refuse("nobody knows how to put this right by himself")),
        }
    }

    fn bucket(&self, holder: &Holder) -> Result<Act, Refusal> {
        match holder.quota_bytes.map(|bytes| bytes >> 30) {
            Some(gib) => Ok(Act::Give(give(holder, "resize", Some(gib)))),
            None => Err(self.refuse("the ledger does not know how much it is to hold")),
        }
    }

    fn destroyed(&self) -> Result<Act, Refusal> {
        let (found, what) = (self.found, self.found.what());
        match found.drift {
            _ if self.is_adopted => {}
            _ if what == "forgejo/secret" => {
                let words = "a secret carries no mark, so that nobody can tell whether it is still the \
                             one that we gave; delete it in the repository's settings, or ignore it";
                return Err(self.refuse(words));
            }
            Drift::Missing => return Err(self.refuse("it is not there")),
            Drift::Changed => {
                let words =
                    "an entity that lives needs it, or one of its name; it is not taken away here";
                return Err(self.refuse(words));
            }
            Drift::Stranger => {
                let words =
                    "it carries no mark of ours, and is not touched; adopt it first if it is to go";
                return Err(self.refuse(words));
            }
            Drift::Orphan => self.check_maker()?,
        }
        let known = [
            "coder/template-version",
            "coder/token",
            "coder/workspace",
            "kubernetes/configmap",
            "kubernetes/deployment",
            "kubernetes/service",
            "proxmox/machine",
            "proxmox/seed",
            "proxmox/snapshot",
            "s3/bucket",
            "truenas/dataset",
            "truenas/extent",
            "truenas/share",
            "truenas/target",
        ];
        let is_key_of_bucket = what == "vault/secret" && self.bucket_of_secret().is_some();
        if !known.contains(&what.as_str()) && !is_key_of_bucket {
            let words = match what.as_str() {
                "s3/key" => "a key goes with its secret in Vault; destroy that",
                _ => {
                    "it goes with the token that it is; destroy that, and where that is gone already \
                     remove it by hand"
                }
            };
            return Err(self.refuse(words));
        }
        self.check_reach()?;
        let of_bucket = || self.site.s3.as_ref().map_or(0, |s3| s3.grace_seconds);
        let grace_seconds = match what.as_str() {
            "truenas/dataset" => self.site.truenas.grace_seconds,
            "s3/bucket" => of_bucket(),
            _ => 0,
        };
        Ok(Act::Destroy { grace_seconds })
    }

    /// What it is taken away by must be there.
    fn check_reach(&self) -> Result<(), Refusal> {
        let refuse = |words: &str| Err(self.refuse(words));
        match (self.found.system.as_str(), self.found.kind.as_str()) {
            ("kubernetes", _) if self.site.kubernetes.is_none() => {
                refuse("the site has no [kubernetes] any more; remove it by hand")
            }
            ("coder", "token") if self.token().is_none() => refuse(
                "it is not named as a token of a `stead token` is, or the site has no [forgejo] any \
                 more; revoke it in Coder",
            ),
            _ => Ok(()),
        }
    }

    /// Where the token lies that was found.
    fn token(&self) -> Option<TokenPlace> {
        token_of(self.found, self.site.forgejo.as_ref()?, &self.site.coder)
    }

    /// Whose an orphan was must be known, since it is that entity which is asked once more.
    fn check_maker(&self) -> Result<(), Refusal> {
        let run = self.found.marker.as_deref().and_then(|marker| marker.parse::<RunId>().ok());
        let Some(holder) = &self.found.holder else {
            if self.found.what() == "proxmox/seed" {
                let words = "no history here knows of it any more; the next start of that workspace takes \
                             it away, and where there is none, remove it by hand";
                return Err(self.refuse(words));
            }
            let words = "no history here knows its mark: another Stead that works with the same vendors \
                         may need it; if none does, adopt it first, or remove it by hand";
            return Err(self.refuse(words));
        };
        let key = EntityKey::of(&holder.kind, &holder.owner, &holder.name);
        let is_made_with_it = self.found.marker.as_ref() == Some(&holder.marker);
        if !is_made_with_it || run.is_none_or(|run| run.key() != key) {
            return Err(
                self.refuse("it carries another mark than the entity made it with; scan again")
            );
        }
        Ok(())
    }

    /// The bucket whose key lies in this secret.
    pub fn bucket_of_secret(&self) -> Option<String> {
        bucket_of_secret(self.site.s3.as_ref()?.credentials.as_str(), &self.found.id)
    }

    /// The same in words, line by line.
    pub fn plan(&self, act: &Act) -> Vec<String> {
        let path = self.found.path();
        match act {
            Act::Ignore => vec![format!("{path} is listed no more until it changes")],
            Act::Restore => {
                let holder = self.found.holder.as_ref();
                let marker = holder.map_or("", |holder| holder.marker.as_str());
                vec![format!("{path} gets the mark of {marker} again")]
            }
            Act::TakeOver => vec![
                format!("{path} gets a mark of ours and is held for the platform"),
                "it can be destroyed from then on".to_string(),
            ],
            Act::Give(command) => {
                let CommandToGive { kind, name, verb, .. } = command;
                let mut plan = vec![format!("{kind} {}/{name} is told to {verb}", self.owner())];
                if verb == "rotate" {
                    plan.push(
                        "the token before is kept for some hours, and listed as lost while it is"
                            .to_string(),
                    );
                }
                plan
            }
            Act::RepairHome => {
                vec![format!("the home of {} sets limit and export again", self.owner())]
            }
            Act::RepairVolume => {
                let name = self.found.holder.as_ref().map_or("", |holder| holder.name.as_str());
                vec![format!("the volume of {}/{name} sets size and target again", self.owner())]
            }
            Act::Destroy { grace_seconds } => self.destruction(&path, *grace_seconds),
        }
    }

    fn destruction(&self, path: &str, grace_seconds: u64) -> Vec<String> {
        let mut plan = Vec::new();
        if let (Some(holder), false) = (&self.found.holder, self.is_adopted) {
            let Holder { kind, owner, name, .. } = holder;
            plan.push(format!(
                "{kind} {owner}/{name} is asked whether it lives; if so, nothing is done"
            ));
        }
        match self.found.what().as_str() {
            "truenas/dataset" => {
                plan.push(format!(
                    "what shows {path} (export, target) is removed, and a snapshot is taken"
                ));
                plan.push(format!("{path} is destroyed with all that it holds and its snapshots"));
            }
            "truenas/extent" | "truenas/target" => {
                plan.push(format!("{path} is removed with all of the same mark; its volume stays"));
            }
            "s3/bucket" => {
                plan.push(format!("{path} is destroyed with all that it holds, and its key"))
            }
            "coder/token" => {
                plan.push(format!("{path} is revoked, and its record in Vault destroyed"));
            }
            "coder/template-version" => plan.push(format!(
                "{path} is archived, unless it is active or a workspace is built of it"
            )),
            "kubernetes/configmap" | "kubernetes/deployment" | "kubernetes/service" => plan
                .push(format!("{path} is deleted with all objects of that name and the same mark")),
            _ => plan.push(format!("{path} is destroyed")),
        }
        if grace_seconds > 0 {
            plan.insert(
                0,
                format!("nothing is done for {grace_seconds} s; until then `ignore` keeps it"),
            );
        }
        plan
    }

    fn owner(&self) -> &str {
        self.found.holder.as_ref().map_or("", |holder| holder.owner.as_str())
    }

    fn refuse(&self, why: &str) -> Refusal {
        let words = format!("{} ({}): {why}", self.found.path(), self.found.drift.word());
        Refusal::new("drift.senseless", words).field("found")
    }
}

/// The bucket whose key lies at this place, if buckets' keys lie in that folder.
pub(super) fn bucket_of_secret(folder: &str, place: &str) -> Option<String> {
    let bucket = place.strip_prefix(folder)?.strip_prefix('/')?;
    (!bucket.contains('/')).then(|| bucket.to_string())
}

/// Where a token lies that was found, by the name that `stead token` gives: the run's id and a number.
/// There are two places in Vault, in turns.
pub(super) fn token_of(
    found: &Found,
    forgejo: &ForgejoSite,
    coder: &CoderSite,
) -> Option<TokenPlace> {
    let holder = found.holder.as_ref().filter(|holder| holder.kind == token::KIND)?;
    let number = found.id.strip_prefix(&holder.marker)?.strip_prefix('-')?;
    let number: u32 = number.parse().ok()?;
    let folder = token::credentials_of(forgejo, &holder.owner, &holder.name);
    Some(TokenPlace {
        login: coder.secret.clone(),
        user: holder.owner.to_string(),
        name: found.id.clone(),
        credentials: format!("{folder}/{}", token::turn_of(number)),
        marker: holder.marker.clone(),
    })
}

fn give(holder: &Holder, verb: &str, quota_gb: Option<u64>) -> CommandToGive {
    let fields = quota_gb.map(|gib| ("quota_gb".to_string(), json!(gib)));
    CommandToGive {
        kind: holder.kind.clone(),
        name: holder.name.clone(),
        verb: verb.to_string(),
        fields: fields.into_iter().collect::<Map<_, _>>(),
    }
}

#[cfg(test)]
mod tests;
