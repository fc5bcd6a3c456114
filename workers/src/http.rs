//! What the HTTP vendors have in common: how a client is made, and what it means that no answer
//! came at all, or another one's. What an answer means is each vendor's own matter.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;
use stead_runtime::trace;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::trace::HEADER;

use crate::StartError;
use crate::address::HttpAddress;

/// Longer than Proxmox's own 30 seconds for a call that one node hands to another.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// The largest answer that is read; the archive of a repository is one.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// How much of a vendor's text is passed on.
const VENDOR_TEXT_MAX: usize = 400;

/// Whether a call changes something, and so whether a lost answer leaves doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It only reads.
    None,
    /// It may have been done.
    Possible,
}

impl Effect {
    /// The class of a call whose answer was lost on the way.
    pub(crate) const fn when_lost(self) -> Class {
        match self {
            Self::None => Class::Retry,
            Self::Possible => Class::Ambiguous,
        }
    }
}

/// A client for one vendor. It follows no redirects, which would carry the token elsewhere, and
/// speaks HTTP/1.1, the only version with a reason phrase.
pub(crate) fn client(
    system: &'static str,
    address: &HttpAddress,
) -> Result<reqwest::Client, StartError> {
    // Without TLS the machine's root certificates need not be there.
    let builder = if address.is_encrypted() { builder() } else { builder().tls_certs_only([]) };
    builder.build().map_err(|error| StartError::Http { system, source: Box::new(error) })
}

/// The same, for a vendor whose certificate one of these authorities alone has signed.
pub(crate) fn client_trusting(
    system: &'static str,
    authorities: &[reqwest::Certificate],
) -> Result<reqwest::Client, StartError> {
    let builder = builder().tls_certs_only(authorities.iter().cloned());
    builder.build().map_err(|error| StartError::Http { system, source: Box::new(error) })
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .http1_only()
        .connect_timeout(CONNECT_TIME_MAX)
        .timeout(ANSWER_TIME_MAX)
        .redirect(reqwest::redirect::Policy::none())
}

/// Sends a request. No vendor's client does that for itself, so that none forgets [`span`].
pub(crate) async fn send(request: RequestBuilder) -> reqwest::Result<Response> {
    let request = match span() {
        Some((name, value)) => request.header(name, value),
        None => request,
    };
    request.send().await
}

/// The header that says beneath which span a vendor works; none where nobody traces the call.
pub(crate) fn span() -> Option<(HeaderName, HeaderValue)> {
    let call = HeaderValue::try_from(trace::calling()?.to_string()).ok()?;
    Some((HeaderName::from_static(HEADER), call))
}

/// What it means that no answer came.
pub(crate) fn unanswered(vendor: &str, error: reqwest::Error, effect: Effect) -> Failure {
    if error.is_builder() {
        return Failure::new(Class::Permanent, format!("the request to {vendor} cannot be sent"))
            .vendor(root_cause(&error.without_url()));
    }
    let (class, words) = if error.is_connect() {
        (Class::VendorDown, format!("{vendor} cannot be reached"))
    } else if error.is_timeout() {
        (effect.when_lost(), format!("{vendor} did not answer in time"))
    } else {
        (effect.when_lost(), format!("{vendor} closed the connection before its answer was here"))
    };
    Failure::new(class, words).vendor(root_cause(&error.without_url()))
}

/// The body of an answer, and no more of it than anybody needs.
pub(crate) async fn body(
    vendor: &str,
    mut answer: Response,
    effect: Effect,
) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let lost = |error| unanswered(vendor, error, effect);
    while let Some(part) = answer.chunk().await.map_err(lost)? {
        bytes.extend_from_slice(&part);
        if bytes.len() > ANSWER_BYTES_MAX {
            let most = ANSWER_BYTES_MAX >> 20;
            let words = format!("what {vendor} answers is larger than {most} MiB");
            let class = if effect == Effect::None { Class::Permanent } else { Class::Ambiguous };
            return Err(Failure::new(class, words));
        }
    }
    Ok(bytes)
}

/// What a successful answer says; nothing if it is empty. What cannot be read is not taken for
/// nothing: somebody else may have answered, a proxy before the vendor, say.
pub(crate) fn json(vendor: &str, body: &[u8], effect: Effect) -> Result<Value, Failure> {
    if body.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|_| {
        let failure = Failure::new(effect.when_lost(), format!("what {vendor} answers is no JSON"));
        // A page is somebody else's; anything else may hold a token that was cut.
        match body.trim_ascii_start().starts_with(b"<") {
            true => failure.vendor(shortened(&String::from_utf8_lossy(body))),
            false => failure,
        }
    })
}

/// What an answer says, of a vendor that says everything in JSON: a success as [`json`] has it, a refusal
/// as far as it can be read. A proxy says, too, that there is no such thing, and whoever believed that
/// would take for gone what is not.
///
/// # Errors
/// As if no answer had come, if the vendor cannot have said this.
pub(crate) fn told(
    vendor: &str,
    status: StatusCode,
    body: &[u8],
    effect: Effect,
) -> Result<Value, Failure> {
    if status.is_success() {
        return json(vendor, body, effect);
    }
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    match status.as_u16() {
        404 | 410 if !said.is_object() => Err(in_front_of(vendor, status, Class::VendorDown)),
        _ => Ok(said),
    }
}

/// What it means that something else than the vendor has answered.
pub(crate) fn in_front_of(vendor: &str, status: StatusCode, class: Class) -> Failure {
    let status = status.as_u16();
    Failure::new(class, format!("something in front of {vendor} answers in its place ({status})"))
}

/// The innermost cause: `Connection refused (os error 111)`.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// A header that is never printed.
///
/// # Errors
/// If the secret holds characters that no header may; the secret is not named.
pub(crate) fn secret_header(value: &str) -> Result<HeaderValue, Failure> {
    let mut header = HeaderValue::from_str(value).map_err(|_| {
        Failure::new(Class::Auth, "the credential in Vault holds characters that no header may")
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// A vendor's text on one line and not too long.
pub(crate) fn shortened(text: &str) -> String {
    // What is no white space and cannot be seen either could move a terminal's cursor.
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(VENDOR_TEXT_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// One segment of a path: what is not plain is percent-encoded.
pub(crate) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    // A dot segment would be folded away, and with it the segment before.
    if out.bytes().all(|byte| byte == b'.') { out.replace('.', "%2E") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_not_taken_for_nothing() {
        assert_eq!(json("Coder", b" \n", Effect::None), Ok(Value::Null));
        let page = json("Coder", b"<html>Be back soon</html>", Effect::None).unwrap_err();
        assert_eq!(page.class, Class::Retry);
        assert!(page.to_string().contains("Be back soon"), "{page}");
        let half = json("Coder", br#"{"id":"#, Effect::Possible).unwrap_err();
        assert_eq!((half.class, half.vendor), (Class::Ambiguous, None));
    }

    fn check(status: StatusCode, body: &str, means: &str) {
        let found = match told("Coder", status, body.as_bytes(), Effect::Possible) {
            Ok(said) => said.to_string(),
            Err(failure) => format!("{:?}", failure.class),
        };
        assert_eq!(found, means, "{status} {body}");
    }

    #[test]
    fn a_proxy_s_page_is_no_word_of_the_vendor_s() {
        check(StatusCode::NO_CONTENT, "", "null");
        check(StatusCode::OK, r#"{"id":1}"#, r#"{"id":1}"#);
        check(StatusCode::OK, "<html>", "Ambiguous");
        check(StatusCode::NOT_FOUND, r#"{"message":"none"}"#, r#"{"message":"none"}"#);
        check(StatusCode::NOT_FOUND, "404 page not found", "VendorDown");
        check(StatusCode::NOT_FOUND, "404", "VendorDown");
        check(StatusCode::GONE, "", "VendorDown");
        check(StatusCode::BAD_GATEWAY, "<html>", "null");
        check(StatusCode::BAD_REQUEST, "<html>", "null");
    }
}
