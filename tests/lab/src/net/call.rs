//! An HTTP call as a vendor sees it: method, decoded path, query, body.

use axum::extract::{FromRequest, Query, Request};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::{Form, body};
use serde_json::{Map, Value};

use super::multipart::{Part, parts};

/// More than any vendor takes; keeps a runaway client from filling the memory.
const BODY_MAX: usize = 4 << 20;

/// One HTTP call.
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Map<String, Value>,
    pub(crate) payload: Payload,
    /// The query as it was sent.
    pub(crate) raw_query: String,
    /// The body as it was sent.
    pub(crate) raw_body: body::Bytes,
    headers: HeaderMap,
}

/// The body of a call.
pub(crate) enum Payload {
    /// There was none.
    Empty,
    /// JSON, or a form with every value a string.
    Fields(Map<String, Value>),
    /// Something else.
    Unreadable,
}

impl Call {
    pub(crate) async fn read(request: Request) -> Self {
        let (parts, body) = request.into_parts();
        let query = pairs(&parts.uri);
        let bytes = body::to_bytes(body, BODY_MAX).await;
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().to_owned();
        let is_form = kind.starts_with("application/x-www-form-urlencoded");
        let raw_body = bytes.as_ref().cloned().unwrap_or_default();
        let payload = match bytes {
            Err(_) => Payload::Unreadable,
            Ok(bytes) if bytes.is_empty() => Payload::Empty,
            Ok(bytes) if is_form => form(bytes).await,
            Ok(bytes) if kind.starts_with("multipart/form-data") => with_file(&kind, &bytes),
            Ok(bytes) => json(&bytes),
        };
        Self {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            raw_query: parts.uri.query().unwrap_or_default().to_owned(),
            raw_body,
            query,
            payload,
            headers: parts.headers,
        }
    }

    /// The path's segments below `prefix`, percent-decoded; `None` if it is not below.
    pub(crate) fn segments(&self, prefix: &str) -> Option<Vec<String>> {
        let rest = self.path.strip_prefix(prefix)?;
        Some(rest.split('/').filter(|part| !part.is_empty()).map(decoded).collect())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).and_then(Value::as_str)
    }

    /// The body's fields; none if there is no readable body.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        match &self.payload {
            Payload::Fields(fields) => fields.clone(),
            Payload::Empty | Payload::Unreadable => Map::new(),
        }
    }

    /// A text field of the body.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match &self.payload {
            Payload::Fields(fields) => fields.get(name).and_then(Value::as_str),
            Payload::Empty | Payload::Unreadable => None,
        }
    }

    /// The parts of a form with a file.
    pub(crate) fn parts(&self) -> Vec<Part> {
        parts(self.header("content-type").unwrap_or_default(), &self.raw_body)
    }

    /// The body for the journal.
    pub(crate) fn body(&self) -> Value {
        match &self.payload {
            Payload::Fields(fields) => Value::Object(fields.clone()),
            Payload::Empty => Value::Null,
            Payload::Unreadable => Value::from("<unreadable>"),
        }
    }
}

fn pairs(uri: &Uri) -> Map<String, Value> {
    Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map(|Query(pairs)| fields(pairs))
        .unwrap_or_default()
}

fn fields(pairs: Vec<(String, String)>) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name, Value::from(value))).collect()
}

/// A file is shown by its name only.
fn with_file(kind: &str, bytes: &[u8]) -> Payload {
    let shown = |part: Part| {
        let text = part.file.unwrap_or_else(|| String::from_utf8_lossy(&part.body).into_owned());
        (part.name, text)
    };
    Payload::Fields(fields(parts(kind, bytes).into_iter().map(shown).collect()))
}

async fn form(bytes: body::Bytes) -> Payload {
    let mut request = Request::new(body::Body::from(bytes));
    *request.method_mut() = Method::POST;
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(header::CONTENT_TYPE, kind);
    match Form::<Vec<(String, String)>>::from_request(request, &()).await {
        Ok(Form(pairs)) => Payload::Fields(fields(pairs)),
        Err(_) => Payload::Unreadable,
    }
}

fn json(bytes: &[u8]) -> Payload {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => Payload::Fields(fields),
        // Some clients send `null` where they mean nothing.
        Ok(Value::Null) => Payload::Empty,
        Ok(_) | Err(_) => Payload::Unreadable,
    }
}

/// Percent-decoding; what is not valid stays as it is.
pub(crate) fn decoded(part: &str) -> String {
    let bytes = part.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| part.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn a_upid_survives_percent_encoding() {
        assert_eq!(decoded("UPID%3Apve1%3A0000%21x"), "UPID:pve1:0000!x");
        assert_eq!(decoded("100%"), "100%");
    }
}
