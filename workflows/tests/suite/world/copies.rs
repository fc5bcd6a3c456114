//! Copies that backups make.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stead_schemas::failure::{Class, Failure};

use super::World;

/// Copies at the vendors', by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Copies {
    /// Each with whether it has arrived where it is to be.
    pub there: BTreeMap<String, bool>,
    /// How many of the next ones do not arrive, although it is said that they have.
    pub hollow: u32,
}

impl World {
    /// A copy begins, arrives, is looked for and goes.
    pub(super) fn with_copies(&mut self, step: &str, ask: &Value) -> Result<Value, Failure> {
        let copies = &mut self.copies;
        let copy = ask["copy"].as_str().unwrap_or_default().to_owned();
        match step {
            "truenas.snapshot-tree" => drop(copies.there.entry(copy).or_insert(false)),
            "truenas.replicate" | "proxmox.dump-guest" if copies.hollow > 0 => copies.hollow -= 1,
            "truenas.replicate" => copies.there.values_mut().for_each(|arrived| *arrived = true),
            "proxmox.dump-guest" => drop(copies.there.insert(copy, true)),
            "truenas.prove-replica" | "proxmox.prove-dump"
                if copies.there.get(&copy) == Some(&true) =>
            {
                return Ok(json!({ "words": "it is there", "bytes": 7 }));
            }
            "truenas.prove-replica" | "proxmox.prove-dump" => {
                return Err(Failure::new(Class::Permanent, "it is not at the target"));
            }
            "kubernetes.run-job" => return self.with_job(copy, ask),
            _ => return Ok(json!({ "removed": copies.remove_old(ask) })),
        }
        Ok(json!({}))
    }
}

impl World {
    /// A Job does what it is told; one that makes nothing says that it has.
    fn with_job(&mut self, copy: String, ask: &Value) -> Result<Value, Failure> {
        let copies = &mut self.copies;
        match ask["work"].as_str().unwrap_or_default() {
            "make" if copies.hollow > 0 => copies.hollow -= 1,
            "make" => drop(copies.there.insert(copy, true)),
            "prove" if !copies.there.contains_key(&copy) => {
                return Err(Failure::new(Class::Permanent, "it is not at the target"));
            }
            "remove" => drop(copies.remove_old(ask)),
            _ => {}
        }
        Ok(json!({ "words": "it is there" }))
    }
}

impl Copies {
    /// When a copy was made is in its name, so that the order of names is that of times.
    fn remove_old(&mut self, ask: &Value) -> usize {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let before = text(&ask["old"]["before"]).to_lowercase().replace([':', '.'], "-");
        let before = format!("{}{before}", text(&ask["of"]["series"]));
        let (but, count) = (text(&ask["old"]["but"]), self.there.len());
        self.there.retain(|copy, _| *copy >= before || *copy == but);
        count - self.there.len()
    }
}
