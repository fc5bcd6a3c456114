//! Speaks to Proxmox VE: in each request who asks (`login.rs`), the text of a refusal read from where
//! Proxmox puts it. What to ask is the business of the steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::ext::ReasonPhrase;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use stead_schemas::failure::Failure;
use stead_schemas::step::proxmox::InsertSeed;

use super::Config;
use super::classify::{classify, is_unknown, seen_before};
use super::login::{Doors, Login, Pass};
use crate::StartError;
use crate::guest::Seeds;
use crate::http::{self, Effect, segment};
use crate::measured::Call;
use crate::trouble::{Trouble, unless_missing};
use crate::vault::Secrets;

/// A form's fields, or a query's.
pub(super) type Params = [(&'static str, String)];

/// One Proxmox VE, before a login is chosen.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    http: reqwest::Client,
    base: String,
    secrets: Secrets,
    seeds: Seeds,
    doors: Doors,
}

impl Client {
    /// A client that connects when it is first used.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(config: &Config, secrets: Secrets, seeds: Seeds) -> Result<Self, StartError> {
        let http = http::client("proxmox", &config.address)?;
        let base = format!("{}/api2/json", config.address);
        let doors = Doors::default();
        Ok(Self { shared: Arc::new(Shared { http, base, secrets, seeds, doors }) })
    }

    /// The same Proxmox, as the token or the user that `login` refers to.
    pub(super) async fn log_in(&self, login: &str) -> Result<Pve, Failure> {
        let secret = self.shared.secrets.read(login).await?;
        let login = Login::by(secret, &self.shared.doors)?;
        Ok(Pve { shared: self.shared.clone(), login })
    }

    /// As if an hour had passed.
    #[cfg(test)]
    pub(super) async fn grow_old(&self) {
        super::login::grow_old(&self.shared.doors).await;
    }

    /// Where a machine of this marker fetches its seed.
    pub(super) async fn seed_url(&self, marker: &str) -> Result<String, Failure> {
        self.shared.seeds.urls().seed_url(marker).await
    }

    /// The image of a CD with a machine's seed, made anew.
    pub(super) async fn seed_image(&self, ask: &InsertSeed) -> Result<Vec<u8>, Failure> {
        self.shared.seeds.image(ask).await
    }
}

/// Proxmox VE, as one token or one user.
pub(super) struct Pve {
    shared: Arc<Shared>,
    login: Login,
}

impl Pve {
    /// Who we are.
    pub(super) fn login(&self) -> &Login {
        &self.login
    }

    /// Reads something that may be missing.
    pub(super) async fn look(&self, path: &str) -> Result<Option<Value>, Failure> {
        unless_missing(self.try_look(path, &[]).await)
    }

    /// Reads something, and says how it went.
    pub(super) async fn try_look(&self, path: &str, query: &Params) -> Result<Value, Trouble> {
        self.send(Method::GET, path, query).await
    }

    /// Changes something that was seen before. What comes back is a task's id, or nothing if it
    /// is done.
    pub(super) async fn act(
        &self,
        method: Method,
        path: &str,
        params: &Params,
    ) -> Result<Value, Trouble> {
        self.send(method, path, params).await.map_err(seen_before)
    }

    /// Lays an image onto a storage of them, in place of one of the same name. What comes back is a
    /// task's id.
    pub(super) async fn upload(
        &self,
        path: &str,
        name: &str,
        image: &[u8],
    ) -> Result<Value, Trouble> {
        let (boundary, body) = form_of(name, image);
        let kind = format!("multipart/form-data; boundary={boundary}");
        let url = format!("{}{path}", self.shared.base);
        let request = self.shared.http.post(url).header(CONTENT_TYPE, kind).body(body);
        self.ask(request, Effect::Possible).await.map_err(seen_before)
    }

    async fn send(&self, method: Method, path: &str, params: &Params) -> Result<Value, Trouble> {
        let effect = if method == Method::GET { Effect::None } else { Effect::Possible };
        let has_form = method == Method::POST || method == Method::PUT;
        let mut url = format!("{}{path}", self.shared.base);
        if !has_form && !params.is_empty() {
            // Proxmox refuses a body on GET and DELETE.
            let pairs: Vec<_> =
                params.iter().map(|(name, value)| format!("{name}={}", segment(value))).collect();
            url = format!("{url}?{}", pairs.join("&"));
        }
        let mut request = self.shared.http.request(method, url);
        if has_form {
            request = request.form(params);
        }
        self.ask(request, effect).await
    }

    /// Asks; once more, where the ticket that we showed has ended: whoever is not known has done
    /// nothing.
    async fn ask(&self, request: RequestBuilder, effect: Effect) -> Result<Value, Trouble> {
        let again = request.try_clone();
        let pass = self.pass().await?;
        match (self.answer(request, &pass, effect).await, again) {
            (Err(trouble), Some(again)) if is_unknown(&trouble) && pass.is_over() => {
                let another = self.pass().await?;
                self.answer(again, &another, effect).await
            }
            (answer, _) => answer,
        }
    }

    async fn pass(&self) -> Result<Pass, Trouble> {
        let pass = self.login.pass(&self.shared.http, &self.shared.base).await;
        pass.map_err(Trouble::Other)
    }

    async fn answer(
        &self,
        request: RequestBuilder,
        pass: &Pass,
        effect: Effect,
    ) -> Result<Value, Trouble> {
        let answer = send(pass.shown(request), effect);
        let answer = Call::of("proxmox", effect).measured(answer).await;
        pass.note(&answer);
        answer
    }
}

/// Sends a request, and reads what comes back.
pub(super) async fn send(request: RequestBuilder, effect: Effect) -> Result<Value, Trouble> {
    let lost = |error| Trouble::Other(http::unanswered("Proxmox", error, effect));
    read(http::send(request).await.map_err(lost)?, effect).await
}

/// The form of an upload, and what parts it. Proxmox wants to know what is coming before it comes.
fn form_of(name: &str, image: &[u8]) -> (String, Vec<u8>) {
    // No seed has this in it: it is text, and none of its lines is that long.
    let boundary = format!("stead-{}", "-".repeat(48));
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\niso\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"filename\"; \
         filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    body.extend(image);
    body.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    (boundary, body)
}

async fn read(answer: Response, effect: Effect) -> Result<Value, Trouble> {
    let status = answer.status();
    let reason = reason_of(&answer);
    let body = http::body("Proxmox", answer, effect).await;
    if !status.is_success() {
        let body = body.unwrap_or_default();
        // Its own says so in JSON, or in the reason alone.
        if status == StatusCode::NOT_FOUND && !body.is_empty() {
            http::told("Proxmox", status, &body, effect).map_err(Trouble::Other)?;
        }
        return Err(classify(status.as_u16(), &refusal_text(&reason, &body), effect));
    }
    let body = body.map_err(Trouble::Other)?;
    match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Object(mut answer)) => Ok(answer.remove("data").unwrap_or_default()),
        _ => Err(Trouble::new(effect.when_lost(), "what Proxmox answered cannot be read")),
    }
}

/// The reason phrase, where it is not merely the standard one for its status.
fn reason_of(answer: &Response) -> String {
    let phrase = answer.extensions().get::<ReasonPhrase>();
    phrase.map(|phrase| String::from_utf8_lossy(phrase.as_bytes()).into_owned()).unwrap_or_default()
}

/// What Proxmox says of a refusal: the faulty parameters, else the message in the body that
/// newer versions have, else the reason phrase.
fn refusal_text(reason: &str, body: &[u8]) -> String {
    #[derive(Default, serde::Deserialize)]
    struct Refusal {
        #[serde(default)]
        message: Option<String>,
        #[serde(default)]
        errors: Option<BTreeMap<String, Value>>,
    }
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let message = refusal.message.filter(|text| !text.trim().is_empty());
    let mut text = message.unwrap_or_else(|| reason.to_owned());
    for (parameter, why) in refusal.errors.unwrap_or_default() {
        let why = why.as_str().map_or_else(|| why.to_string(), str::to_owned);
        text.push_str(&format!(" {parameter}: {why}"));
    }
    text.trim().to_owned()
}

/// A number that Proxmox writes as a number here and as a text there.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::{Effect, read, refusal_text};

    #[test]
    fn a_refusal_says_why() {
        let reason = "VM 104 already running";
        assert_eq!(refusal_text(reason, b"{\"data\":null}"), reason);
        assert_eq!(refusal_text("", b"{\"message\":\"no quorum\\n\"}"), "no quorum");
        let faulty = br#"{"errors":{"vmid":"VM 104 already exists"},"data":null}"#;
        let text = refusal_text("Parameter verification failed.", faulty);
        assert_eq!(text, "Parameter verification failed. vmid: VM 104 already exists");
        assert_eq!(refusal_text("reason", b"<html>"), "reason");
    }

    #[tokio::test]
    async fn a_text_that_is_only_in_the_reason_phrase_is_read() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let heard = socket.read(&mut [0; 1024]).await.unwrap();
            assert!(heard > 0);
            let answer = b"HTTP/1.1 500 VM is locked (backup)\r\nContent-Length: 0\r\n\r\n";
            socket.write_all(answer).await.unwrap();
        });
        let http = crate::http::client("proxmox", &url.parse().unwrap()).unwrap();
        let trouble = read(http.get(&url).send().await.unwrap(), Effect::None).await.unwrap_err();
        assert_eq!(trouble.failure().vendor.as_deref(), Some("VM is locked (backup)"));
        server.await.unwrap();
    }
}
