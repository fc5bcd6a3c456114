//! What is in a bucket: lists it and deletes it, through S3 itself, with the bucket's own key.
//!
//! Names of objects may hold anything. They are listed percent-encoded, since XML cannot hold
//! every character; they are deleted a page at a time in one XML document, but for those that XML
//! cannot hold, which are deleted one by one. A name such as `..` is no good in an address; a slash
//! in a name is sent encoded, so that `a/../b` is not taken for `b`, and signed as it is.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_xml::escape::escape;
use reqwest::{Method, StatusCode};
use sha2::{Digest, Sha256};
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::failure::{Class, Failure};

use super::classify::classify;
use super::client::Client;
use super::record::Record;
use super::sign::{Request, Signer, hex};
use super::xml::leaves;
use crate::http::{self, Effect, segment};
use crate::measured;
use crate::trouble::{Trouble, unless_missing};

/// Objects of one page; S3 allows no more, in a list or in a delete.
const PAGE: &str = "1000";
/// What a list begins with.
const LIST: &str = "<ListBucketResult";

/// A bucket, opened with its own key.
pub(super) struct Objects<'a> {
    client: &'a Client,
    record: &'a Record,
    bucket: &'a str,
}

/// What is sent.
pub(super) struct Call<'a> {
    method: Method,
    path: String,
    /// Encoded, sorted by name.
    query: String,
    body: Cow<'a, str>,
    effect: Effect,
}

impl<'a> Objects<'a> {
    pub(super) fn new(client: &'a Client, record: &'a Record, bucket: &'a str) -> Self {
        Self { client, record, bucket }
    }

    /// The first page of what there is; empty once there is nothing.
    pub(super) async fn first_page(&self) -> Result<Vec<String>, Failure> {
        let query = format!("encoding-type=url&list-type=2&max-keys={PAGE}");
        let call = self.call(Method::GET, "", query, "".into(), Effect::None);
        let Some(answer) = unless_missing(self.send(call).await)? else { return Ok(Vec::new()) };
        // A page that lists nothing does not say that there is nothing.
        if !String::from_utf8_lossy(&answer).contains(LIST) {
            return Err(http::in_front_of("S3", StatusCode::OK, Class::Retry));
        }
        let keys = leaves(&answer)?.into_iter().filter(|(path, _)| path.ends_with("Contents/Key"));
        Ok(keys.map(|(_, key)| decoded(&key)).collect())
    }

    /// Deletes these objects. Those that are gone already are no trouble.
    pub(super) async fn delete(&self, keys: &[String]) -> Result<(), Failure> {
        let (plain, odd): (Vec<_>, Vec<_>) = keys.iter().partition(|key| fits_xml(key));
        for key in odd {
            let path = format!("/{}", segment(key));
            let call = self.call(Method::DELETE, &path, String::new(), "".into(), Effect::Possible);
            unless_missing(self.send(call).await)?;
        }
        if plain.is_empty() {
            return Ok(());
        }
        let list: String = plain
            .iter()
            .map(|key| format!("<Object><Key>{}</Key></Object>", escape(*key)))
            .collect();
        let body = format!("<Delete>{list}<Quiet>true</Quiet></Delete>");
        let call = self.call(Method::POST, "", "delete=".to_owned(), body.into(), Effect::Possible);
        let answer = self.send(call).await?;
        let mut faults = leaves(&answer)?.into_iter();
        match faults.find(|(path, _)| path.ends_with("Error/Message")) {
            // Some are deleted, and what is left is seen on the next page.
            Some((_, said)) => {
                Err(Failure::new(Class::Ambiguous, "S3 could not delete every object").vendor(said))
            }
            None => Ok(()),
        }
    }

    pub(super) fn call<'b>(
        &self,
        method: Method,
        path: &str,
        query: String,
        body: Cow<'b, str>,
        effect: Effect,
    ) -> Call<'b> {
        let path = format!("/{}{path}", segment(self.bucket));
        Call { method, path, query, body, effect }
    }

    pub(super) async fn send(&self, call: Call<'_>) -> Result<Vec<u8>, Trouble> {
        let effect = call.effect;
        measured::Call::of("s3", effect).measured(self.carry(call)).await
    }

    async fn carry(&self, call: Call<'_>) -> Result<Vec<u8>, Trouble> {
        let Call { method, path, query, body, effect } = call;
        let address = &self.client.config().address;
        let digest = Sha256::digest(body.as_bytes());
        let (sha, checksum, at) = (hex(&digest), STANDARD.encode(digest), moment());
        let host = host_of(address.as_str());
        let headers = [
            ("host", host),
            ("x-amz-checksum-sha256", checksum.as_str()),
            ("x-amz-content-sha256", sha.as_str()),
            ("x-amz-date", at.as_str()),
        ];
        let signed = self.signer().map_err(Trouble::Other)?.authorization(&Request {
            method: method.as_str(),
            path: &path.replace("%2F", "/"),
            query: &query,
            headers: &headers,
            body: &sha,
            at: &at,
        });
        let url = format!("{address}{path}?{query}");
        let mut request = self.client.objects().request(method, url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let lost = |error| Trouble::Other(http::unanswered("S3", error, effect));
        let signed = http::secret_header(&signed).map_err(Trouble::Other)?;
        let request = request.header("authorization", signed);
        // What else comes with it need not be signed: the span is not.
        let answer = http::send(request.body(body.into_owned())).await.map_err(lost)?;
        let status = answer.status();
        let body = http::body("S3", answer, effect).await.map_err(Trouble::Other)?;
        if status.is_success() {
            return Ok(body);
        }
        let said = leaves(&body).unwrap_or_default();
        let text = |of: &str| said.iter().find(|(path, _)| path.ends_with(of));
        let text = |of: &str| text(of).map_or("", |(_, text)| text.as_str());
        Err(classify(status.as_u16(), text("Error/Code"), text("Error/Message"), effect))
    }

    fn signer(&self) -> Result<Signer<'_>, Failure> {
        let (id, secret) = (self.record.id()?, self.record.secret()?);
        Ok(Signer { id, secret, region: &self.client.config().region, service: "s3" })
    }
}

/// The moment, as it is signed: `20150830T123600Z`.
fn moment() -> String {
    let spelled = SystemClock.now().to_string();
    let seconds = spelled.split('.').next().unwrap_or_default();
    format!("{}Z", seconds.replace(['-', ':'], ""))
}

/// The host of an address, as it stands in the header of that name.
fn host_of(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// Whether XML holds the name as it is: some characters it cannot, others it changes.
fn fits_xml(key: &str) -> bool {
    !key.chars().any(|c| c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}'))
}

/// A name as it was listed, percent-encoded; some servers write a space as `+`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let hex = (*first == b'%').then(|| more.get(..2)).flatten();
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{decoded, fits_xml, host_of, moment};

    #[test]
    fn a_name_is_read_as_it_was_listed() {
        for (listed, name) in
            [("a%20b+c", "a b c"), ("a%2Fb%2B", "a/b+"), ("50%", "50%"), ("%0a", "\n")]
        {
            assert_eq!(decoded(listed), name);
        }
        assert!(fits_xml("../a & <b>"));
        assert!(!fits_xml("a\rb"));
    }

    #[test]
    fn what_is_signed_is_what_is_sent() {
        assert_eq!(host_of("https://s3.lan:3900/base"), "s3.lan:3900");
        let at = moment();
        assert_eq!((at.len(), at.find('T'), at.ends_with('Z')), (16, Some(8), true), "{at}");
    }
}
