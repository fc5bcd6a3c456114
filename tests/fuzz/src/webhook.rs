//! What the door for webhooks is told over HTTP: lines with headers, an empty one, and then the body.

use http::{HeaderMap, HeaderName, HeaderValue};
use stead_schemas::site::Deployment;
use stead_workers::forgejo::webhook::read::{is_push, push, signature};

/// Tries one input.
pub fn target(bytes: &[u8]) {
    let (head, body) = match bytes.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&bytes[..at], &bytes[at + 2..]),
        None => (bytes, &b""[..]),
    };
    let headers: HeaderMap = head.split(|byte| *byte == b'\n').filter_map(header).collect();
    if let Some(signature) = signature(&headers) {
        let spelt: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        let given = |value: &HeaderValue| {
            value.to_str().is_ok_and(|text| text.to_ascii_lowercase().ends_with(&spelt))
        };
        assert!(headers.values().any(given));
    }
    if is_push(&headers) {
        assert!(headers.values().any(|value| value == "push"));
    }
    let Some(push) = push(body) else { return };
    let deployment = |branch: &str| Deployment {
        template: "stead-machine".to_owned(),
        repository: push.repository.full_name.clone(),
        branch: branch.to_owned(),
        path: String::new(),
        variables: Default::default(),
        poll: None,
    };
    let branch = push.branch.strip_prefix("refs/heads/");
    assert_eq!(push.is_about(&deployment(branch.unwrap_or(&push.branch))), branch.is_some());
    assert!(!push.is_about(&deployment(&format!("{}-", push.branch))));
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let at = line.iter().position(|byte| *byte == b':')?;
    let value = line[at + 1..].trim_ascii();
    Some((HeaderName::from_bytes(&line[..at]).ok()?, HeaderValue::from_bytes(value).ok()?))
}
