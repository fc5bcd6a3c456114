//! What happened: every vendor call, and every effect it had. Append-only until cleared.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many calls are kept; a lab that runs for days forgets the oldest.
const REQUESTS_MAX: usize = 50_000;

/// The longest answer that is kept, in bytes.
const ANSWER_MAX: usize = 256 << 10;

/// One call that reached a vendor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedRequest {
    /// `vault`, `truenas`, `proxmox`, ...
    pub vendor: String,
    /// HTTP method; `CALL` for JSON-RPC.
    pub method: String,
    /// Path, or the JSON-RPC method.
    pub path: String,
    /// Query parameters as an object of strings.
    pub query: Value,
    /// The body; the positional parameters of JSON-RPC; `null` if there was none.
    pub body: Value,
    /// HTTP status or JSON-RPC error code; 200 for a JSON-RPC result, 0 if no answer was sent.
    pub status: i32,
    /// The header `traceparent`, if there was one; JSON-RPC has none for a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// What was answered, if it was JSON, the lab keeps answers ([`LabOptions`]), and this one is not
    /// too long. Of JSON-RPC only a result.
    ///
    /// [`LabOptions`]: crate::LabOptions
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
}

/// One change made in a vendor's world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Whose world.
    pub vendor: String,
    /// `vm-cloned`, `dataset-created`, ...
    pub kind: String,
    /// The VMID, dataset, share path or workspace.
    pub subject: String,
    /// The owner's mark on it, as far as there is one.
    pub marker: String,
}

/// Calls and effects, oldest first.
#[derive(Default)]
pub(crate) struct Journal {
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    requests: VecDeque<RecordedRequest>,
    /// How many calls there were before the first that is kept.
    forgotten: usize,
    effects: Vec<Effect>,
}

impl Journal {
    pub(crate) fn request(&self, request: RecordedRequest) {
        let mut pages = self.pages();
        if pages.requests.len() == REQUESTS_MAX {
            pages.requests.pop_front();
            pages.forgotten += 1;
        }
        pages.requests.push_back(request);
    }

    pub(crate) fn effect(&self, vendor: &str, kind: &str, subject: &str, marker: &str) {
        tracing::debug!(vendor, kind, subject, "lab effect");
        self.pages().effects.push(Effect {
            vendor: vendor.to_owned(),
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            marker: marker.to_owned(),
        });
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        self.pages().requests.iter().cloned().collect()
    }

    /// The calls after the first `seen` of all.
    pub(crate) fn requests_after(&self, seen: usize) -> Vec<RecordedRequest> {
        let pages = self.pages();
        let unseen = seen.saturating_sub(pages.forgotten);
        pages.requests.iter().skip(unseen).cloned().collect()
    }

    pub(crate) fn was_told(&self, vendor: &str, trace: &str) -> bool {
        let is_it = |request: &RecordedRequest| {
            request.vendor == vendor && request.trace.as_deref() == Some(trace)
        };
        // Mostly it was only just now.
        self.pages().requests.iter().rev().any(is_it)
    }

    pub(crate) fn effects(&self) -> Vec<Effect> {
        self.pages().effects.clone()
    }

    pub(crate) fn clear_requests(&self) {
        let mut pages = self.pages();
        pages.forgotten += pages.requests.len();
        pages.requests.clear();
    }

    pub(crate) fn clear(&self) {
        self.clear_requests();
        self.pages().effects.clear();
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer for the journal, without the secrets.
pub(crate) fn kept(answer: &Value, secrets: &[String]) -> Option<Value> {
    let kept = redacted(answer, secrets);
    (kept.to_string().len() <= ANSWER_MAX).then_some(kept)
}

/// A copy of `value` in which every known secret is blotted out.
pub(crate) fn redacted(value: &Value, secrets: &[String]) -> Value {
    match value {
        Value::String(text) if secrets.iter().any(|secret| text.contains(secret)) => {
            Value::from("<secret>")
        }
        Value::Array(items) => items.iter().map(|item| redacted(item, secrets)).collect(),
        Value::Object(fields) => {
            let blot = |(name, field): (&String, &Value)| (name.clone(), redacted(field, secrets));
            Value::Object(fields.iter().map(blot).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
