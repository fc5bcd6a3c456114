//! An object's fields and who owns each, as server-side apply has it: whoever applies owns what he
//! names, what he names no longer goes, and what others own he gets only by force.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// One step of the way to a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Field(String),
    /// An item of a list, by its name.
    Item(String),
}

type Path = Vec<Key>;

#[derive(Clone)]
struct Leaf {
    value: Value,
    managers: BTreeSet<String>,
}

/// The fields of one object.
#[derive(Clone, Default)]
pub(super) struct Fields(BTreeMap<Path, Leaf>);

impl Fields {
    /// Takes what `manager` applies.
    ///
    /// # Errors
    /// With the manager and the name of each field that somebody else owns, unless it is forced.
    pub(super) fn apply(
        &mut self,
        manager: &str,
        wanted: &Value,
        force: bool,
    ) -> Result<(), Vec<(String, String)>> {
        let mut leaves = BTreeMap::new();
        flatten(wanted, &mut Vec::new(), &mut leaves);
        let conflicts = self.conflicts(manager, &leaves);
        if !force && !conflicts.is_empty() {
            return Err(conflicts);
        }
        let (known, me) = (leaves.keys().cloned().collect::<BTreeSet<_>>(), manager.to_owned());
        for (path, value) in leaves {
            let leaf = self
                .0
                .entry(path)
                .or_insert_with(|| Leaf { value: value.clone(), managers: BTreeSet::new() });
            if leaf.value != value {
                *leaf = Leaf { value, managers: BTreeSet::new() };
            }
            leaf.managers.insert(me.clone());
        }
        self.0.retain(|path, leaf| {
            let is_dropped = !known.contains(path) && leaf.managers.remove(manager);
            !is_dropped || !leaf.managers.is_empty()
        });
        Ok(())
    }

    fn conflicts(&self, manager: &str, wanted: &BTreeMap<Path, Value>) -> Vec<(String, String)> {
        let mut conflicts = Vec::new();
        for (path, value) in wanted {
            let Some(leaf) = self.0.get(path).filter(|leaf| leaf.value != *value) else { continue };
            let others = leaf.managers.iter().filter(|other| *other != manager);
            conflicts.extend(others.map(|other| (other.clone(), named(path))));
        }
        conflicts
    }

    /// The object.
    pub(super) fn show(&self) -> Value {
        let entries: Vec<_> = self.0.iter().map(|(path, leaf)| (&path[..], &leaf.value)).collect();
        build(&entries)
    }

    pub(super) fn managers(&self) -> BTreeSet<&str> {
        self.0.values().flat_map(|leaf| &leaf.managers).map(String::as_str).collect()
    }
}

/// `.spec.template.spec.containers[name="server"].image`.
fn named(path: &[Key]) -> String {
    let part = |key: &Key| match key {
        Key::Field(name) => format!(".{name}"),
        Key::Item(name) => format!("[name=\"{name}\"]"),
    };
    path.iter().map(part).collect()
}

/// A selector is taken as a whole.
fn is_atomic(path: &[Key]) -> bool {
    let field = |name: &str| Key::Field(name.to_owned());
    path == [field("spec"), field("selector")]
}

fn flatten(value: &Value, path: &mut Path, leaves: &mut BTreeMap<Path, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() && !is_atomic(path) => {
            for (name, value) in fields {
                path.push(Key::Field(name.clone()));
                flatten(value, path, leaves);
                path.pop();
            }
        }
        Value::Array(items)
            if !items.is_empty() && items.iter().all(|item| item["name"].is_string()) =>
        {
            for item in items {
                path.push(Key::Item(item["name"].as_str().unwrap_or_default().to_owned()));
                flatten(item, path, leaves);
                path.pop();
            }
        }
        leaf => drop(leaves.insert(path.clone(), leaf.clone())),
    }
}

/// Puts fields together again. They come in order, so that what belongs together is together.
fn build(entries: &[(&[Key], &Value)]) -> Value {
    let Some((first, value)) = entries.first() else { return Value::Object(Map::new()) };
    let Some(key) = first.first() else { return (*value).clone() };
    let groups = entries.chunk_by(|(a, _), (b, _)| a.first() == b.first());
    let inner = |group: &[(&[Key], &Value)]| {
        let deeper: Vec<_> = group.iter().map(|(path, value)| (&path[1..], *value)).collect();
        build(&deeper)
    };
    match key {
        Key::Item(_) => Value::Array(groups.map(inner).collect()),
        Key::Field(_) => {
            let named = |group: &[(&[Key], &Value)]| match group[0].0.first() {
                Some(Key::Field(name)) => Some((name.clone(), inner(group))),
                _ => None,
            };
            Value::Object(groups.filter_map(named).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Fields;

    #[test]
    fn whoever_applies_owns_what_he_names_and_loses_what_he_names_no_longer() {
        let mut fields = Fields::default();
        let env = |names: &[&str]| {
            let items: Vec<_> =
                names.iter().map(|name| json!({ "name": name, "value": "1" })).collect();
            json!({ "spec": { "replicas": 2, "env": items } })
        };
        fields.apply("one", &env(&["a", "b"]), false).expect("nobody else is there");
        assert_eq!(fields.show(), env(&["a", "b"]));
        fields
            .apply("two", &json!({ "spec": { "env": [{ "name": "b", "value": "1" }] } }), false)
            .expect("the same value is no conflict");
        fields.apply("one", &env(&["a"]), false).expect("its own");
        assert_eq!(fields.show(), env(&["a", "b"]), "b is the other's by now");
        let conflict = fields.apply("two", &json!({ "spec": { "replicas": 3 } }), false);
        assert_eq!(conflict, Err(vec![("one".to_owned(), ".spec.replicas".to_owned())]));
        fields.apply("two", &json!({ "spec": { "replicas": 3 } }), true).expect("by force");
        assert_eq!(fields.show()["spec"]["replicas"], 3);
        assert_eq!(fields.show()["spec"]["env"], env(&["a"])["spec"]["env"], "b was dropped");
    }
}
