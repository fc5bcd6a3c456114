//! The limits of a site: which steps are carried out how many at once. A name that is mistyped
//! would limit nothing, and nobody would see it; so each is looked up.

use std::collections::BTreeSet;

use stead_schemas::limit::{Limit, PER_OWNER, is_meant};
use stead_schemas::step::known::STEPS;
use stead_schemas::step::system;

use super::reader::Reader;

/// The longest name, in characters: it stands in lines that people read.
const NAME_MAX: usize = 48;

pub(super) fn read(reader: &mut Reader<'_>) -> Vec<Limit> {
    let (mut names, mut limits) = (BTreeSet::new(), Vec::new());
    for (line, value) in reader.tables("limits") {
        let limit = match serde_json::from_value::<Limit>(value) {
            Ok(limit) => limit,
            Err(error) => {
                reader.add(Some(line), "limits".to_owned(), error.to_string());
                continue;
            }
        };
        for (key, words) in faults(&limit) {
            reader.add(Some(line), format!("limits.{key}"), words);
        }
        if !names.insert(limit.name.clone()) {
            let words = format!("there are two limits of the name {}", limit.name);
            reader.add(Some(line), "limits.name".to_owned(), words);
        }
        limits.push(limit);
    }
    limits
}

fn faults(limit: &Limit) -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    let length = limit.name.chars().count();
    if length == 0 || length > NAME_MAX || limit.name.chars().any(char::is_control) {
        let words = format!("is a text of 1 to {NAME_MAX} printable characters");
        faults.push(("name", words));
    }
    if limit.steps.is_empty() {
        faults.push(("steps", "name at least one step, such as proxmox.clone-vm".to_owned()));
    }
    let unknown = limit.steps.iter().filter(|step| meant(step).next().is_none());
    faults.extend(unknown.map(|step| ("steps", no_such_step(step))));
    let counted = limit.per.as_deref().filter(|per| *per != PER_OWNER);
    let mut all = limit.steps.iter().flat_map(|step| meant(step));
    let lacks = counted.and_then(|per| all.find(|(_, fields)| !fields.contains(&per)));
    if let (Some(per), Some((step, fields))) = (counted, lacks) {
        let fields = [&[PER_OWNER][..], *fields].concat().join(", ");
        let words = format!("`{step}` is not asked for a `{per}`; it can be counted by {fields}");
        faults.push(("per", words));
    }
    if limit.at_once.is_none() && limit.per_minute.is_none() {
        let words = "say how many: at_once, per_minute, or both".to_owned();
        faults.push(("at_once", words));
    }
    let numbers = [("at_once", limit.at_once), ("per_minute", limit.per_minute)];
    let zeros = numbers.into_iter().filter(|(_, number)| *number == Some(0));
    faults.extend(zeros.map(|(key, _)| (key, "0 would let nothing begin for ever".to_owned())));
    faults
}

/// The known steps that a name means.
fn meant(name: &str) -> impl Iterator<Item = &'static (&'static str, &'static [&'static str])> {
    STEPS.iter().filter(move |(step, _)| is_meant(name, step))
}

fn no_such_step(name: &str) -> String {
    let of_system = STEPS.iter().map(|(step, _)| *step).filter(|step| system(step) == system(name));
    let known: Vec<&str> = of_system.collect();
    match known.is_empty() {
        true => {
            let systems: BTreeSet<&str> = STEPS.iter().map(|(step, _)| system(step)).collect();
            let systems: Vec<&str> = systems.into_iter().collect();
            format!("there is no step `{name}`; there are workers for {}", systems.join(", "))
        }
        false => format!("there is no step `{name}`; there are {}", known.join(", ")),
    }
}
