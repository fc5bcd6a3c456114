//! What the middleware's errors mean. It says so in `errname` and in `extra`, the list of
//! validation errors `[field, message, errno]`; the text is for people.
//!
//! Shapes and names in the tests are those of the middleware's source, 25.10 and 26; none was recorded on a
//! running one.

use serde::Deserialize;
use serde_json::Value;
use stead_schemas::failure::{Class, Failure};

use crate::http::Effect;
use crate::trouble::Trouble;

const NOT_FOUND: i64 = 2;
const BUSY: i64 = 16;
const EXISTS: i64 = 17;
const NOT_EMPTY: i64 = 39;

/// An error as JSON-RPC carries it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct RpcError {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Option<Detail>,
}

#[derive(Debug, Default, Deserialize)]
struct Detail {
    #[serde(default)]
    errname: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    extra: Value,
}

impl RpcError {
    /// The error that a failed job left: `[EFAULT] no such user`, and perhaps validation errors.
    pub(super) fn of_job(error: &str, extra: Value) -> Self {
        let name = error.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let errname = name.map(|(name, _)| name.to_owned());
        let detail = Detail { errname, reason: Some(error.to_owned()), extra };
        Self { code: METHOD_FAILED, message: String::new(), data: Some(detail) }
    }

    fn text(&self) -> String {
        let detail = self.data.as_ref();
        let said = detail.and_then(|detail| detail.reason.clone());
        let faults = detail.map(|detail| validation(&detail.extra)).unwrap_or_default();
        match said.filter(|said| !said.is_empty()) {
            Some(said) => said,
            None if faults.is_empty() => self.message.clone(),
            None => faults.into_iter().map(|(words, _)| words).collect::<Vec<_>>().join("; "),
        }
    }
}

/// The method ran and raised an error.
const METHOD_FAILED: i64 = -32001;

/// The one place where an error of the middleware is given its meaning.
pub(super) fn classify(error: &RpcError, effect: Effect) -> Trouble {
    let trouble = match error.code {
        -32000 => Trouble::new(Class::Wait, "TrueNAS has too many calls from us at once"),
        -32601 => Trouble::new(
            Class::Permanent,
            "this TrueNAS does not know the method; its version differs",
        ),
        -32602 | -32600 | -32700 => by_validation(error),
        METHOD_FAILED => by_name(error, effect),
        _ => Trouble::new(effect.when_lost(), "TrueNAS met an error of its own"),
    };
    trouble.vendor(&error.text())
}

fn by_name(error: &RpcError, effect: Effect) -> Trouble {
    let name = error.data.as_ref().and_then(|detail| detail.errname.as_deref());
    match name.unwrap_or_default() {
        "EBUSY" => busy(),
        // iSCSI has no errno for a target, or whatever hangs on it, that somebody is logged in at.
        "EFAULT" if error.text().contains("in use") => busy(),
        "ENOTEMPTY" => not_empty(),
        "EEXIST" => already(),
        "ENOENT" | "InstanceNotFound" => missing(),
        "EACCES" | "EPERM" | "ENOTAUTHENTICATED" | "ENOTAUTHORIZED" => {
            Trouble::new(Class::Auth, "TrueNAS does not allow us this")
        }
        "ENOSPC" | "EDQUOT" => Trouble::new(Class::Permanent, "there is no room left"),
        "ETIMEDOUT" | "ECONNRESET" | "ECONNABORTED" | "EAGAIN" => {
            Trouble::new(effect.when_lost(), "TrueNAS did not get through with it")
        }
        "EHOSTDOWN" | "ENETDOWN" => Trouble::new(Class::VendorDown, "TrueNAS is not in service"),
        _ => by_validation(error),
    }
}

fn by_validation(error: &RpcError) -> Trouble {
    let faults = error.data.as_ref().map(|detail| validation(&detail.extra)).unwrap_or_default();
    let has = |errno: i64| faults.iter().any(|(_, number)| *number == errno);
    let says = |part: &str| faults.iter().any(|(words, _)| words.to_lowercase().contains(part));
    if has(EXISTS) || says("already exists") || says("already exports") {
        already()
    } else if has(NOT_FOUND) || says("does not exist") {
        missing()
    } else if has(BUSY) {
        busy()
    } else if has(NOT_EMPTY) {
        not_empty()
    } else {
        Trouble::new(Class::Permanent, "TrueNAS refuses our request")
    }
}

fn busy() -> Trouble {
    Trouble::new(Class::Wait, "TrueNAS is busy with it")
}

fn not_empty() -> Trouble {
    Trouble::new(Class::Wait, "something is still kept in the dataset")
}

fn missing() -> Trouble {
    Trouble::Missing(Failure::new(Class::Permanent, "TrueNAS has no such thing"))
}

fn already() -> Trouble {
    Trouble::Already(Failure::new(Class::Conflict, "it is there already"))
}

/// The validation errors: what was said, and the errno with it.
fn validation(extra: &Value) -> Vec<(String, i64)> {
    let faults = extra.as_array().map(Vec::as_slice).unwrap_or_default();
    let read = |fault: &Value| {
        let field = fault.get(0)?.as_str().unwrap_or("request");
        let text = format!("{field}: {}", fault.get(1)?.as_str()?);
        Some((text, fault.get(2).and_then(Value::as_i64).unwrap_or(0)))
    };
    faults.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stead_schemas::failure::Class;

    use super::{RpcError, classify};
    use crate::http::Effect;
    use crate::trouble::Trouble;

    fn check(error: Value, effect: Effect, meaning: &str) {
        let error: RpcError = serde_json::from_value(error).unwrap();
        let found = match classify(&error, effect) {
            Trouble::Missing(_) => "missing".to_owned(),
            Trouble::Already(_) => "already".to_owned(),
            Trouble::Other(failure) => format!("{:?}", failure.class),
        };
        assert_eq!(found, meaning, "{error:?}");
    }

    fn failed(errname: &str, extra: Value) -> Value {
        json!({ "code": -32001, "message": "Method call error",
                "data": { "error": 1, "errname": errname, "reason": "said so", "extra": extra } })
    }

    #[test]
    fn every_error_has_one_meaning() {
        let act = Effect::Possible;
        check(json!({ "code": -32000, "message": "Too many concurrent calls" }), act, "Wait");
        check(json!({ "code": -32601, "message": "Method not found" }), act, "Permanent");
        check(json!({ "code": -32603, "message": "Internal error" }), act, "Ambiguous");
        check(json!({ "code": -32603, "message": "Internal error" }), Effect::None, "Retry");
        check(failed("EBUSY", Value::Null), act, "Wait");
        let mut in_use = failed("EFAULT", Value::Null);
        in_use["data"]["reason"] = json!("[EFAULT] Target volume-1 is in use.");
        check(in_use, act, "Wait");
        check(failed("ENOTEMPTY", Value::Null), act, "Wait");
        check(failed("EEXIST", Value::Null), act, "already");
        check(failed("ENOENT", Value::Null), act, "missing");
        check(failed("EACCES", Value::Null), act, "Auth");
        check(failed("ENOTAUTHENTICATED", Value::Null), act, "Auth");
        check(failed("ENOSPC", Value::Null), act, "Permanent");
        check(failed("ETIMEDOUT", Value::Null), act, "Ambiguous");
        check(failed("EFAULT", Value::Null), act, "Permanent");
    }

    #[test]
    fn validation_errors_are_read_by_their_errno() {
        let act = Effect::Possible;
        let said = |words: &str, errno: i64| json!([["sharingnfs_create.path", words, errno]]);
        check(failed("EINVAL", said("whatever", 17)), act, "already");
        check(failed("EINVAL", said("Path /mnt/x already exists", 22)), act, "already");
        check(failed("EINVAL", said("Another NFS share already exports it", 22)), act, "already");
        check(failed("EINVAL", said("whatever", 2)), act, "missing");
        check(failed("EINVAL", json!([[null, "PoolDataset x does not exist", 2]])), act, "missing");
        check(failed("EINVAL", said("has snapshots", 39)), act, "Wait");
        check(failed("EINVAL", said("size is less than current used", 22)), act, "Permanent");
        let invalid = json!({ "code": -32602, "message": "Invalid params",
                              "data": { "extra": said("Input should be greater", 22) } });
        check(invalid, act, "Permanent");
    }

    #[test]
    fn a_failed_job_names_its_error() {
        let error = RpcError::of_job("[EBUSY] dataset is busy", Value::Null);
        assert_eq!(classify(&error, Effect::Possible).failure().class, Class::Wait);
    }
}
