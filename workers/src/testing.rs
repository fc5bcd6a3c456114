//! A lab and the workers that are to work in it, for the tests of every system. Whatever a step
//! answers, and whatever is logged meanwhile, is searched for the lab's secrets; each vendor must have
//! been told beneath which span it works; and every call is one that its API description allows.

mod asked;
pub(crate) mod contract;
mod decoders;
mod journal;
mod storm;
mod strange;
pub(crate) mod sweep;
mod traced;

use std::fmt::Debug;

use reqwest::Method;
use serde_json::{Value, json};
use stead_lab::{CallFault, Lab, LabOptions};
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure, Kind};
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::step::{self, Step};

use crate::vault::SecretText;
use crate::{
    Workers, WorkersConfig, authentik, coder, forgejo, guest, kubernetes, proxmox, s3, truenas,
    vault,
};

/// More attempts than any step needs while the lab carries out what it was asked before.
const ATTEMPTS_MAX: u32 = 5000;

/// A fresh lab and workers of all systems.
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    pub(crate) workers: Workers,
    watch: contract::Watch,
}

/// The run that asks in the tests: its id is the marker.
pub(crate) fn run() -> RunId {
    let owner = Owner::new("john").unwrap();
    EntityKey::of("workspace", &owner, "dev").run(1)
}

/// The marker of the tests' run.
pub(crate) fn marker() -> String {
    run().to_string()
}

impl Stage {
    /// Opens a lab.
    pub(crate) async fn open() -> Self {
        Self::open_with("secret").await
    }

    /// Opens one whose Vault has this mount of secrets.
    pub(crate) async fn open_with(vault_mount: &'static str) -> Self {
        // Another test may have been first; then it is installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        journal::listen();
        traced::collect();
        let options = LabOptions { keeps_answers: true, vault_mount, ..LabOptions::default() };
        let lab = Lab::start(options).await.unwrap();
        let mut config = config(&lab);
        config.vault.mount = vault_mount.to_owned();
        let workers = Workers::new(config).unwrap();
        Self::with(lab, workers)
    }

    /// These workers in this lab.
    pub(crate) fn with(lab: Lab, workers: Workers) -> Self {
        let watch = contract::Watch::new(&lab);
        Self { lab, workers, watch }
    }

    /// Asks a worker once.
    pub(crate) async fn ask<S: Step + Debug>(&self, ask: S) -> Result<S::Answer, Failure> {
        self.ask_of(&self.workers, ask).await
    }

    /// Asks one of these workers once.
    pub(crate) async fn ask_of<S: Step + Debug>(
        &self,
        workers: &Workers,
        ask: S,
    ) -> Result<S::Answer, Failure> {
        let workers = workers.only([step::system(S::NAME)]).unwrap();
        let worker = workers.into_iter().next().unwrap();
        let request = serde_json::to_value(ask).unwrap();
        let work = worker.begin(S::NAME, StepContext::unwatched(run()), request);
        let result = traced::attempt(&self.lab, S::NAME, work).await;
        self.check_secrets(&format!("{result:?}"));
        self.check_secrets(&journal::so_far());
        self.watch.look(S::NAME);
        result.map(|answer| serde_json::from_value(answer).unwrap())
    }

    /// Asks again as long as that can help, as the engine does.
    pub(crate) async fn endure<S: Step + Debug + Clone>(
        &self,
        ask: S,
    ) -> Result<S::Answer, Failure> {
        for _ in 0..ATTEMPTS_MAX {
            match self.ask(ask.clone()).await {
                Err(failure) if failure.class.kind() != Kind::Lasting => {}
                ended => return ended,
            }
        }
        panic!("{} was never done: {ask:?}", S::NAME);
    }

    /// The same, where nothing lasting is to happen.
    pub(crate) async fn insist<S: Step + Debug + Clone>(&self, ask: S) -> S::Answer {
        self.endure(ask).await.unwrap_or_else(|failure| panic!("{}: {failure}", S::NAME))
    }

    /// Asks once and expects a failure.
    pub(crate) async fn refused<S: Step + Debug>(&self, ask: S, class: Class) -> Failure
    where
        S::Answer: Debug,
    {
        let failure = self.ask(ask).await.expect_err("it should have failed");
        assert_eq!(failure.class, class, "{failure}");
        failure
    }

    /// Asks under a fault, then until it is done.
    pub(crate) async fn survives<S: Step + Debug + Clone>(
        &self,
        fault: (&str, &str),
        class: Class,
        ask: S,
    ) -> S::Answer
    where
        S::Answer: Debug,
    {
        self.lab.break_times(fault.0, fault.1, 1).unwrap();
        self.refused(ask.clone(), class).await;
        self.insist(ask).await
    }

    /// Drops the answer to the next matching call.
    pub(crate) fn lose_answer(&self, vendor: &str, call: &str) {
        self.lab.break_call_times(vendor, call, CallFault::LoseResponse, 1).unwrap();
    }

    /// How many effects of this kind there were.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.lab.effects().iter().filter(|effect| effect.kind == kind).count()
    }

    /// Calls a vendor's HTTP API as somebody else would.
    pub(crate) async fn as_stranger(
        &self,
        method: Method,
        url: &str,
        header: (&'static str, String),
        body: Value,
    ) -> Value {
        let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
        let request = client.request(method, url).header(header.0, header.1);
        let answer =
            if body.is_null() { request.send().await } else { request.json(&body).send().await };
        let answer = answer.unwrap();
        assert!(answer.status().is_success(), "{url}: {}", answer.status());
        answer.json().await.unwrap_or_default()
    }

    /// Reads a secret of the lab's.
    pub(crate) async fn secret(&self, reference: &str, field: &str) -> String {
        self.workers.secrets().read(reference).await.unwrap().field(field).unwrap().to_owned()
    }

    /// A token of the lab's Vault.
    pub(crate) async fn vault_token(&self) -> String {
        let credentials = self.lab.credentials();
        let url = format!("{}/v1/auth/approle/login", self.lab.addresses().vault_url);
        let body = json!({
            "role_id": credentials.vault_role_id, "secret_id": credentials.vault_secret_id,
        });
        let header = ("X-Any", "1".to_owned());
        let answer = self.as_stranger(Method::POST, &url, header, body).await;
        answer["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// Puts a secret into the lab's Vault.
    pub(crate) async fn keep(&self, reference: &str, fields: Value) {
        let place = reference.trim_start_matches("vault:");
        let url = format!("{}/v1/{place}", self.lab.addresses().vault_url);
        let header = ("X-Vault-Token", self.vault_token().await);
        self.as_stranger(Method::POST, &url, header, json!({ "data": fields })).await;
    }

    pub(crate) fn check_secrets(&self, text: &str) {
        for secret in self.lab.secrets() {
            assert!(!text.contains(&secret), "a secret got out: {text}");
        }
    }
}

/// What the binary would read from its configuration.
pub(crate) fn config(lab: &Lab) -> WorkersConfig {
    let (addresses, credentials) = (lab.addresses(), lab.credentials());
    WorkersConfig {
        vault: vault::Config {
            address: addresses.vault_url.parse().unwrap(),
            mount: "secret".to_owned(),
            login: vault::Login::AppRole {
                role_id: SecretText::from(credentials.vault_role_id.as_str()),
                secret_id: SecretText::from(credentials.vault_secret_id.as_str()),
            },
        },
        proxmox: proxmox::Config { address: addresses.proxmox_url.parse().unwrap() },
        truenas: truenas::Config {
            address: addresses.truenas_url.parse().unwrap(),
            others: [("nas04".to_owned(), addresses.truenas_url.parse().unwrap())].into(),
        },
        coder: coder::Config { address: addresses.coder_url.parse().unwrap() },
        forgejo: Some(forgejo::Config {
            address: addresses.forgejo_url.parse().unwrap(),
            webhook: None,
        }),
        authentik: Some(authentik::Config { address: addresses.authentik_url.parse().unwrap() }),
        kubernetes: Some(kubernetes::Config {
            address: addresses.kubernetes_url.parse().unwrap(),
            ca: None,
            registry: addresses.kubernetes_url.parse().unwrap(),
        }),
        s3: Some(s3::Config {
            admin: Some(addresses.s3_url.parse().unwrap()),
            address: addresses.s3_url.parse().unwrap(),
            region: "garage".to_owned(),
        }),
        notify: crate::notify::Config::default(),
        guest: guest::Config {
            public_url: Some("http://seeds.lan".parse().unwrap()),
            ..guest::Config::default()
        },
    }
}
