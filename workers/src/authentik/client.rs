//! Speaks to Authentik's API.

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use stead_schemas::failure::{Class, Failure};

use super::Config;
use super::classify::classify;
use crate::StartError;
use crate::http::{self, Effect};
use crate::measured::Call;
use crate::trouble::{Trouble, unless_missing};
use crate::vault::Secrets;

/// One Authentik, before a login is chosen.
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
        let http = http::client("authentik", &config.address)?;
        let base = format!("{}/api/v3", config.address);
        Ok(Self { shared: Arc::new(Shared { http, base, secrets }) })
    }

    /// Authentik, with the API token that this reference leads to.
    pub(super) async fn open(&self, login: &str) -> Result<Authentik, Failure> {
        let secret = self.shared.secrets.read(login).await?;
        let token = http::secret_header(&format!("Bearer {}", secret.field("token")?))?;
        Ok(Authentik { shared: self.shared.clone(), token })
    }
}

/// Authentik, logged in.
pub(super) struct Authentik {
    shared: Arc<Shared>,
    token: HeaderValue,
}

/// One page of users.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) pagination: Pagination,
    pub(super) results: Vec<Account>,
}

/// Where a page is among the others.
#[derive(Debug, Deserialize)]
pub(super) struct Pagination {
    /// The number of the next page; 0 if there is none.
    pub(super) next: u32,
    /// How many things there are on all pages.
    pub(super) count: u64,
}

/// What we read of a user.
#[derive(Debug, Deserialize)]
pub(super) struct Account {
    pub(super) uuid: String,
    pub(super) username: String,
    /// Its absence is no statement that somebody is disabled, but an answer that we do not know.
    pub(super) is_active: bool,
    /// Nothing where they were not asked for.
    #[serde(default)]
    pub(super) groups_obj: Option<Vec<Group>>,
}

/// What we read of a group.
#[derive(Debug, Deserialize)]
pub(super) struct Group {
    pub(super) name: String,
}

impl Authentik {
    /// One page of users; nothing if there is no such page, or not any more.
    pub(super) async fn users(&self, query: &[(&str, &str)]) -> Result<Option<Page>, Failure> {
        let url = format!("{}/core/users/", self.shared.base);
        let request = self.shared.http.get(url).header(AUTHORIZATION, self.token.clone());
        let request = request.query(&[("include_roles", "false")]).query(query);
        unless_missing(Call::of("authentik", Effect::None).measured(page(request)).await)
    }
}

async fn page(request: reqwest::RequestBuilder) -> Result<Page, Trouble> {
    let lost = |error| Trouble::Other(http::unanswered("Authentik", error, Effect::None));
    let answer = http::send(request).await.map_err(lost)?;
    let status = answer.status();
    let body = http::body("Authentik", answer, Effect::None).await.map_err(Trouble::Other)?;
    if !status.is_success() {
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        return Err(classify(status.as_u16(), &words(&said)));
    }
    let said = http::json("Authentik", &body, Effect::None).map_err(Trouble::Other)?;
    serde_json::from_value(said).map_err(|error| {
        let words = "Authentik answers something else than a page of users; compare its address";
        Trouble::new(Class::Permanent, words).vendor(&error.to_string())
    })
}

/// `{"detail": ..}`, or a list for each parameter that it does not like.
fn words(said: &Value) -> String {
    match said.get("detail").and_then(Value::as_str) {
        Some(detail) => detail.to_owned(),
        None if said.is_null() => String::new(),
        None => said.to_string(),
    }
}
