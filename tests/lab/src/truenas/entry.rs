//! A dataset as the API shows it: every property in five spellings.

use serde_json::{Map, Value, json};

use super::state::{Dataset, State};

/// What the pool has in all.
pub(super) const POOL_BYTES: u64 = 8 << 40;

/// Properties that have the same value on every dataset unless they were set.
const DEFAULTS: [(&str, &str, &str); 24] = [
    ("deduplication", "off", "OFF"),
    ("aclmode", "discard", "DISCARD"),
    ("acltype", "posix", "POSIX"),
    ("xattr", "sa", "SA"),
    ("atime", "off", "OFF"),
    ("casesensitivity", "sensitive", "SENSITIVE"),
    ("checksum", "on", "ON"),
    ("exec", "on", "ON"),
    ("sync", "standard", "STANDARD"),
    ("compression", "lz4", "LZ4"),
    ("compressratio", "1.00", "1.00x"),
    ("reservation", "0", "0"),
    ("refreservation", "0", "0"),
    ("copies", "1", "1"),
    ("snapdir", "hidden", "HIDDEN"),
    ("readonly", "off", "OFF"),
    ("recordsize", "131072", "128K"),
    ("key_format", "none", "NONE"),
    ("encryption_algorithm", "off", "OFF"),
    ("usedbychildren", "0", "0"),
    ("usedbyrefreservation", "0", "0"),
    ("special_small_block_size", "0", "0"),
    ("pbkdf2iters", "0", "0"),
    ("snapdev", "hidden", "HIDDEN"),
];

fn property(parsed: Value, raw: &str, value: Option<&str>, source: &str) -> Value {
    json!({ "parsed": parsed, "rawvalue": raw, "value": value, "source": source, "source_info": null })
}

fn bytes(number: u64, source: &str) -> Value {
    property(json!(number), &number.to_string(), Some(&human(number)), source)
}

/// No limit is written as nothing.
fn limit(number: u64) -> Value {
    if number == 0 {
        return property(Value::Null, "0", None, "DEFAULT");
    }
    bytes(number, "LOCAL")
}

/// Bytes as `zfs list` prints them.
fn human(number: u64) -> String {
    let units = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
    match units.into_iter().find(|(shift, _)| number >= 1 << shift) {
        Some((shift, unit)) if number.is_multiple_of(1 << shift) => {
            format!("{}{unit}", number >> shift)
        }
        Some((shift, unit)) => {
            let hundredths = (u128::from(number) * 100) >> shift;
            format!("{}.{:02}{unit}", hundredths / 100, hundredths % 100)
        }
        None => format!("{number}B"),
    }
}

/// The dataset's entry; `children` nest the same way.
pub(super) fn entry(state: &State, dataset: &Dataset, with_children: bool) -> Value {
    let mut entry = identity(dataset);
    let children = if with_children { children(state, &dataset.id) } else { Vec::new() };
    entry.insert("children".to_owned(), Value::from(children));
    for (name, raw, value) in DEFAULTS {
        entry.insert(name.to_owned(), property(Value::from(raw), raw, Some(value), "DEFAULT"));
    }
    let snapshots = dataset.snapshots.len() as u64 * super::snapshot::BYTES;
    entry.insert("quota".to_owned(), limit(dataset.quota));
    entry.insert("refquota".to_owned(), limit(dataset.refquota));
    entry.insert("used".to_owned(), bytes(dataset.used + snapshots, "NONE"));
    entry.insert("usedbydataset".to_owned(), bytes(dataset.used, "NONE"));
    entry.insert("usedbysnapshots".to_owned(), bytes(snapshots, "NONE"));
    entry.insert("available".to_owned(), bytes(available(state, dataset), "NONE"));
    let created = dataset.created;
    let parsed = json!({ "$date": created.timestamp_millis() });
    let seconds = created.timestamp().to_string();
    entry.insert(
        "creation".to_owned(),
        property(parsed, &seconds, Some(&created.to_rfc2822()), "NONE"),
    );
    let origin = dataset.origin.clone().unwrap_or_default();
    entry.insert(
        "origin".to_owned(),
        property(Value::from(origin.as_str()), &origin, Some(&origin), "NONE"),
    );
    if let Some(size) = dataset.volsize {
        entry.insert("volsize".to_owned(), bytes(size, "LOCAL"));
        entry.insert("mountpoint".to_owned(), Value::Null);
    }
    for (name, value) in &dataset.settings {
        let raw = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        entry.insert(name.clone(), property(value.clone(), &raw, Some(&raw), "LOCAL"));
    }
    Value::Object(entry)
}

fn identity(dataset: &Dataset) -> Map<String, Value> {
    let pool = dataset.id.split('/').next().unwrap_or_default();
    let user: Map<String, Value> = dataset
        .user_properties
        .iter()
        .map(|(name, value)| (name.clone(), property(json!(value), value, Some(value), "LOCAL")))
        .collect();
    let kind = if dataset.volsize.is_some() { "VOLUME" } else { "FILESYSTEM" };
    let identity = json!({
        "id": dataset.id, "type": kind, "name": dataset.id, "pool": pool,
        "encrypted": false, "encryption_root": null, "key_loaded": false, "locked": false,
        "user_properties": user, "mountpoint": dataset.path(),
    });
    identity.as_object().cloned().unwrap_or_default()
}

pub(super) fn available(state: &State, dataset: &Dataset) -> u64 {
    let used: u64 = state.datasets.values().map(|dataset| dataset.used).sum();
    let free = state.pool_bytes.saturating_sub(used);
    match dataset.refquota {
        0 => free,
        limit => limit.saturating_sub(dataset.used).min(free),
    }
}

fn children(state: &State, id: &str) -> Vec<Value> {
    let is_child = |other: &&Dataset| {
        other
            .id
            .strip_prefix(id)
            .and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(|rest| !rest.contains('/'))
    };
    state.datasets.values().filter(is_child).map(|child| entry(state, child, true)).collect()
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn bytes_are_printed_as_zfs_prints_them() {
        assert_eq!(human(10 << 30), "10G");
        assert_eq!(human(96 << 10), "96K");
        assert_eq!(human(3 << 29), "1.50G");
    }
}
