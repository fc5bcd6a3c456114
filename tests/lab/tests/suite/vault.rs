//! Vault through its own API.

use std::collections::HashMap;

use serde_json::json;
use vaultrs::auth::approle;
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
use vaultrs::error::ClientError;
use vaultrs::kv2;

use crate::rig::{Answer, Rig};

async fn get(rig: &Rig, path: &str) -> Answer {
    rig.vault("GET", path, None).await.expect("an answer")
}

async fn post(rig: &Rig, path: &str, body: serde_json::Value) -> Answer {
    rig.vault("POST", path, Some(body)).await.expect("an answer")
}

#[tokio::test]
async fn a_secret_has_versions_and_survives_its_soft_deletion_as_metadata() {
    let rig = Rig::start().await;
    let first =
        post(&rig, "secret/data/a/b", json!({ "data": { "k": "1" }, "options": { "cas": 0 } }))
            .await;
    assert_eq!((first.status, &first.body["data"]["version"]), (200, &json!(1)));
    let second = post(&rig, "secret/data/a/b", json!({ "data": { "k": "2" } })).await;
    assert_eq!(second.body["data"]["version"], 2);
    assert_eq!(get(&rig, "secret/data/a/b").await.body["data"]["data"]["k"], "2");
    assert_eq!(get(&rig, "secret/data/a/b?version=1").await.body["data"]["data"]["k"], "1");

    assert_eq!(rig.vault("DELETE", "secret/data/a/b", None).await.expect("an answer").status, 204);
    let gone = get(&rig, "secret/data/a/b").await;
    assert_eq!(gone.status, 404);
    assert!(gone.body["data"]["data"].is_null());
    assert_ne!(gone.body["data"]["metadata"]["deletion_time"], "");
    // The version number does not go back: creating anew by cas 0 fails.
    let anew = post(&rig, "secret/data/a/b", json!({ "data": {}, "options": { "cas": 0 } })).await;
    assert_eq!(anew.status, 400);
    assert!(anew.body["errors"][0].as_str().is_some_and(|text| text.starts_with("check-and-set")));
}

#[tokio::test]
async fn missing_unknown_and_forbidden_are_told_apart_only_as_far_as_vault_does() {
    let mut rig = Rig::start().await;
    let missing = get(&rig, "secret/data/none").await;
    assert_eq!((missing.status, missing.body), (404, json!({ "errors": [] })));
    let list = rig.vault("LIST", "secret/metadata/proxmox", None).await.expect("an answer");
    assert_eq!(list.body["data"]["keys"], json!(["api", "user"]));
    assert_eq!(get(&rig, "secret/metadata/proxmox/api").await.body["data"]["current_version"], 1);
    rig.vault_token = "wrong".to_owned();
    let denied = get(&rig, "secret/data/proxmox/api").await;
    assert_eq!((denied.status, denied.body), (403, json!({ "errors": ["permission denied"] })));
    let login = post(&rig, "auth/approle/login", json!({ "role_id": "x", "secret_id": "y" })).await;
    assert_eq!(
        (login.status, login.body),
        (400, json!({ "errors": ["invalid role or secret ID"] }))
    );
}

#[tokio::test]
async fn a_token_can_be_looked_up_renewed_and_revoked() {
    let rig = Rig::start().await;
    assert_eq!(get(&rig, "auth/token/lookup-self").await.body["data"]["renewable"], true);
    let renewed = post(&rig, "auth/token/renew-self", json!({ "increment": "1h" })).await;
    assert_eq!(renewed.body["auth"]["client_token"], rig.vault_token.as_str());
    assert_eq!(post(&rig, "auth/token/revoke-self", json!({})).await.status, 204);
    assert_eq!(get(&rig, "secret/data/proxmox/api").await.status, 403);
}

#[tokio::test]
async fn every_fault_of_vault_fires() {
    let rig = Rig::start().await;
    let break_once = |fault| rig.lab.break_times("vault", fault, 1).expect("known");
    break_once("sealed");
    assert_eq!(get(&rig, "sys/health").await.status, 503);
    break_once("sealed");
    assert_eq!(
        get(&rig, "secret/data/proxmox/api").await.body,
        json!({ "errors": ["Vault is sealed"] })
    );
    break_once("denied");
    assert_eq!(get(&rig, "secret/data/proxmox/api").await.status, 403);
    assert_eq!(get(&rig, "secret/data/proxmox/api").await.status, 200);
    break_once("lost-response");
    assert!(
        rig.vault("POST", "secret/data/lost", Some(json!({ "data": { "k": "v" } })))
            .await
            .is_none()
    );
    assert_eq!(get(&rig, "secret/data/lost").await.body["data"]["data"]["k"], "v");
    break_once("token-expired");
    assert_eq!(get(&rig, "secret/data/proxmox/api").await.status, 403);
    // The token is gone for good, logging in again helps.
    assert_eq!(get(&rig, "secret/data/proxmox/api").await.status, 403);
    assert_ne!(rig.login().await, rig.vault_token);
}

#[tokio::test]
async fn the_usual_client_library_gets_along_with_it() {
    let rig = Rig::start().await;
    let settings = |token: &str| {
        let mut builder = VaultClientSettingsBuilder::default();
        builder.address(&rig.lab.addresses().vault_url).token(token).build().expect("settings")
    };
    let who = rig.lab.credentials();
    let guest = VaultClient::new(settings("")).expect("a client");
    let login = approle::login(&guest, "approle", &who.vault_role_id, &who.vault_secret_id)
        .await
        .expect("a token");
    let client = VaultClient::new(settings(&login.client_token)).expect("a client");
    let api: HashMap<String, String> =
        kv2::read(&client, "secret", "proxmox/api").await.expect("a secret");
    assert_eq!(api["token_id"], "stead@pve!engine");
    assert_eq!(kv2::set(&client, "secret", "x", &api).await.expect("written").version, 1);
    assert_eq!(kv2::list(&client, "secret", "proxmox").await.expect("a list"), ["api", "user"]);
    assert_eq!(
        kv2::read_metadata(&client, "secret", "x").await.expect("metadata").current_version,
        1
    );
    kv2::delete_latest(&client, "secret", "x").await.expect("deleted");
    let gone = kv2::read::<HashMap<String, String>>(&client, "secret", "x").await;
    assert!(
        matches!(
            gone,
            Err(ClientError::APIError { code: 404, .. } | ClientError::RestClientError { .. })
        ),
        "{gone:?}"
    );
    assert!(vaultrs::token::lookup_self(&client).await.expect("looked up").ttl > 0);
    assert!(vaultrs::token::renew_self(&client, Some("1h")).await.expect("renewed").renewable);
    vaultrs::token::revoke_self(&client).await.expect("revoked");
    let denied = kv2::read::<HashMap<String, String>>(&client, "secret", "proxmox/api").await;
    assert!(matches!(denied, Err(ClientError::APIError { code: 403, .. })), "{denied:?}");
}
