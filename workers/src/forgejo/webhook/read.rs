//! Reads what comes in at the door for webhooks, which anybody may have written. Nothing here
//! believes it.

use axum::http::HeaderMap;
use serde::Deserialize;
use stead_schemas::site::Deployment;

/// How many bytes a signature has.
pub const SIGNATURE_BYTES: usize = 32;

/// What is read of a push.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Push {
    /// Where it went: `refs/heads/main`.
    #[serde(rename = "ref")]
    pub branch: String,
    /// What was pushed to.
    pub repository: Repository,
}

/// What is read of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Repository {
    /// With its owner: `platform/templates`.
    pub full_name: String,
}

impl Push {
    /// Whether the templates of this deployment are made of what was pushed.
    #[must_use]
    pub fn is_about(&self, deployment: &Deployment) -> bool {
        let branch = self.branch.strip_prefix("refs/heads/");
        branch == Some(&deployment.branch)
            && self.repository.full_name.eq_ignore_ascii_case(&deployment.repository)
    }
}

/// Reads the body of a push.
#[must_use]
pub fn push(body: &[u8]) -> Option<Push> {
    serde_json::from_slice(body).ok()
}

/// Whether it says that it is of a push.
#[must_use]
pub fn is_push(headers: &HeaderMap) -> bool {
    either(headers, "event") == Some("push")
}

/// The signature, if there is a whole one. Forgejo sends an empty one where it has no key.
#[must_use]
pub fn signature(headers: &HeaderMap) -> Option<[u8; SIGNATURE_BYTES]> {
    let github = || headers.get("x-hub-signature-256")?.to_str().ok()?.strip_prefix("sha256=");
    from_hex(either(headers, "signature").or_else(github)?)
}

/// The header of this name, as Forgejo or its ancestor calls it.
fn either<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut names = ["forgejo", "gitea"].into_iter().map(|of| format!("x-{of}-{name}"));
    names.find_map(|name| headers.get(name)).and_then(|value| value.to_str().ok())
}

fn from_hex(text: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    let digits = text.as_bytes();
    if digits.len() != SIGNATURE_BYTES * 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; SIGNATURE_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
