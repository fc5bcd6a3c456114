//! Where two runs part: their operations and steps side by side, in the order in which they came.
//!
//! What always differs from run to run (ids, markers, times) counts as the same, unless it is to
//! be compared to the letter.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use stead_schemas::event::{Event, Outcome, Seq};
use stead_schemas::ids::RunId;
use stead_schemas::transition::Transition;

use super::operations::{End, StepSpan, operations};
use super::standing::{brief, whole};
use super::words::{counted, hanging};
use super::{Moment, moments};

/// How exactly runs are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exactness {
    /// Ids, markers and times may differ.
    Sense,
    /// Nothing may differ.
    Letter,
}

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Apart {
    /// How many operations and steps are the same before the first difference.
    pub alike: usize,
    /// All differences, in order; none if the runs are alike.
    pub differences: Vec<Difference>,
}

/// A place at which two runs differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Which place: `create, step proxmox.clone-vm`.
    pub place: String,
    /// In what: `order`, `request`, `end`, `outcome`, `only in one`.
    pub what: &'static str,
    /// What the first run has there.
    pub one: Value,
    /// What the second run has there.
    pub other: Value,
}

/// Something of a run that can be laid beside the same of another run.
struct Deed {
    /// What it is called in both.
    place: String,
    /// Its parts, in the order in which they are compared.
    parts: Vec<(&'static str, Value)>,
}

/// Compares two runs.
pub fn apart(one: &[Transition], other: &[Transition], exactness: Exactness) -> Apart {
    let (one, other) = (deeds(one, exactness), deeds(other, exactness));
    let (mut alike, mut differences) = (0, Vec::new());
    for (left, right) in aligned(&one, &other) {
        match (left, right) {
            (Some(left), Some(right)) => differences.extend(differing(left, right)),
            (Some(only), None) => differences.push(alone(only, true)),
            (None, Some(only)) => differences.push(alone(only, false)),
            (None, None) => {}
        }
        alike += usize::from(differences.is_empty());
    }
    Apart { alike, differences }
}

/// The pairs that stand side by side: what has the same place meets, what only one has stands
/// alone.
fn aligned<'a>(one: &'a [Deed], other: &'a [Deed]) -> Vec<(Option<&'a Deed>, Option<&'a Deed>)> {
    let (mut pairs, mut right) = (Vec::new(), 0);
    for left in one {
        let met = other[right..].iter().position(|deed| deed.place == left.place);
        // Only if nothing that is skipped comes later in the first run.
        let Some(skipped) = met else {
            pairs.push((Some(left), None));
            continue;
        };
        pairs.extend(other[right..right + skipped].iter().map(|only| (None, Some(only))));
        pairs.push((Some(left), other.get(right + skipped)));
        right += skipped + 1;
    }
    pairs.extend(other[right..].iter().map(|only| (None, Some(only))));
    pairs
}

fn differing(one: &Deed, other: &Deed) -> Vec<Difference> {
    let pairs = one.parts.iter().zip(&other.parts);
    let differ = pairs.filter(|((_, left), (_, right))| left != right);
    let told = differ.map(|((what, left), (_, right))| Difference {
        place: one.place.clone(),
        what,
        one: left.clone(),
        other: right.clone(),
    });
    told.collect()
}

fn alone(deed: &Deed, is_first: bool) -> Difference {
    let mut parts: serde_json::Map<String, Value> = serde_json::Map::new();
    parts.extend(deed.parts.iter().map(|(what, value)| ((*what).to_owned(), value.clone())));
    let (one, other) = match is_first {
        true => (Value::Object(parts), Value::Null),
        false => (Value::Null, Value::Object(parts)),
    };
    Difference { place: deed.place.clone(), what: "only in one", one, other }
}

fn deeds(history: &[Transition], exactness: Exactness) -> Vec<Deed> {
    let moments = moments(history);
    let names = names(&moments, history);
    let level = |value: Value| match exactness {
        Exactness::Letter => value,
        Exactness::Sense => levelled(value, &names),
    };
    let (orders, requests, ends) = facts(&moments);
    let mut deeds = Vec::new();
    let mut verbs: BTreeMap<String, usize> = BTreeMap::new();
    for operation in operations(&moments) {
        let verb = numbered(&mut verbs, &operation.verb);
        let order = orders.get(&operation.id).cloned().unwrap_or_default();
        deeds.push(Deed { place: verb.clone(), parts: vec![("order", level(order))] });
        let mut seen = BTreeMap::new();
        for step in &operation.steps {
            let step_name = numbered(&mut seen, &named(step));
            let request = requests.get(&step.seq).cloned().unwrap_or_default();
            let end = ends.get(&step.seq).cloned().unwrap_or_else(|| "open".into());
            let place = format!("{verb}, {step_name}");
            deeds.push(Deed {
                place,
                parts: vec![("request", level(request)), ("end", level(end))],
            });
        }
        let outcome = operation.outcome.map_or("going on".into(), |outcome| match outcome {
            Outcome::Done(_) => "done".into(),
            Outcome::Failed(failure) => Value::String(format!("failed: {failure}")),
        });
        deeds.push(Deed {
            place: format!("{verb}, its end"),
            parts: vec![("outcome", level(outcome))],
        });
    }
    deeds
}

fn named(step: &StepSpan) -> String {
    format!("{} {}", if step.is_undo { "undo" } else { "step" }, step.name)
}

/// A name, with a number behind it from the second on.
fn numbered(seen: &mut BTreeMap<String, usize>, name: &str) -> String {
    let count = seen.entry(name.to_owned()).or_default();
    *count += 1;
    if *count == 1 { name.to_owned() } else { format!("{name} ({count})") }
}

type Facts = (BTreeMap<String, Value>, BTreeMap<Seq, Value>, BTreeMap<Seq, Value>);

/// Orders by command, requests and ends by step.
fn facts(moments: &[Moment]) -> Facts {
    let (mut orders, mut requests, mut ends) = Facts::default();
    for moment in moments {
        match &moment.event {
            Event::CommandAccepted(command) => {
                orders.insert(command.id.clone(), command.payload.clone());
            }
            Event::StepScheduled(step) => {
                requests.insert(step.seq, step.request.clone());
            }
            Event::StepEdited(step) => {
                requests.insert(step.seq, step.request.clone());
            }
            Event::StepCompleted(done) => {
                ends.insert(done.seq, done.answer.clone());
            }
            Event::StepSkipped(step) => {
                ends.insert(step.seq, step.answer.clone());
            }
            Event::StepFailed(failed) => {
                let words =
                    format!("{}: {}", End::Failed(failed.failure.clone()).word(), failed.failure);
                ends.insert(failed.seq, Value::String(words));
            }
            Event::StepCancelled(step) => {
                ends.insert(step.seq, End::Cancelled.word().into());
            }
            Event::StepDropped(step) => {
                ends.insert(step.seq, "dropped".into());
            }
            _ => {}
        }
    }
    (orders, requests, ends)
}

/// What the run itself is called, by which it differs from every other.
fn names(moments: &[Moment], history: &[Transition]) -> Vec<(String, &'static str)> {
    let mut names: Vec<(String, &'static str)> = Vec::new();
    names.extend(history.first().map(|first| (first.run.to_string(), "<this run>")));
    for moment in moments {
        if let Event::CommandAccepted(command) = &moment.event {
            names.push((command.id.clone(), "<this command>"));
        }
    }
    names.retain(|(name, _)| name.len() > 3);
    names
}

/// A value without what always differs.
fn levelled(value: Value, names: &[(String, &'static str)]) -> Value {
    match value {
        Value::String(text) => Value::String(levelled_text(text, names)),
        Value::Array(values) => {
            Value::Array(values.into_iter().map(|value| levelled(value, names)).collect())
        }
        Value::Object(fields) => {
            let level = |(name, value)| (name, levelled(value, names));
            Value::Object(fields.into_iter().map(level).collect())
        }
        other => other,
    }
}

fn levelled_text(mut text: String, names: &[(String, &'static str)]) -> String {
    for (name, stands_for) in names {
        text = text.replace(name, stands_for);
    }
    if text.parse::<RunId>().is_ok() {
        return "<run>".to_owned();
    }
    if chrono::DateTime::parse_from_rfc3339(&text).is_ok() {
        return "<time>".to_owned();
    }
    if uuid::Uuid::parse_str(&text).is_ok() {
        return "<id>".to_owned();
    }
    text
}

impl Apart {
    /// The first difference whole, then the others in a line each.
    pub fn told(&self, width: usize) -> String {
        let Some((first, rest)) = self.differences.split_first() else {
            return format!("the runs are alike: {}", counted(self.alike as u64, "place"));
        };
        let mut lines = vec![format!(
            "alike in {}, then they part at {} ({})",
            counted(self.alike as u64, "place"),
            first.place,
            first.what
        )];
        lines.push(hanging("  the first   ", &side(&first.one), width, 14));
        lines.push(hanging("  the second  ", &side(&first.other), width, 14));
        let places = places(&first.one, &first.other);
        lines.extend(places.iter().map(|place| hanging("  differs at  ", place, width, 14)));
        if !rest.is_empty() {
            lines.push(format!("and {} after that:", counted(rest.len() as u64, "difference")));
        }
        lines.extend(rest.iter().map(|one| hanging("  ", &one.told(), width, 4)));
        lines.join("\n")
    }
}

impl Difference {
    fn told(&self) -> String {
        match (&self.one, &self.other) {
            (Value::Null, _) => format!("{}: only the second has it", self.place),
            (_, Value::Null) => format!("{}: only the first has it", self.place),
            (one, other) => match &places(one, other)[..] {
                [] => format!("{}: {} {}, and {}", self.place, self.what, brief(one), brief(other)),
                places => format!("{}: {} differs at {}", self.place, self.what, places.join("; ")),
            },
        }
    }
}

fn side(value: &Value) -> String {
    match value {
        Value::Null => "has nothing there".to_owned(),
        value => whole(value),
    }
}

/// Where two objects differ.
fn places(one: &Value, other: &Value) -> Vec<String> {
    let mut places = Vec::new();
    if one.is_object() && other.is_object() {
        compare("", one, other, &mut places);
    }
    places.iter().map(|(place, one, other)| format!("{place}: {one}, and {other}")).collect()
}

/// Every place at which two values differ, with both.
pub fn compare(place: &str, one: &Value, other: &Value, places: &mut Vec<(String, Value, Value)>) {
    match (one, other) {
        (Value::Object(fields), Value::Object(others)) => {
            let keys: std::collections::BTreeSet<&String> =
                fields.keys().chain(others.keys()).collect();
            for key in keys {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                let of = |fields: &serde_json::Map<String, Value>| {
                    fields.get(key).cloned().unwrap_or(Value::Null)
                };
                compare(&place, &of(fields), &of(others), places);
            }
        }
        _ if one == other => {}
        _ => places.push((place.to_owned(), one.clone(), other.clone())),
    }
}
