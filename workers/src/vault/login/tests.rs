//! The doors of the lab's Vault.

use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};
use stead_schemas::failure::{Class, Failure};

use super::Login;
use crate::testing::{Stage, config};
use crate::vault::{SecretText, Secrets};

const SECRET: &str = "vault:secret/data/proxmox/api";

/// A file of its own for each test; it goes with the folder.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("it")
    }

    fn lay(&self, text: &str) {
        std::fs::write(self.file(), format!("{text}\n")).unwrap();
    }
}

fn secrets(stage: &Stage, login: Login) -> Secrets {
    Secrets::new(crate::vault::Config { login, ..config(&stage.lab).vault }).unwrap()
}

fn by_kubernetes(stage: &Stage, place: &Place, role: &str) -> Secrets {
    let (role, mount, token_file) = (role.to_owned(), "kubernetes".to_owned(), place.file());
    secrets(stage, Login::Kubernetes { role, mount, token_file })
}

fn by_wrapped(stage: &Stage, place: &Place) -> Secrets {
    let role_id = SecretText::from(stage.lab.credentials().vault_role_id.as_str());
    secrets(stage, Login::WrappedAppRole { role_id, secret_id_wrapped: place.file() })
}

/// What Vault answers to whoever may ask for it wrapped: the token.
async fn wrapped(stage: &Stage, path: &str, body: Value) -> String {
    let url = format!("{}/v1/{path}", stage.lab.addresses().vault_url);
    let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let request = http.post(url).header("X-Vault-Token", stage.vault_token().await);
    let answer = request.header("X-Vault-Wrap-TTL", "600").json(&body).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["wrap_info"]["token"].as_str().unwrap().to_owned()
}

async fn wrapped_secret_id(stage: &Stage) -> String {
    wrapped(stage, "auth/approle/role/stead/secret-id", json!({})).await
}

async fn refused(stage: &Stage, secrets: &Secrets) -> Failure {
    let failure = secrets.read(SECRET).await.unwrap_err();
    stage.check_secrets(&format!("{failure:?}"));
    failure
}

#[tokio::test]
async fn a_service_account_is_let_in_with_the_token_that_it_has_now() {
    let (stage, place) = (Stage::open().await, Place::new());
    let secrets = by_kubernetes(&stage, &place, "stead");
    place.lay(&stage.lab.project_token());
    secrets.read(SECRET).await.unwrap();
    // The account's token is another one by now, and our own has ended.
    place.lay(&stage.lab.project_token());
    stage.lab.break_times("vault", "token-expired", 1).unwrap();
    secrets.read(SECRET).await.unwrap();
}

#[tokio::test]
async fn a_service_account_that_is_not_let_in_is_told_why() {
    let (stage, place) = (Stage::open().await, Place::new());
    let failure = refused(&stage, &by_kubernetes(&stage, &place, "stead")).await;
    assert!(failure.words.contains("token of our service account"), "{failure}");
    place.lay(&stage.lab.project_token());
    let failure = refused(&stage, &by_kubernetes(&stage, &place, "other")).await;
    assert!(failure.to_string().contains("invalid role name"), "{failure}");
    stage.lab.project_token();
    let failure = refused(&stage, &by_kubernetes(&stage, &place, "stead")).await;
    assert!(failure.words.contains("its token has ended"), "{failure}");
    assert_eq!(failure.class, Class::Auth);
}

#[tokio::test]
async fn a_wrapped_secret_is_taken_in_once_for_the_whole_process() {
    let (stage, place) = (Stage::open().await, Place::new());
    place.lay(&wrapped_secret_id(&stage).await);
    let one = by_wrapped(&stage, &place);
    one.read(SECRET).await.unwrap();
    assert!(!place.file().exists(), "what is used up was left there");
    stage.lab.break_times("vault", "token-expired", 1).unwrap();
    one.read(SECRET).await.unwrap();
    by_wrapped(&stage, &place).read(SECRET).await.unwrap();
    let calls = stage.lab.requests();
    let unwrapped = calls.iter().filter(|call| call.path.ends_with("/unwrap")).count();
    assert_eq!(unwrapped, 1);
}

#[tokio::test]
async fn another_wrapped_secret_takes_the_place_of_the_one_before() {
    let (stage, place) = (Stage::open().await, Place::new());
    let secrets = by_wrapped(&stage, &place);
    place.lay(&wrapped_secret_id(&stage).await);
    secrets.read(SECRET).await.unwrap();
    place.lay(&wrapped_secret_id(&stage).await);
    stage.lab.break_times("vault", "token-expired", 1).unwrap();
    secrets.read(SECRET).await.unwrap();
    assert!(!place.file().exists());
}

#[tokio::test]
async fn a_secret_that_somebody_else_has_taken_in_is_a_theft() {
    let (stage, place) = (Stage::open().await, Place::new());
    let token = wrapped_secret_id(&stage).await;
    place.lay(&token);
    let url = format!("{}/v1/sys/wrapping/unwrap", stage.lab.addresses().vault_url);
    stage.as_stranger(Method::POST, &url, ("X-Vault-Token", token), json!({})).await;
    let failure = refused(&stage, &by_wrapped(&stage, &place)).await;
    assert!(failure.words.contains("somebody has stolen it"), "{failure}");
    assert_eq!(failure.class, Class::Auth);
}

#[tokio::test]
async fn a_secret_that_somebody_has_wrapped_anew_is_not_taken_in() {
    let (stage, place) = (Stage::open().await, Place::new());
    let stolen = json!({ "secret_id": stage.lab.credentials().vault_secret_id });
    place.lay(&wrapped(&stage, "sys/wrapping/wrap", stolen).await);
    let failure = refused(&stage, &by_wrapped(&stage, &place)).await;
    assert!(failure.words.contains("sys/wrapping/wrap: somebody has put it there"), "{failure}");
}

#[tokio::test]
async fn a_wrapped_secret_that_cannot_be_had_is_named() {
    let (stage, place) = (Stage::open().await, Place::new());
    let secrets = by_wrapped(&stage, &place);
    let failure = refused(&stage, &secrets).await;
    assert!(failure.words.contains("secret of our AppRole"), "{failure}");
    place.lay(&wrapped_secret_id(&stage).await);
    stage.lab.break_times("vault", "wrap-expired", 1).unwrap();
    let failure = refused(&stage, &secrets).await;
    assert!(failure.words.contains("has expired"), "{failure}");
    place.lay(&wrapped_secret_id(&stage).await);
    stage.lab.break_("vault", "sealed").unwrap();
    assert_eq!(refused(&stage, &secrets).await.class, Class::VendorDown);
    stage.lab.mend();
    secrets.read(SECRET).await.unwrap();
}
