//! Who and what is named in a bundle: by the field that it stands in, and by its shape.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Map, Value};

use super::prose;

/// Fields that name people.
const PEOPLE_FIELDS: [&str; 3] = ["owner", "user", "username"];
/// Fields that name people as Authentik numbers them.
const SUBJECT_FIELDS: [&str; 2] = ["subject", "subjects"];
/// The field that names Authentik's groups.
pub(super) const GROUPS: &str = "groups";
/// Fields that name hosts, or lists of them, with or without a port.
const HOST_FIELDS: [&str; 9] = [
    "node",
    "nodes",
    "template_node",
    "nfs_server",
    "host",
    "hostname",
    "server",
    "instance",
    "portal",
];
/// Fields whose values are our own words, whatever an owner is called.
const OUR_FIELDS: [&str; 13] = [
    "code",
    "step",
    "workflow",
    "kind",
    "verb",
    "class",
    "phase",
    "engine",
    "build",
    "state",
    "digest",
    "reason",
    "storage_backend",
];
/// Fields with what things are called by their owners themselves, be it like a host.
const NAME_FIELDS: [&str; 4] = ["name", "names", "workspace", "workspaces"];
/// Maps whose keys are no fields, but names.
const MAPS: [&str; 7] =
    ["owners", "workspaces", "by_workspace", "ways", "told", "spares", "pinned"];

/// What stands in a bundle.
#[derive(Default)]
pub(super) struct Found {
    pub owners: BTreeSet<String>,
    /// People by Authentik's numbers.
    pub subjects: BTreeSet<String>,
    /// Authentik's groups.
    pub groups: BTreeSet<String>,
    /// Hosts and mail addresses, in small letters.
    pub hosts: BTreeSet<String>,
    /// The datasets beneath which homes are.
    pub parents: BTreeSet<String>,
    /// Our own words that might be taken for hosts.
    pub ours: BTreeSet<String>,
}

/// Whether a field's value is one of our own words.
pub(super) fn is_ours(field: &str, value: &Value) -> bool {
    OUR_FIELDS.contains(&field) && value.is_string()
}

/// Whether the keys of what stands in this field are names, and no fields.
pub(super) fn is_map(field: &str) -> bool {
    MAPS.contains(&field)
}

/// Whether a key cannot be a field, whatever it stands in.
pub(super) fn is_no_field(key: &str) -> bool {
    key.contains(['.', '@', '/', ':', ' '])
}

impl Found {
    pub(super) fn take(&mut self, value: &Value, field: &str) {
        match value {
            Value::String(text) => self.take_text(text, field),
            Value::Array(values) => values.iter().for_each(|value| match value {
                // What stands in a list has fields of its own, and no names for keys.
                Value::Object(fields) => self.take_fields(fields, ""),
                value => self.take(value, field),
            }),
            Value::Object(fields) => self.take_fields(fields, field),
            _ => {}
        }
    }

    fn take_fields(&mut self, fields: &Map<String, Value>, field: &str) {
        for (key, value) in fields {
            if field == "owners" {
                self.owners.insert(key.clone());
            } else if is_map(field) || is_no_field(key) {
                self.take_prose(key);
            }
            self.take(value, key);
        }
    }

    fn take_text(&mut self, text: &str, field: &str) {
        let is_word = !text.is_empty() && !text.contains(char::is_whitespace);
        if PEOPLE_FIELDS.contains(&field) {
            self.owners.insert(text.to_owned());
        } else if SUBJECT_FIELDS.contains(&field) && is_word {
            self.subjects.insert(text.to_owned());
        } else if field == GROUPS {
            self.groups.insert(text.to_owned());
        } else if field == "parent" {
            self.parents.insert(text.to_owned());
        } else if OUR_FIELDS.contains(&field) {
            self.ours.insert(text.to_owned());
        } else if HOST_FIELDS.contains(&field) && is_word {
            self.take_host(text);
        } else if !(NAME_FIELDS.contains(&field) && is_word) {
            self.take_prose(text);
        }
    }

    /// All that is called like a host in a text, and what an address names.
    pub(super) fn take_prose(&mut self, text: &str) {
        self.hosts.extend(prose::names(text).map(str::to_ascii_lowercase));
        for (at, _) in text.match_indices("://") {
            self.take_host(&text[at + 3..]);
        }
    }

    /// The host at the beginning of a text: `nas:3260`, `user@forge/path`.
    fn take_host(&mut self, text: &str) {
        let text = text.split_once("://").map_or(text, |(_, rest)| rest);
        let place = text.split(|c: char| "/?#,;'\"`)>".contains(c) || c.is_whitespace()).next();
        let place = place.unwrap_or_default();
        let place = place.rsplit_once('@').map_or(place, |(_, host)| host);
        let host = place.split(':').next().unwrap_or_default().trim_end_matches('.');
        if !host.is_empty() && !place.starts_with('[') && host.parse::<Ipv4Addr>().is_err() {
            self.hosts.insert(host.to_ascii_lowercase());
        }
    }
}
