//! A lab and plain clients of its vendors.

use std::time::Duration;

use hyper::ext::ReasonPhrase;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use stead_lab::{Inventory, Lab, LabOptions};

/// Nothing in a test may take longer.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub struct Rig {
    pub lab: Lab,
    pub http: Client,
    pub vault_token: String,
}

/// An HTTP answer: status, reason phrase, JSON.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub reason: String,
    pub body: Value,
}

impl Rig {
    pub async fn start() -> Self {
        Self::with(LabOptions::default()).await
    }

    pub async fn with(options: LabOptions) -> Self {
        let lab = Lab::start(options).await.expect("the lab starts");
        let http = Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .timeout(DEADLINE)
            .build()
            .expect("a client");
        let mut rig = Self { lab, http, vault_token: String::new() };
        rig.vault_token = rig.login().await;
        rig
    }

    pub async fn login(&self) -> String {
        let who = self.lab.credentials();
        let body = json!({ "role_id": who.vault_role_id, "secret_id": who.vault_secret_id });
        let answer = self.vault("POST", "auth/approle/login", Some(body)).await.expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["auth"]["client_token"].as_str().expect("a token").to_owned()
    }

    pub async fn vault(&self, method: &str, path: &str, body: Option<Value>) -> Option<Answer> {
        let url = format!("{}/v1/{path}", self.lab.addresses().vault_url);
        let mut request = self.http.request(verb(method), url);
        if !self.vault_token.is_empty() {
            request = request.header("x-vault-token", &self.vault_token);
        }
        send(request, body).await
    }

    pub async fn secret(&self, path: &str) -> Value {
        let answer =
            self.vault("GET", &format!("secret/data/{path}"), None).await.expect("an answer");
        answer.body["data"]["data"].clone()
    }

    /// Proxmox VE with a form as its body, as most clients send it.
    pub async fn pve(&self, method: &str, path: &str, form: &[(&str, &str)]) -> Option<Answer> {
        let api = self.secret("proxmox/api").await;
        let (id, secret) = (text(&api["token_id"]), text(&api["token_secret"]));
        let url = format!("{}/api2/json{path}", self.lab.addresses().proxmox_url);
        let mut request = self
            .http
            .request(verb(method), url)
            .header("authorization", format!("PVEAPIToken={id}={secret}"));
        if !form.is_empty() {
            request = request.form(form);
        }
        send(request, None).await
    }

    /// Starts a task and waits for its end; its exit status.
    pub async fn task(&self, method: &str, path: &str, form: &[(&str, &str)]) -> String {
        let answer = self.pve(method, path, form).await.expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
        self.task_end(&text(&answer.body["data"])).await
    }

    pub async fn task_end(&self, upid: &str) -> String {
        let node = upid.split(':').nth(1).expect("a UPID").to_owned();
        let path =
            format!("/nodes/{node}/tasks/{}/status", upid.replace(':', "%3A").replace('!', "%21"));
        let end = async {
            loop {
                let answer = self.pve("GET", &path, &[]).await.expect("an answer");
                if answer.body["data"]["status"] == "stopped" {
                    return text(&answer.body["data"]["exitstatus"]);
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, end).await.expect("the task ends")
    }

    pub async fn coder(&self, method: &str, path: &str, body: Option<Value>) -> Option<Answer> {
        let token = text(&self.secret("coder/api").await["token"]);
        let url = format!("{}/api/v2{path}", self.lab.addresses().coder_url);
        send(self.http.request(verb(method), url).header("coder-session-token", token), body).await
    }

    pub async fn until(&self, wanted: impl FnMut(&Inventory) -> bool) -> Inventory {
        let found = tokio::time::timeout(DEADLINE, self.lab.until(wanted)).await;
        found.unwrap_or_else(|_| panic!("never seen; now {:#?}", self.lab.inventory()))
    }

    pub fn effects(&self, kind: &str) -> usize {
        self.lab.effects().iter().filter(|effect| effect.kind == kind).count()
    }
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

pub fn verb(method: &str) -> Method {
    Method::from_bytes(method.as_bytes()).expect("a method")
}

/// `None` if the connection ended without an answer.
pub async fn send(mut request: RequestBuilder, body: Option<Value>) -> Option<Answer> {
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.ok()?;
    let phrase = response.extensions().get::<ReasonPhrase>();
    let reason = phrase
        .map(|phrase| String::from_utf8_lossy(phrase.as_bytes()).into_owned())
        .unwrap_or_default();
    let status = response.status().as_u16();
    let body = response.json().await.unwrap_or_default();
    Some(Answer { status, reason, body })
}
