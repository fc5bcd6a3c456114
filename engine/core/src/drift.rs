//! What is there and should not be, or should be and is not: the ledger beside what was sighted.
//!
//! The ledger is taken before and after the sighting, and only what both agree on counts: what is
//! being made or taken away while somebody looks is no finding.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Serialize;
pub use stead_schemas::command::drift::Drift;
use stead_schemas::command::drift::{Found, Holder};
use stead_schemas::ids::RunId;
use stead_schemas::ledger::{Held, Standing};
use stead_schemas::step::sight::{Thing, is_shared};
use stead_schemas::step::touch::Resource;

/// A resource that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub drift: Drift,
    /// With what.
    #[serde(flatten)]
    pub resource: Resource,
    /// The mark that it carries; nothing if it is not there, or carries none.
    pub marker: Option<String>,
    /// How much it may hold, if that is not as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// What the ledger says of it, where it says something.
    pub held: Option<Held>,
    /// What that means, and what can be done.
    pub words: String,
}

impl Finding {
    /// The same, as a decision names it.
    #[must_use]
    pub fn found(&self) -> Found {
        let Resource { system, kind, id, .. } = self.resource.clone();
        let holder = self.held.clone().map(|held| Holder {
            marker: held.mark().to_string(),
            kind: held.entity,
            owner: held.owner,
            name: held.name,
            quota_bytes: held.quota_bytes,
        });
        let (marker, quota_bytes) = (self.marker.clone(), self.quota_bytes);
        Found { drift: self.drift, system, kind, id, marker, quota_bytes, holder }
    }
}

/// Compares. `kinds` are those that were looked for everywhere, `proxmox/machine`: of others nothing
/// can be missing.
#[must_use]
pub fn compare(
    before: &[Held],
    after: &[Held],
    seen: &[Thing],
    kinds: &BTreeSet<String>,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        seen.iter().filter_map(|thing| of_thing(before, after, thing)).collect();
    let wanted = before.iter().filter(|held| held.standing == Standing::Wanted);
    let agreed = wanted.filter(|held| after.iter().any(|later| is_same(held, later)));
    for held in agreed.filter(|held| kinds.contains(&kind_of(&held.resource))) {
        if !seen.iter().any(|thing| thing.resource.is(&held.resource)) {
            findings.push(missing(held));
        }
    }
    findings.sort_by_cached_key(|finding| (finding.drift, finding.resource.path()));
    findings
}

/// The system and kind of a resource: `proxmox/machine`.
#[must_use]
pub fn kind_of(resource: &Resource) -> String {
    format!("{}/{}", resource.system, resource.kind)
}

fn is_same(one: &Held, other: &Held) -> bool {
    one.run == other.run
        && one.standing == other.standing
        && one.marker == other.marker
        && one.quota_bytes == other.quota_bytes
        && one.resource.is(&other.resource)
}

fn of_thing(before: &[Held], after: &[Held], thing: &Thing) -> Option<Finding> {
    let about = |held: &&Held| held.resource.is(&thing.resource);
    let (before, after): (Vec<_>, Vec<_>) =
        (before.iter().filter(about).collect(), after.iter().filter(about).collect());
    let is_agreed = before.len() == after.len()
        && before.iter().zip(&after).all(|(one, two)| is_same(one, two));
    let is_settled = |held: &&Held| matches!(held.standing, Standing::Wanted | Standing::Left);
    if !is_agreed || !before.iter().all(is_settled) {
        return None;
    }
    // What can carry no mark is known by its name alone.
    let mark = thing.marker.as_deref().unwrap_or_default();
    let ours = || before.iter().filter(|held| held.marker == mark);
    let wanted = ours().find(|held| held.standing == Standing::Wanted);
    match (wanted.or_else(|| ours().next()), before.first()) {
        (Some(held), _) if held.standing == Standing::Wanted => resized(thing, held),
        (Some(held), _) => Some(left(thing, held)),
        (None, Some(held)) => Some(changed(thing, held)),
        (None, None) => unheld(thing),
    }
}

fn missing(held: &Held) -> Finding {
    let Held { entity, owner, name, .. } = held;
    let words = format!(
        "{entity} {owner}/{name} needs it and it is not there; a repair makes anew what holds no data, \
         the rest must be brought back by hand"
    );
    finding(Drift::Missing, held.resource.clone(), None, Some(held), words)
}

fn changed(thing: &Thing, held: &Held) -> Finding {
    let carries = match &thing.marker {
        Some(marker) => format!("the mark of {marker}"),
        None => "no mark of ours".to_string(),
    };
    let Held { entity, owner, name, marker, .. } = held;
    let words = format!(
        "it carries {carries}; {entity} {owner}/{name} made one that is marked {marker}, and will not \
         touch this one"
    );
    finding(Drift::Changed, thing.resource.clone(), thing.marker.clone(), Some(held), words)
}

fn resized(thing: &Thing, held: &Held) -> Option<Finding> {
    let (Some(seen), Some(wanted)) = (thing.quota_bytes, held.quota_bytes) else { return None };
    if seen == wanted {
        return None;
    }
    let gib = |bytes: u64| match bytes {
        0 => "as much as there is room for".to_string(),
        bytes => format!("{} GiB", bytes >> 30),
    };
    let Held { entity, owner, name, .. } = held;
    let words = format!(
        "it may hold {}, and {entity} {owner}/{name} gave it {}; a repair sets that again",
        gib(seen),
        gib(wanted)
    );
    let (resource, marker) = (thing.resource.clone(), thing.marker.clone());
    let changed = finding(Drift::Changed, resource, marker, Some(held), words);
    Some(Finding { quota_bytes: Some(seen), ..changed })
}

fn left(thing: &Thing, held: &Held) -> Finding {
    let Held { entity, owner, name, why, .. } = held;
    let words =
        format!("{entity} {owner}/{name} left it behind ({why}); destroy it if it is not wanted");
    finding(Drift::Orphan, thing.resource.clone(), thing.marker.clone(), Some(held), words)
}

fn unheld(thing: &Thing) -> Option<Finding> {
    let run = thing.marker.as_ref().and_then(|marker| marker.parse::<RunId>().ok());
    let (drift, words) = match (run, &thing.marker) {
        (Some(run), _) => (Drift::Orphan, format!("it carries the mark of {run}, which has none")),
        (None, _) if is_shared(&kind_of(&thing.resource)) => return None,
        (None, Some(marker)) => {
            (Drift::Stranger, format!("it carries a mark that is no run of ours: {marker}"))
        }
        (None, None) => {
            (Drift::Stranger, "nobody here made it; it will not be touched".to_string())
        }
    };
    Some(finding(drift, thing.resource.clone(), thing.marker.clone(), None, words))
}

fn finding(
    drift: Drift,
    resource: Resource,
    marker: Option<String>,
    held: Option<&Held>,
    words: String,
) -> Finding {
    Finding { drift, resource, marker, quota_bytes: None, held: held.cloned(), words }
}
