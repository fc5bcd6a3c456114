//! Tokens against the lab's Coder and Vault.

mod sweep;

use serde_json::{Value, json};
use stead_schemas::failure::Class;
use stead_schemas::step::coder::{
    CreateToken, LookUpToken, ProveToken, RevokeToken, Token, TokenPlace,
};

use crate::Workers;
use crate::testing::{Stage, config, marker};

const LOGIN: &str = "vault:secret/data/coder/api";
const CREDENTIALS: &str = "vault:secret/data/stead/tokens/john/ci/a";
const WEEK: u64 = 7 * 24 * 3600;

fn place() -> TokenPlace {
    TokenPlace {
        login: LOGIN.to_owned(),
        user: "john".to_owned(),
        name: format!("{}-1", marker()),
        credentials: CREDENTIALS.to_owned(),
        marker: marker(),
    }
}

fn create() -> CreateToken {
    CreateToken { place: place(), life_seconds: WEEK }
}

fn revoke() -> RevokeToken {
    RevokeToken { place: place() }
}

fn prove(credentials: &str) -> ProveToken {
    ProveToken { credentials: credentials.to_owned(), user: "john".to_owned() }
}

/// The token that lies in Vault, and whose it is at Coder.
async fn opens(stage: &Stage, made: &Token) -> Option<String> {
    let token = stage.secret(&made.credentials, "token").await;
    stage.lab.coder_user_of(&token)
}

#[tokio::test]
async fn a_token_is_made_found_again_proved_and_revoked() {
    let stage = Stage::open().await;
    let made = stage.ask(create()).await.unwrap();
    assert_eq!(made.credentials, format!("{CREDENTIALS}#2"));
    assert_eq!(stage.ask(create()).await.unwrap(), made);
    assert_eq!(opens(&stage, &made).await.as_deref(), Some("john"));
    stage.ask(prove(&made.credentials)).await.unwrap();
    let look = LookUpToken { place: place() };
    let end = stage.ask(look.clone()).await.unwrap().expires_at;
    assert_eq!(end, Some(made.expires_at));
    for _ in 0..2 {
        stage.ask(revoke()).await.unwrap();
    }
    assert_eq!(stage.ask(look).await.unwrap().expires_at, None);
    assert_eq!(["token-created", "token-revoked"].map(|kind| stage.count(kind)), [1, 1]);
    assert!(stage.lab.inventory().is_empty());
}

#[tokio::test]
async fn a_life_is_told_in_nanoseconds() {
    let stage = Stage::open().await;
    stage.ask(create()).await.unwrap();
    let asked = stage.lab.requests().into_iter().find(|call| call.path.ends_with("/keys/tokens"));
    let asked = asked.unwrap();
    assert_eq!(asked.body["lifetime"], 604_800_000_000_000_u64);
}

#[tokio::test]
async fn a_token_whose_answer_was_lost_is_revoked_and_made_again() {
    let stage = Stage::open().await;
    let lost = ("coder", "lost-response");
    let made = stage.survives(lost, Class::Ambiguous, create()).await;
    assert_eq!(opens(&stage, &made).await.as_deref(), Some("john"));
    assert_eq!(["token-created", "token-revoked"].map(|kind| stage.count(kind)), [2, 1]);
    assert_eq!(stage.lab.inventory().coder_tokens.len(), 1);

    // The record was written, and nobody heard of it: it is found.
    let stage = Stage::open().await;
    let made = stage.survives(("vault", "lost-response"), Class::Ambiguous, create()).await;
    assert_eq!(opens(&stage, &made).await.as_deref(), Some("john"));
    assert_eq!(stage.lab.inventory().coder_tokens.len(), 1);
    stage.survives(lost, Class::Ambiguous, revoke()).await;
    assert!(stage.lab.inventory().is_empty());
}

#[tokio::test]
async fn of_two_who_make_it_at_once_both_have_the_one_that_lives() {
    let stage = Stage::open().await;
    let other = Workers::new(config(&stage.lab)).unwrap();
    for _ in 0..10 {
        let both = tokio::join!(stage.ask(create()), stage.ask_of(&other, create()));
        // Whoever was overtaken too often is asked again, as the engine does.
        let mut made = Vec::new();
        for answer in [both.0, both.1] {
            match answer {
                Ok(token) => made.push(token),
                Err(failure) => assert_eq!(failure.class, Class::Retry, "{failure}"),
            }
        }
        let last = stage.insist(create()).await;
        assert_eq!(opens(&stage, &last).await.as_deref(), Some("john"));
        // Nobody is told of a token that the other one has revoked.
        assert!(made.iter().all(|token| *token == last), "{made:?} {last:?}");
        assert_eq!(stage.lab.inventory().coder_tokens.len(), 1);
        stage.ask(revoke()).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_that_ends_or_is_revoked_proves_nothing() {
    let stage = Stage::open().await;
    let made = stage.ask(create()).await.unwrap();
    let strangers = ProveToken { user: "jane".to_owned(), ..prove(&made.credentials) };
    stage.refused(strangers, Class::Permanent).await;
    stage.ask(revoke()).await.unwrap();
    stage.refused(prove(&made.credentials), Class::Auth).await;
}

#[tokio::test]
async fn what_is_not_ours_stays() {
    let stage = Stage::open().await;
    let token = ("X-Vault-Token", vault_token(&stage).await);
    let url = format!("{}/v1/secret/data/stead/tokens/john/ci/a", stage.lab.addresses().vault_url);
    let body = json!({ "data": { "token": "a stranger's" } });
    stage.as_stranger(reqwest::Method::POST, &url, token, body).await;
    stage.refused(create(), Class::Conflict).await;
    assert_eq!(stage.count("token-created"), 0);
}

async fn vault_token(stage: &Stage) -> String {
    let (at, who) = (stage.lab.addresses(), stage.lab.credentials());
    let url = format!("{}/v1/auth/approle/login", at.vault_url);
    let body = json!({ "role_id": who.vault_role_id, "secret_id": who.vault_secret_id });
    let nobody = ("X-Vault-Token", String::new());
    let answer: Value = stage.as_stranger(reqwest::Method::POST, &url, nobody, body).await;
    answer["auth"]["client_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_later_token_of_the_same_place_is_not_forgotten() {
    let stage = Stage::open().await;
    stage.ask(create()).await.unwrap();
    let later = TokenPlace { name: format!("{}-3", marker()), ..place() };
    let made = stage.ask(CreateToken { place: later.clone(), life_seconds: WEEK }).await.unwrap();
    stage.ask(revoke()).await.unwrap();
    assert_eq!(opens(&stage, &made).await.as_deref(), Some("john"));
    stage.ask(RevokeToken { place: later }).await.unwrap();
    assert!(stage.lab.inventory().is_empty());
}

#[tokio::test]
async fn what_coder_refuses_is_said() {
    let stage = Stage::open().await;
    let nobody = TokenPlace { user: "nobody-here".to_owned(), ..place() };
    let ask = CreateToken { place: nobody, life_seconds: WEEK };
    let failure = stage.refused(ask, Class::Permanent).await;
    assert!(failure.words.contains("nobody-here"), "{failure}");
    let long = CreateToken { life_seconds: 3600 * 24 * 400, ..create() };
    let failure = stage.refused(long, Class::Permanent).await;
    assert!(failure.vendor.is_some_and(|said| said.contains("lifetime")), "the field is named");
}
