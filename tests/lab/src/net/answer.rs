//! What a vendor answers over HTTP: status, reason phrase, headers, JSON, XML or a file.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use hyper::ext::ReasonPhrase;
use serde_json::Value;

/// An HTTP answer in the making.
pub(crate) struct Answer {
    pub(crate) status: u16,
    reason: Option<String>,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    kind: &'static str,
}

impl Answer {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self { body: Some(body.to_string().into_bytes()), ..Self::empty(status) }
    }

    pub(crate) fn xml(status: u16, body: String) -> Self {
        Self { body: Some(body.into_bytes()), kind: "application/xml", ..Self::empty(status) }
    }

    /// A file.
    pub(crate) fn bytes(kind: &'static str, body: Vec<u8>) -> Self {
        Self { body: Some(body), kind, ..Self::empty(200) }
    }

    /// What a person is to read.
    pub(crate) fn page(status: u16, kind: &'static str, text: &str) -> Self {
        Self { body: Some(text.as_bytes().to_vec()), kind, ..Self::empty(status) }
    }

    pub(crate) fn empty(status: u16) -> Self {
        let (reason, headers, body) = (None, Vec::new(), None);
        Self { status, reason, headers, body, kind: "application/json" }
    }

    /// Puts another document into it.
    pub(crate) fn body(mut self, body: Value) -> Self {
        self.body = Some(body.to_string().into_bytes());
        self
    }

    /// Puts a text where HTTP/1.1 has its reason phrase.
    pub(crate) fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What it says, if that is JSON.
    pub(crate) fn value(&self) -> Option<Value> {
        let is_json = self.kind == "application/json";
        let body = self.body.as_deref().filter(|_| is_json)?;
        serde_json::from_slice(body).ok()
    }

    pub(crate) fn into_response(self) -> Response {
        let body = self.body.map_or_else(Body::empty, Body::from);
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        // A phrase ends at the line; what does not fit into one is left out.
        let phrase = self
            .reason
            .and_then(|text| ReasonPhrase::try_from(text.replace(['\r', '\n'], " ")).ok());
        if let Some(phrase) = phrase {
            response.extensions_mut().insert(phrase);
        }
        response
    }
}
