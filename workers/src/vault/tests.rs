//! Vault's worker against the lab.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use serde_json::json;
use stead_lab::CallFault;
use stead_schemas::failure::Class;
use stead_schemas::step::vault::PinSecrets;

use crate::testing::{Stage, config};
use crate::vault::{Config, Login, SecretText, Secrets};

const SECRET: &str = "vault:secret/data/proxmox/api";

fn pin(secrets: &[&str]) -> PinSecrets {
    PinSecrets { secrets: secrets.iter().map(|secret| (*secret).to_owned()).collect() }
}

#[tokio::test]
async fn references_are_pinned_to_what_is_current() {
    let stage = Stage::open().await;
    let pinned = stage.ask(pin(&[SECRET, "vault:secret/data/coder/api"])).await.unwrap();
    assert_eq!(pinned.of(SECRET), format!("{SECRET}#1"));
    assert_eq!(pinned.pinned.len(), 2);
    let again = stage.ask(pin(&[SECRET, "vault:secret/data/coder/api"])).await.unwrap();
    assert_eq!(again, pinned);
}

#[tokio::test]
async fn a_pinned_version_is_read_once() {
    let stage = Stage::open().await;
    let pinned = format!("{SECRET}#1");
    stage.secret(&pinned, "token_id").await;
    stage.lab.break_("vault", "sealed").unwrap();
    stage.secret(&pinned, "token_id").await;
    let failure = stage.refused(pin(&[SECRET]), Class::VendorDown).await;
    assert!(failure.words.contains("sealed"), "{failure}");
}

#[tokio::test]
async fn a_missing_secret_is_named() {
    let stage = Stage::open().await;
    let failure = stage.refused(pin(&["vault:secret/data/no/such"]), Class::Permanent).await;
    assert!(failure.words.contains("no/such"), "{failure}");
    stage.refused(pin(&["vault:other/data/x"]), Class::Permanent).await;
    stage.refused(pin(&["nonsense"]), Class::Permanent).await;
}

#[tokio::test]
async fn a_deleted_secret_is_missing() {
    let stage = Stage::open().await;
    let token = stage.vault_token().await;
    let url = format!("{}/v1/secret/data/proxmox/api", stage.lab.addresses().vault_url);
    stage.as_stranger(reqwest::Method::DELETE, &url, ("X-Vault-Token", token), json!(null)).await;
    stage.refused(pin(&[SECRET]), Class::Permanent).await;
}

#[tokio::test]
async fn a_token_is_renewed_and_not_replaced() {
    let stage = Stage::open().await;
    stage.ask(pin(&[SECRET])).await.unwrap();
    stage.workers.secrets().grow_old().await;
    stage.ask(pin(&[SECRET])).await.unwrap();
    assert_eq!((calls(&stage, "login"), calls(&stage, "renew-self")), (1, 1));
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_now_is_used_and_renewed_later() {
    let stage = Stage::open().await;
    stage.ask(pin(&[SECRET])).await.unwrap();
    stage.workers.secrets().grow_old().await;
    stage.lab.break_call("vault", "renew-self", CallFault::FailPassing).unwrap();
    for _ in 0..2 {
        stage.ask(pin(&[SECRET])).await.unwrap();
    }
    stage.lab.mend();
    stage.workers.secrets().grow_old().await;
    stage.ask(pin(&[SECRET])).await.unwrap();
    assert_eq!((calls(&stage, "login"), calls(&stage, "renew-self")), (1, 2));
}

/// How many calls of a path that ends so have reached Vault.
fn calls(stage: &Stage, end: &str) -> usize {
    let vaults = stage.lab.requests().into_iter().filter(|call| call.vendor == "vault");
    vaults.filter(|call| call.path.ends_with(end)).count()
}

#[tokio::test]
async fn whether_the_token_lives_is_looked_at_once_for_all_who_wait_at_the_door() {
    let stage = Stage::open().await;
    let secrets = stage.workers.secrets();
    let session = secrets.session().await.unwrap();
    // All of them stand there before the first one is answered.
    let all = futures_util::future::join_all((0..20).map(|_| secrets.another(&session))).await;
    assert!(all.iter().all(|another| matches!(another, Ok(None))), "it lives");
    assert_eq!(calls(&stage, "lookup-self"), 1, "each of them has looked in turn");
    assert!(matches!(secrets.another(&session).await, Ok(None)));
    assert_eq!(calls(&stage, "lookup-self"), 2, "who comes later looks again");
}

#[tokio::test]
async fn a_node_that_lags_behind_is_waited_for() {
    let stage = Stage::open().await;
    let secrets = stage.workers.secrets();
    secrets.write(MADE, &values("one"), 0).await.unwrap().unwrap();
    stage.lab.break_times("vault", "behind", 2).unwrap();
    for _ in 0..2 {
        let failure = stage.refused(pin(&[MADE]), Class::Wait).await;
        assert_eq!(failure.vendor.as_deref(), Some("required index state not present"));
    }
    assert_eq!(stage.ask(pin(&[MADE])).await.unwrap().of(MADE), format!("{MADE}#1"));
    // What was not taken in is not taken for written, or for there already.
    stage.lab.break_times("vault", "behind", 1).unwrap();
    let failure = secrets.write(MADE, &values("two"), 1).await.unwrap_err();
    assert_eq!(failure.class, Class::Wait, "{failure}");
    assert!(secrets.write(MADE, &values("two"), 1).await.unwrap().is_some());
}

#[tokio::test]
async fn a_proxy_that_has_lost_vault_does_not_say_that_a_secret_is_not_there() {
    let stage = Stage::open().await;
    let secrets = stage.workers.secrets();
    secrets.write(MADE, &values("one"), 0).await.unwrap().unwrap();
    stage.lab.break_("vault", "proxy-no-route").unwrap();
    for failure in [
        secrets.read(MADE).await.unwrap_err(),
        secrets.current(MADE).await.unwrap_err(),
        secrets.forget(MADE).await.unwrap_err(),
    ] {
        assert_eq!(failure.class, Class::VendorDown, "{failure}");
        assert!(failure.words.contains("in front of Vault"), "{failure}");
    }
    stage.lab.mend();
    // Nor does its page say that one is destroyed.
    stage.lab.break_after("vault", "proxy-page", 1, 1).unwrap();
    let failure = secrets.forget(MADE).await.unwrap_err();
    assert_eq!(failure.class, Class::Ambiguous, "{failure}");
    assert!(secrets.current(MADE).await.unwrap().secret.is_some());
    secrets.forget(MADE).await.unwrap();
    assert!(secrets.current(MADE).await.unwrap().secret.is_none());
}

#[tokio::test]
async fn a_token_that_ended_is_replaced_once() {
    let stage = Stage::open().await;
    stage.ask(pin(&[SECRET])).await.unwrap();
    stage.lab.break_times("vault", "token-expired", 1).unwrap();
    stage.ask(pin(&[SECRET])).await.unwrap();
}

#[tokio::test]
async fn a_refusal_that_stays_is_ours_to_report() {
    let stage = Stage::open().await;
    stage.lab.break_("vault", "denied").unwrap();
    let failure = stage.refused(pin(&[SECRET]), Class::Auth).await;
    assert!(failure.words.contains("proxmox/api"), "{failure}");
    stage.lab.mend();
    stage.ask(pin(&[SECRET])).await.unwrap();
}

#[tokio::test]
async fn a_policy_that_refuses_costs_nobody_the_login() {
    let stage = Stage::open().await;
    stage.ask(pin(&[SECRET])).await.unwrap();
    let logins = || calls(&stage, "approle/login");
    stage.lab.break_("vault", "denied").unwrap();
    for _ in 0..3 {
        stage.refused(pin(&[SECRET]), Class::Auth).await;
    }
    assert_eq!(logins(), 1, "the token lives, and another would be refused, too");
    // Its role may have been given more since.
    stage.workers.secrets().grow_old().await;
    for _ in 0..3 {
        stage.refused(pin(&[SECRET]), Class::Auth).await;
    }
    assert_eq!(logins(), 2);
}

#[tokio::test]
async fn what_one_hears_at_the_door_all_who_wait_there_hear() {
    let vault = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let login = Login::AppRole { role_id: "role".into(), secret_id: "secret".into() };
    let address = format!("http://{}", vault.local_addr().unwrap()).parse().unwrap();
    let config = Config { address, mount: "secret".to_owned(), login };
    let secrets = Secrets::new(config).unwrap();
    let knocked = AtomicU32::new(0);
    let hangs_up = async {
        loop {
            drop(vault.accept().await.unwrap());
            knocked.fetch_add(1, Relaxed);
        }
    };
    // All of them stand there before the first one is answered.
    let all = futures_util::future::join_all((0..20).map(|_| secrets.read(SECRET)));
    let answers = tokio::select! {
        biased;
        answers = all => answers,
        () = hangs_up => unreachable!(),
    };
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    assert_eq!(knocked.load(Relaxed), 1, "each of them has tried in turn");
}

#[tokio::test]
async fn a_wrong_role_is_not_let_in() {
    let stage = Stage::open().await;
    let mut config = config(&stage.lab).vault;
    let role_id = SecretText::from(stage.lab.credentials().vault_role_id.as_str());
    config.login = Login::AppRole { role_id, secret_id: SecretText::from("wrong") };
    let failure = Secrets::new(config).unwrap().read(SECRET).await.unwrap_err();
    assert_eq!(failure.class, Class::Auth, "{failure}");
}

#[tokio::test]
async fn a_vault_that_is_away_is_down() {
    let stage = Stage::open().await;
    let mut config = config(&stage.lab).vault;
    config.address = "http://127.0.0.1:1".parse().unwrap();
    let failure = Secrets::new(config).unwrap().read(SECRET).await.unwrap_err();
    assert_eq!(failure.class, Class::VendorDown, "{failure}");
}

#[tokio::test]
async fn secrets_are_never_printed() {
    let stage = Stage::open().await;
    let secret = stage.workers.secrets().read(SECRET).await.unwrap();
    stage.check_secrets(&format!("{secret:?} {:?}", config(&stage.lab)));
    stage.check_secrets(&secret.field("nothing").unwrap_err().to_string());
}

const MADE: &str = "vault:secret/data/stead/made";

fn values(text: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from([("text", text.to_owned())])
}

#[tokio::test]
async fn of_two_writers_one_is_told_that_he_was_overtaken() {
    let stage = Stage::open().await;
    let secrets = stage.workers.secrets();
    let seen = secrets.current(MADE).await.unwrap();
    assert!(seen.secret.is_none());
    let written = secrets.write(MADE, &values("one"), seen.version).await.unwrap();
    assert_eq!(written.unwrap().to_string(), format!("{MADE}#1"));
    assert!(secrets.write(MADE, &values("two"), seen.version).await.unwrap().is_none());
    let now = secrets.current(MADE).await.unwrap();
    assert_eq!((now.version, now.secret.unwrap().field("text").unwrap()), (1, "one"));
}

#[tokio::test]
async fn what_was_deleted_softly_is_written_after_not_anew() {
    let stage = Stage::open().await;
    let secrets = stage.workers.secrets();
    secrets.write(MADE, &values("one"), 0).await.unwrap().unwrap();
    let url = format!("{}/v1/secret/data/stead/made", stage.lab.addresses().vault_url);
    let token = ("X-Vault-Token", stage.vault_token().await);
    stage.as_stranger(reqwest::Method::DELETE, &url, token, json!(null)).await;
    let now = secrets.current(MADE).await.unwrap();
    assert!(now.secret.is_none());
    assert_eq!(now.version, 1);
    let written = secrets.write(MADE, &values("two"), now.version).await.unwrap();
    assert_eq!(written.unwrap().to_string(), format!("{MADE}#2"));
}

#[tokio::test]
async fn what_is_forgotten_cannot_be_brought_back() {
    let stage = Stage::open().await;
    let secrets = stage.workers.secrets();
    secrets.write(MADE, &values("one"), 0).await.unwrap().unwrap();
    secrets.forget(MADE).await.unwrap();
    secrets.forget(MADE).await.unwrap();
    let now = secrets.current(MADE).await.unwrap();
    assert_eq!((now.secret.is_none(), now.version), (true, 1));
    let url = format!("{}/v1/secret/undelete/stead/made", stage.lab.addresses().vault_url);
    let token = ("X-Vault-Token", stage.vault_token().await);
    let versions = json!({ "versions": [1] });
    stage.as_stranger(reqwest::Method::POST, &url, token, versions).await;
    assert!(secrets.current(MADE).await.unwrap().secret.is_none());
}

#[tokio::test]
async fn a_pinned_reference_never_means_another_secret() {
    let stage = Stage::open().await;
    let secrets = stage.workers.secrets();
    let first = secrets.write(MADE, &values("one"), 0).await.unwrap().unwrap().to_string();
    secrets.read(&first).await.unwrap();
    secrets.forget(MADE).await.unwrap();
    let after = secrets.current(MADE).await.unwrap().version;
    let second = secrets.write(MADE, &values("two"), after).await.unwrap().unwrap().to_string();
    assert_ne!(second, first);
    assert_eq!(secrets.read(&second).await.unwrap().field("text").unwrap(), "two");
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_in_doubt() {
    let stage = Stage::open().await;
    let secrets = stage.workers.secrets();
    stage.lab.break_times("vault", "lost-response", 1).unwrap();
    let failure = secrets.write(MADE, &values("one"), 0).await.unwrap_err();
    assert_eq!(failure.class, Class::Ambiguous, "{failure}");
    assert_eq!(secrets.current(MADE).await.unwrap().version, 1);
    stage.lab.break_times("vault", "token-expired", 1).unwrap();
    assert!(secrets.write(MADE, &values("two"), 1).await.unwrap().is_some());
    stage.lab.break_("vault", "denied").unwrap();
    let failure = secrets.forget(MADE).await.unwrap_err();
    assert_eq!(failure.class, Class::Auth, "{failure}");
}
