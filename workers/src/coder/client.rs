//! Speaks to Coder's API.

use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use stead_schemas::failure::{Class, Failure};

use super::Config;
use super::classify::classify;
use crate::StartError;
use crate::forgejo;
use crate::http::{self, Effect};
use crate::measured::Call;
use crate::trouble::{Trouble, unless_missing};
use crate::vault::Secrets;

const TOKEN: HeaderName = HeaderName::from_static("coder-session-token");

/// One Coder, before a login is chosen.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    http: reqwest::Client,
    base: String,
    secrets: Secrets,
    forgejo: Option<forgejo::Client>,
}

impl Client {
    /// A client that connects when it is first used. What templates are made of comes from
    /// Forgejo, where the site has it.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(
        config: &Config,
        secrets: Secrets,
        forgejo: Option<forgejo::Client>,
    ) -> Result<Self, StartError> {
        let http = http::client("coder", &config.address)?;
        let base = format!("{}/api/v2", config.address);
        Ok(Self { shared: Arc::new(Shared { http, base, secrets, forgejo }) })
    }

    /// The same Coder, with the session token that `login` refers to.
    pub(super) async fn log_in(&self, login: &str) -> Result<Coder, Failure> {
        let secret = self.shared.secrets.read(login).await?;
        let token = http::secret_header(secret.field("token")?)?;
        Ok(Coder { shared: self.shared.clone(), token })
    }

    pub(super) fn secrets(&self) -> &Secrets {
        &self.shared.secrets
    }

    pub(super) fn forgejo(&self) -> Result<&forgejo::Client, Failure> {
        self.shared.forgejo.as_ref().ok_or_else(|| {
            let words = "the workers for Coder know no Forgejo; write a [forgejo] section for them";
            Failure::new(Class::Permanent, words)
        })
    }
}

/// Coder, as one user.
pub(super) struct Coder {
    shared: Arc<Shared>,
    token: HeaderValue,
}

impl Coder {
    /// The id of our token.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.token.to_str().ok()?.split_once('-').map(|(id, _)| id)
    }

    /// Reads something that may be missing.
    pub(super) async fn look(&self, path: &str) -> Result<Option<Value>, Failure> {
        unless_missing(self.send(Method::GET, path, None).await)
    }

    /// Asks for a change.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Trouble> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Gives Coder a file in the format of tar.
    pub(super) async fn upload(&self, tar: Vec<u8>) -> Result<Value, Trouble> {
        let request = self.request(Method::POST, "/files");
        let request = request.header(CONTENT_TYPE, "application/x-tar").body(tar);
        let effect = Effect::Possible;
        Call::of("coder", effect).measured(call(request, effect)).await
    }

    /// Sends a request and says what its answer means.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Trouble> {
        let effect = if method == Method::GET { Effect::None } else { Effect::Possible };
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        Call::of("coder", effect).measured(call(request, effect)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.shared.base);
        self.shared.http.request(method, url).header(TOKEN, self.token.clone())
    }
}

async fn call(request: RequestBuilder, effect: Effect) -> Result<Value, Trouble> {
    let lost = |error| Trouble::Other(http::unanswered("Coder", error, effect));
    let answer = http::send(request).await.map_err(lost)?;
    let status = answer.status();
    let body = http::body("Coder", answer, effect).await.map_err(Trouble::Other)?;
    let body = http::told("Coder", status, &body, effect).map_err(Trouble::Other)?;
    if status.is_success() {
        return Ok(body);
    }
    Err(classify(status.as_u16(), &said(&body), effect))
}

/// Coder's words: a message and perhaps a detail, and which fields were faulty.
fn said(body: &Value) -> String {
    let faults = body["validations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let faults = faults.iter().flat_map(|fault| [&fault["field"], &fault["detail"]]);
    let texts = [&body["message"], &body["detail"]].into_iter().chain(faults);
    texts.filter_map(Value::as_str).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}
