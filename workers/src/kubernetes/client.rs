//! Speaks to Kubernetes' API, and to the registry.

use std::path::Path;
use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use stead_schemas::failure::Failure;

use super::Config;
use super::classify::classify;
use super::manifest::Kind;
use crate::StartError;
use crate::http::{self, Effect, segment};
use crate::measured::Call;
use crate::trouble::{Trouble, unless_missing};
use crate::vault::Secrets;

/// Who owns the fields that we set.
const MANAGER: &str = "stead";

/// One cluster and its registry, before a login is chosen.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    http: reqwest::Client,
    base: String,
    registry: reqwest::Client,
    registry_base: String,
    secrets: Secrets,
}

/// Whether what is applied is applied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Apply {
    /// It is, but for what others own.
    Gently,
    /// It is, and taken from others.
    ByForce,
}

impl Client {
    /// A client that connects when it is first used.
    ///
    /// # Errors
    /// If TLS cannot be set up, or the authority's certificate not be read.
    pub fn new(config: &Config, secrets: Secrets) -> Result<Self, StartError> {
        let http = match &config.ca {
            None => http::client("kubernetes", &config.address)?,
            Some(file) => http::client_trusting("kubernetes", &certificates(file)?)?,
        };
        let registry = http::client("kubernetes", &config.registry)?;
        let (base, registry_base) = (config.address.to_string(), config.registry.to_string());
        let shared = Shared { http, base, registry, registry_base, secrets };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// This namespace, with the token that the login refers to.
    pub(super) async fn open(&self, login: &str, namespace: &str) -> Result<Kubernetes, Failure> {
        let secret = self.shared.secrets.read(login).await?;
        let token = http::secret_header(&format!("Bearer {}", secret.field("token")?))?;
        let (shared, namespace) = (self.shared.clone(), namespace.to_owned());
        Ok(Kubernetes { shared, namespace, token })
    }

    pub(super) fn secrets(&self) -> &Secrets {
        &self.shared.secrets
    }

    /// The registry's address, and a request to it.
    pub(super) fn registry(&self, path: &str) -> (&str, RequestBuilder) {
        let base = self.shared.registry_base.as_str();
        (base, self.shared.registry.head(format!("{base}{path}")))
    }
}

fn certificates(file: &Path) -> Result<Vec<reqwest::Certificate>, StartError> {
    let failed = |source| StartError::Http { system: "kubernetes", source };
    let pem = std::fs::read(file).map_err(|error| failed(Box::new(error)))?;
    reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| failed(Box::new(error)))
}

/// A namespace of Kubernetes'.
pub(super) struct Kubernetes {
    shared: Arc<Shared>,
    namespace: String,
    token: HeaderValue,
}

impl Kubernetes {
    /// Looks for an object of a server.
    pub(super) async fn look(&self, kind: Kind, name: &str) -> Result<Option<Value>, Failure> {
        self.look_at(kind.base(), name).await
    }

    /// Looks for an object: of `jobs`, the one of this name.
    pub(super) async fn look_at(
        &self,
        base: (&str, &str),
        name: &str,
    ) -> Result<Option<Value>, Failure> {
        let request = self.request(Method::GET, &self.path(base, Some(name)));
        unless_missing(self.send(request, Effect::None).await)
    }

    /// Makes an object, unless there is one of its name.
    pub(super) async fn create(&self, base: (&str, &str), object: &Value) -> Result<(), Failure> {
        let strictly = [("fieldManager", MANAGER), ("fieldValidation", "Strict")];
        let request = self.request(Method::POST, &self.path(base, None)).query(&strictly);
        match self.send(request.json(object), Effect::Possible).await {
            Ok(_) | Err(Trouble::Already(_)) => Ok(()),
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// The last lines that a pod has written.
    pub(super) async fn log(&self, pod: &str, lines: &str) -> Result<String, Failure> {
        let path = format!("{}/log", self.path(("api/v1", "pods"), Some(pod)));
        let request = self.request(Method::GET, &path).query(&[("tailLines", lines)]);
        let said = Call::of("kubernetes", Effect::None).measured(read(request, Effect::None));
        Ok(String::from_utf8_lossy(&said.await?).into_owned())
    }

    /// Lists objects: `deployments`, `pods`.
    pub(super) async fn list(
        &self,
        base: (&str, &str),
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, Failure> {
        Ok(self.page(base, query).await?.0)
    }

    /// The same, and Kubernetes' word for where the rest begins, if there is more.
    pub(super) async fn page(
        &self,
        base: (&str, &str),
        query: &[(&str, &str)],
    ) -> Result<(Vec<Value>, Option<String>), Failure> {
        let request = self.request(Method::GET, &self.path(base, None)).query(query);
        let mut listed = self.send(request, Effect::None).await?;
        let rest = listed["metadata"]["continue"].as_str().filter(|word| !word.is_empty());
        let rest = rest.map(str::to_owned);
        Ok((listed["items"].as_array_mut().map(std::mem::take).unwrap_or_default(), rest))
    }

    /// Applies an object, as it is from then on.
    pub(super) async fn apply(&self, object: &Value, how: Apply) -> Result<Value, Failure> {
        Ok(self.patch(object, how, &[], Effect::Possible).await?)
    }

    /// Asks whether an object would be taken.
    pub(super) async fn try_apply(&self, object: &Value, how: Apply) -> Result<(), Failure> {
        self.patch(object, how, &[("dryRun", "All")], Effect::None).await?;
        Ok(())
    }

    async fn patch(
        &self,
        object: &Value,
        how: Apply,
        query: &[(&str, &str)],
        effect: Effect,
    ) -> Result<Value, Trouble> {
        let kind = Kind::of(object);
        let path = self.path(kind.base(), object["metadata"]["name"].as_str());
        let force = if how == Apply::ByForce { "true" } else { "false" };
        // Strictly, so that a field which this Kubernetes does not know is not lost in silence.
        let ours = [("fieldManager", MANAGER), ("force", force), ("fieldValidation", "Strict")];
        let request = self
            .request(Method::PATCH, &path)
            .query(&ours)
            .query(query)
            // JSON is YAML, too.
            .header(CONTENT_TYPE, "application/apply-patch+yaml")
            .body(object.to_string());
        self.send(request, effect).await
    }

    /// Takes away the object of this uid, and no other one of its name.
    pub(super) async fn delete(&self, kind: Kind, name: &str, uid: &str) -> Result<(), Failure> {
        let body = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": uid },
            "propagationPolicy": "Background",
        });
        let request = self.request(Method::DELETE, &self.path(kind.base(), Some(name))).json(&body);
        unless_missing(self.send(request, Effect::Possible).await).map(drop)
    }

    fn path(&self, (group, plural): (&str, &str), name: Option<&str>) -> String {
        let all = format!("/{group}/namespaces/{}/{plural}", segment(&self.namespace));
        name.map(|name| format!("{all}/{}", segment(name))).unwrap_or(all)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.shared.base);
        self.shared.http.request(method, url).header(AUTHORIZATION, self.token.clone())
    }

    async fn send(&self, request: RequestBuilder, effect: Effect) -> Result<Value, Trouble> {
        Call::of("kubernetes", effect).measured(call(request, effect)).await
    }
}

async fn call(request: RequestBuilder, effect: Effect) -> Result<Value, Trouble> {
    let body = read(request, effect).await?;
    http::json("Kubernetes", &body, effect).map_err(Trouble::Other)
}

async fn read(request: RequestBuilder, effect: Effect) -> Result<Vec<u8>, Trouble> {
    let lost = |error| Trouble::Other(http::unanswered("Kubernetes", error, effect));
    let answer = http::send(request).await.map_err(lost)?;
    let status = answer.status();
    let body = http::body("Kubernetes", answer, effect).await.map_err(Trouble::Other)?;
    match status.is_success() {
        true => Ok(body),
        false => {
            let said = http::told("Kubernetes", status, &body, effect).map_err(Trouble::Other)?;
            Err(classify(status.as_u16(), &said, effect))
        }
    }
}
