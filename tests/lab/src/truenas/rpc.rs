//! JSON-RPC errors as the middleware shapes them.

use serde_json::{Value, json};

/// Why a call failed.
#[derive(Clone, Debug)]
pub(super) enum RpcError {
    /// The envelope or the parameters are wrong: `[attribute, message, errno]` each.
    Invalid(Vec<(Option<String>, String, i32)>),
    /// The call was understood and failed.
    Call { errno: i32, text: String },
    /// More calls in flight than one connection may have.
    TooMany,
    /// No such method.
    NoMethod,
    /// Not a JSON-RPC 2.0 request.
    Malformed(&'static str),
}

pub(super) const ENOENT: i32 = 2;
pub(super) const EAGAIN: i32 = 11;
pub(super) const EBUSY: i32 = 16;
pub(super) const EEXIST: i32 = 17;
pub(super) const EINVAL: i32 = 22;
pub(super) const ENOSPC: i32 = 28;
pub(super) const ENOTEMPTY: i32 = 39;
pub(super) const EFAULT: i32 = 14;
/// TrueNAS's own.
pub(super) const ENOTAUTHENTICATED: i32 = 207;

fn name(errno: i32) -> &'static str {
    match errno {
        ENOENT => "ENOENT",
        EAGAIN => "EAGAIN",
        EBUSY => "EBUSY",
        EEXIST => "EEXIST",
        EINVAL => "EINVAL",
        ENOSPC => "ENOSPC",
        ENOTEMPTY => "ENOTEMPTY",
        EFAULT => "EFAULT",
        ENOTAUTHENTICATED => "ENOTAUTHENTICATED",
        _ => "EUNKNOWN",
    }
}

impl RpcError {
    pub(super) fn call(errno: i32, text: impl Into<String>) -> Self {
        Self::Call { errno, text: text.into() }
    }

    /// One wrong field.
    pub(super) fn field(attribute: &str, text: impl Into<String>, errno: i32) -> Self {
        Self::Invalid(vec![(Some(attribute.to_owned()), text.into(), errno)])
    }

    /// Something that was asked for by its id and is not there.
    pub(super) fn missing(what: &str, id: &str) -> Self {
        Self::Invalid(vec![(None, format!("{what} {id} does not exist"), ENOENT)])
    }

    pub(super) fn code(&self) -> i32 {
        match self {
            Self::Invalid(_) => -32602,
            Self::Call { .. } => -32001,
            Self::TooMany => -32000,
            Self::NoMethod => -32601,
            Self::Malformed(_) => -32600,
        }
    }

    /// The `error` member.
    pub(super) fn body(&self) -> Value {
        let (message, data) = match self {
            Self::Invalid(fields) => ("Invalid params", invalid(fields)),
            Self::Call { errno, text } => {
                let reason = format!("[{}] {text}", name(*errno));
                ("Method call error", data(*errno, &reason, "CallError", Value::Null))
            }
            Self::TooMany => ("Maximum number of concurrent calls (20) has exceeded", Value::Null),
            Self::NoMethod => (
                "Method does not exist",
                data(ENOENT, "Method does not exist", "CallError", Value::Null),
            ),
            Self::Malformed(why) => (*why, Value::Null),
        };
        let mut body = json!({ "code": self.code(), "message": message });
        if !data.is_null() {
            body["data"] = data;
        }
        body
    }

    /// What a job's record says: the text and `exc_info`.
    pub(super) fn of_job(&self) -> (String, Value) {
        let body = self.body();
        let text = body["data"]["reason"].as_str().unwrap_or_default().to_owned();
        let info = json!({
            "type": body["data"]["trace"]["class"], "errno": body["data"]["error"],
            "extra": body["data"]["extra"], "repr": body["data"]["trace"]["repr"],
        });
        (text, info)
    }
}

fn invalid(fields: &[(Option<String>, String, i32)]) -> Value {
    let lines: Vec<String> = fields
        .iter()
        .map(|(field, text, errno)| {
            format!("[{}] {}: {text}", name(*errno), field.as_deref().unwrap_or("None"))
        })
        .collect();
    let extra: Vec<Value> =
        fields.iter().map(|(field, text, errno)| json!([field, text, errno])).collect();
    data(EINVAL, &lines.join("\n"), "ValidationErrors", Value::from(extra))
}

fn data(errno: i32, reason: &str, class: &str, extra: Value) -> Value {
    json!({
        "error": errno,
        "errname": name(errno),
        "reason": reason,
        "trace": {
            "class": class,
            "frames": [],
            "formatted": format!("Traceback (most recent call last):\n{class}: {reason}\n"),
            "repr": format!("{class}({reason:?})"),
        },
        "extra": extra,
    })
}
