//! Speaks to Forgejo's API.

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::forgejo::Repository;

use super::Config;
use super::classify::classify;
use crate::StartError;
use crate::http::{self, Effect, segment};
use crate::measured::Call;
use crate::trouble::{Trouble, unless_missing};
use crate::vault::Secrets;

/// What a file that was packed with gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// One Forgejo, before a login is chosen.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    http: reqwest::Client,
    base: String,
    secrets: Secrets,
}

impl Client {
    /// A client that connects when it is first used.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(config: &Config, secrets: Secrets) -> Result<Self, StartError> {
        let http = http::client("forgejo", &config.address)?;
        let base = format!("{}/api/v1/repos", config.address);
        Ok(Self { shared: Arc::new(Shared { http, base, secrets }) })
    }

    /// This repository, with the access token that its login refers to.
    pub(super) async fn open(&self, place: &Repository) -> Result<Forgejo, Failure> {
        let Some((owner, name)) = place.repository.split_once('/') else {
            let words = format!("`{}` is no repository; one is owner/name", place.repository);
            return Err(Failure::new(Class::Permanent, words));
        };
        Ok(self.log_in(&place.login).await?.at(&segment(owner), &segment(name)))
    }

    /// All repositories, with the access token that the login refers to.
    pub(super) async fn log_in(&self, login: &str) -> Result<Forgejo, Failure> {
        let secret = self.shared.secrets.read(login).await?;
        let token = http::secret_header(&format!("token {}", secret.field("token")?))?;
        Ok(Forgejo { shared: self.shared.clone(), base: self.shared.base.clone(), token })
    }

    /// Everything that a repository holds at a commit, packed as tar and gzip.
    ///
    /// # Errors
    /// If there is no such commit, it is too large, or Forgejo does not answer.
    pub(crate) async fn archive(
        &self,
        place: &Repository,
        commit: &str,
    ) -> Result<Vec<u8>, Failure> {
        let forgejo = self.open(place).await?;
        let path = format!("/archive/{}.tar.gz", segment(commit));
        let request = forgejo.request(Method::GET, &path);
        match Call::of("forgejo", Effect::None).measured(file(request)).await {
            Ok(bytes) => Ok(bytes),
            Err(Trouble::Missing(said)) => {
                let words = format!("{} has no commit {commit}", place.repository);
                Err(Failure { words, ..said })
            }
            Err(trouble) => Err(trouble.into()),
        }
    }

    pub(super) fn secrets(&self) -> &Secrets {
        &self.shared.secrets
    }
}

/// A repository of Forgejo's, or all of them.
pub(super) struct Forgejo {
    shared: Arc<Shared>,
    base: String,
    token: HeaderValue,
}

impl Forgejo {
    /// One of all repositories, by the segments of its path.
    pub(super) fn at(&self, owner: &str, name: &str) -> Self {
        let (shared, token) = (self.shared.clone(), self.token.clone());
        Self { base: format!("{}/{owner}/{name}", self.shared.base), shared, token }
    }

    /// Reads something that may be missing.
    pub(super) async fn look(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<Value>, Failure> {
        unless_missing(self.get(path, query).await)
    }

    /// Reads something, and says what it means if that is refused.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Trouble> {
        self.send(self.request(Method::GET, path).query(query), Effect::None).await
    }

    /// Asks for something to be made.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Trouble> {
        self.send(self.request(Method::POST, path).json(body), Effect::Possible).await
    }

    /// Puts something in its place.
    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<Value, Trouble> {
        self.send(self.request(Method::PUT, path).json(body), Effect::Possible).await
    }

    /// Takes something away.
    pub(super) async fn delete(&self, path: &str) -> Result<Value, Trouble> {
        self.send(self.request(Method::DELETE, path), Effect::Possible).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.base);
        self.shared.http.request(method, url).header(AUTHORIZATION, self.token.clone())
    }

    async fn send(&self, request: RequestBuilder, effect: Effect) -> Result<Value, Trouble> {
        Call::of("forgejo", effect).measured(call(request, effect)).await
    }
}

async fn call(request: RequestBuilder, effect: Effect) -> Result<Value, Trouble> {
    let lost = |error| Trouble::Other(http::unanswered("Forgejo", error, effect));
    let answer = http::send(request).await.map_err(lost)?;
    let status = answer.status();
    let body = http::body("Forgejo", answer, effect).await.map_err(Trouble::Other)?;
    let body = told(status, &body, effect)?;
    match status.is_success() {
        true => Ok(body),
        false => Err(refused(status, &body, effect)),
    }
}

/// Reads a file, and no more of it than anybody needs.
async fn file(request: RequestBuilder) -> Result<Vec<u8>, Trouble> {
    let lost = |error| Trouble::Other(http::unanswered("Forgejo", error, Effect::None));
    let answer = http::send(request).await.map_err(lost)?;
    let status = answer.status();
    let bytes = http::body("Forgejo", answer, Effect::None).await.map_err(|failure| {
        let words = format!("{} (the archive of the repository)", failure.words);
        Trouble::Other(Failure { words, ..failure })
    })?;
    if status.is_success() && bytes.starts_with(&GZIP) {
        return Ok(bytes);
    }
    let body = told(status, &bytes, Effect::None)?;
    match status.is_success() {
        true => Err(Trouble::new(Class::Permanent, "Forgejo answers something else than a file")),
        false => Err(refused(status, &body, Effect::None)),
    }
}

fn told(status: StatusCode, body: &[u8], effect: Effect) -> Result<Value, Trouble> {
    http::told("Forgejo", status, body, effect).map_err(Trouble::Other)
}

fn refused(status: StatusCode, body: &Value, effect: Effect) -> Trouble {
    classify(status.as_u16(), body["message"].as_str().unwrap_or_default(), effect)
}
