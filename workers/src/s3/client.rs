//! Speaks to Garage's administration API.

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use stead_schemas::failure::{Class, Failure};

use super::Config;
use super::classify::classify;
use crate::StartError;
use crate::http::{self, Effect};
use crate::measured::Call;
use crate::trouble::{Trouble, unless_missing};
use crate::vault::Secrets;

/// One Garage, before a login is chosen.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    http: reqwest::Client,
    /// Its own client, since it may be reached with TLS where the other is not.
    objects: reqwest::Client,
    config: Config,
    secrets: Secrets,
}

impl Client {
    /// A client that connects when it is first used.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(config: &Config, secrets: Secrets) -> Result<Self, StartError> {
        let http = http::client("s3", config.admin.as_ref().unwrap_or(&config.address))?;
        let objects = http::client("s3", &config.address)?;
        let config = config.clone();
        Ok(Self { shared: Arc::new(Shared { http, objects, config, secrets }) })
    }

    /// The same Garage, with the administrator's token that `login` refers to.
    pub(super) async fn log_in(&self, login: &str) -> Result<Garage, Failure> {
        let secret = self.shared.secrets.read(login).await?;
        let token = http::secret_header(&format!("Bearer {}", secret.field("token")?))?;
        let admin = self.shared.config.admin.as_ref().ok_or_else(|| {
            let words = "the workers for S3 know no administration of Garage's; write s3.admin";
            Failure::new(Class::Permanent, words)
        })?;
        Ok(Garage { shared: self.shared.clone(), base: admin.to_string(), token })
    }

    pub(super) fn secrets(&self) -> &Secrets {
        &self.shared.secrets
    }

    pub(super) fn config(&self) -> &Config {
        &self.shared.config
    }

    pub(super) fn objects(&self) -> &reqwest::Client {
        &self.shared.objects
    }
}

/// Garage, as its administrator.
pub(super) struct Garage {
    shared: Arc<Shared>,
    base: String,
    token: HeaderValue,
}

impl Garage {
    /// Reads something that may be missing.
    pub(super) async fn look(
        &self,
        call: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<Value>, Failure> {
        let request = self.request(Method::GET, call).query(query);
        unless_missing(self.send(request, Effect::None).await)
    }

    /// Asks for a change.
    pub(super) async fn post(
        &self,
        call: &str,
        query: &[(&str, &str)],
        body: &Value,
    ) -> Result<Value, Trouble> {
        let request = self.request(Method::POST, call).query(query).json(body);
        self.send(request, Effect::Possible).await
    }

    fn request(&self, method: Method, call: &str) -> RequestBuilder {
        let url = format!("{}/v2/{call}", self.base);
        self.shared.http.request(method, url).header(AUTHORIZATION, self.token.clone())
    }

    async fn send(&self, request: RequestBuilder, effect: Effect) -> Result<Value, Trouble> {
        Call::of("s3", effect).measured(call(request, effect)).await
    }
}

async fn call(request: RequestBuilder, effect: Effect) -> Result<Value, Trouble> {
    let lost = |error| Trouble::Other(http::unanswered("Garage", error, effect));
    let answer = http::send(request).await.map_err(lost)?;
    let status = answer.status();
    let body = http::body("Garage", answer, effect).await.map_err(Trouble::Other)?;
    let body = http::told("Garage", status, &body, effect).map_err(Trouble::Other)?;
    if status.is_success() {
        return Ok(body);
    }
    let text = |field: &str| body[field].as_str().unwrap_or_default();
    Err(classify(status.as_u16(), text("code"), text("message"), effect))
}
