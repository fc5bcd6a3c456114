//! Two decisions that should be one: what stands in the history, and what this build decides.

use std::collections::BTreeSet;

use serde_json::Value;
use stead_core::run::Divergence;

use crate::assemble::BUILD;

/// A divergence in words, with both requests and where they differ.
pub fn told(divergence: &Divergence) -> String {
    let Divergence::Other { n, recorded, decided } = divergence else {
        return format!("{BUILD} cannot replay it: {divergence}");
    };
    let mut lines = vec![
        format!("{BUILD} decides otherwise at transition {n}"),
        format!("  the history has   {recorded}"),
        format!("  this build wants  {decided}"),
    ];
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    if let (Some(recorded), Some(decided)) = (parsed(recorded), parsed(decided)) {
        let mut places = Vec::new();
        compare("", &recorded, &decided, &mut places);
        lines.extend(places.iter().map(|place| format!("  differs at        {place}")));
    }
    lines.join("\n")
}

fn compare(place: &str, recorded: &Value, decided: &Value, places: &mut Vec<String>) {
    match (recorded, decided) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                let of = |object: &serde_json::Map<String, Value>| {
                    object.get(key).cloned().unwrap_or(Value::Null)
                };
                compare(&place, &of(one), &of(other), places);
            }
        }
        _ if recorded == decided => {}
        _ => places.push(format!("{place}: {recorded}, now {decided}")),
    }
}
