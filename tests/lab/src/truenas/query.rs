//! Query filters and options, the same for every `*.query`.

use std::cmp::Ordering;

use serde_json::Value;

use super::methods::Reply;
use super::rpc::{EINVAL, ENOENT, RpcError};

/// Applies `[filters, options]` to what there is.
pub(super) fn run(items: Vec<Value>, params: &[Value]) -> Result<Reply, RpcError> {
    let nothing = Value::Array(Vec::new());
    let filters = params.first().unwrap_or(&nothing);
    let Value::Array(filters) = filters else {
        return Err(RpcError::field("filters", "Input should be a valid list", EINVAL));
    };
    let options = params.get(1).cloned().unwrap_or(Value::Null);
    let mut found = Vec::new();
    for item in items {
        if all(&item, filters)? {
            found.push(item);
        }
    }
    order(&mut found, &options);
    shape(found, &options)
}

fn shape(found: Vec<Value>, options: &Value) -> Result<Reply, RpcError> {
    let flag = |name: &str| options.get(name).and_then(Value::as_bool).unwrap_or(false);
    let size = |name: &str| {
        options.get(name).and_then(Value::as_u64).map_or(0, |n| usize::try_from(n).unwrap_or(0))
    };
    if flag("count") {
        return Ok(Value::from(found.len()).into());
    }
    let limit = if size("limit") == 0 { usize::MAX } else { size("limit") };
    let mut page =
        found.into_iter().skip(size("offset")).take(limit).map(|item| select(item, options));
    if flag("get") {
        return page.next().map(Reply::from).ok_or_else(|| RpcError::call(ENOENT, "None"));
    }
    Ok(Value::from(page.collect::<Vec<_>>()).into())
}

fn select(item: Value, options: &Value) -> Value {
    let Some(Value::Array(names)) = options.get("select") else {
        return item;
    };
    let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
    match item {
        Value::Object(fields) if !names.is_empty() => {
            fields.into_iter().filter(|(name, _)| names.contains(&name.as_str())).collect()
        }
        other => other,
    }
}

fn order(found: &mut [Value], options: &Value) {
    let keys = options.get("order_by").and_then(Value::as_array);
    for key in keys.into_iter().flatten().rev().filter_map(Value::as_str) {
        match key.strip_prefix('-') {
            Some(key) => found.sort_by(|a, b| compare(field(b, key), field(a, key))),
            None => found.sort_by(|a, b| compare(field(a, key), field(b, key))),
        }
    }
}

fn all(item: &Value, filters: &[Value]) -> Result<bool, RpcError> {
    for filter in filters {
        if !one(item, filter)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn one(item: &Value, filter: &Value) -> Result<bool, RpcError> {
    match filter.as_array().map(Vec::as_slice) {
        Some([Value::String(or), Value::Array(any)]) if or == "OR" => {
            let mut hit = false;
            for filter in any {
                hit |= one(item, filter)?;
            }
            Ok(hit)
        }
        Some([Value::String(key), Value::String(op), value]) => {
            let held = field(item, key);
            test(op, held, value).ok_or_else(|| wrong(&format!("Invalid operation: {op}")))
        }
        Some(_) | None => Err(wrong("Invalid filter")),
    }
}

fn wrong(text: &str) -> RpcError {
    RpcError::field("filters", text, EINVAL)
}

fn test(op: &str, held: &Value, value: &Value) -> Option<bool> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let listed = |list: &Value, one: &Value| list.as_array().is_some_and(|list| list.contains(one));
    Some(match op {
        "=" => held == value,
        "!=" => held != value,
        ">" => compare(held, value) == Ordering::Greater,
        ">=" => compare(held, value) != Ordering::Less,
        "<" => compare(held, value) == Ordering::Less,
        "<=" => compare(held, value) != Ordering::Greater,
        "^" => text(held).starts_with(&text(value)),
        "!^" => !text(held).starts_with(&text(value)),
        "$" => text(held).ends_with(&text(value)),
        "!$" => !text(held).ends_with(&text(value)),
        // A whole regular expression is more than anybody here asks for.
        "~" => text(held).contains(&text(value)),
        "in" => listed(value, held),
        "nin" => !listed(value, held),
        "rin" => listed(held, value) || text(held).contains(&text(value)),
        "rnin" => !listed(held, value),
        _ => return None,
    })
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => a.as_str().unwrap_or_default().cmp(b.as_str().unwrap_or_default()),
    }
}

/// The field a dotted key names; a literal dot is written `\.`.
fn field<'a>(item: &'a Value, key: &str) -> &'a Value {
    let masked = key.replace("\\.", "\u{0}");
    let mut held = item;
    for part in masked.split('.') {
        let part = part.replace('\u{0}', ".");
        held = held.get(part.as_str()).unwrap_or(&Value::Null);
    }
    held
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::methods::Reply;
    use super::run;

    fn check(params: &Value, expected: &Value) {
        let items = vec![
            json!({"id": "tank/a", "n": 1}),
            json!({"id": "tank/b", "n": 2, "p": {"x.y": "z"}}),
        ];
        let params = params.as_array().cloned().unwrap_or_default();
        match run(items, &params) {
            Ok(Reply::Value(found)) => assert_eq!(&found, expected, "{params:?}"),
            Ok(Reply::Job(_)) | Err(_) => assert_eq!(&Value::from("error"), expected, "{params:?}"),
        }
    }

    #[test]
    fn filters_and_options_do_as_they_say() {
        check(&json!([[["id", "=", "tank/a"]], {"count": true}]), &json!(1));
        check(&json!([[["id", "^", "tank/"]], {"count": true}]), &json!(2));
        check(&json!([[["n", ">", 1]], {"get": true, "select": ["id"]}]), &json!({"id": "tank/b"}));
        check(&json!([[["p.x\\.y", "=", "z"]], {"count": true}]), &json!(1));
        check(&json!([[["id", "=", "none"]], {"get": true}]), &json!("error"));
        check(&json!([[["OR", [["n", "=", 1], ["n", "=", 2]]]], {"count": true}]), &json!(2));
        check(&json!([[], {"order_by": ["-n"], "limit": 1, "select": ["n"]}]), &json!([{"n": 2}]));
        check(&json!([[["id", "like", "x"]]]), &json!("error"));
    }
}
