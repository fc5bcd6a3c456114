//! Forgejo's worker against the lab. There is no description of Forgejo's API among those that the
//! workers' requests are checked against; so each call that they make is listed here.

mod sweep;

use stead_schemas::failure::Class;
use stead_schemas::step::coder::{CreateToken, RevokeToken, TokenPlace};
use stead_schemas::step::forgejo::{
    CommitState, DeleteSecret, LookUpHead, Repository, RunWorkflow, SetSecret, SetStatus,
};

use crate::testing::{Stage, marker};

const LOGIN: &str = "vault:secret/data/forgejo/api";
const TEMPLATES: &str = "john/templates";
const NAME: &str = "CODER_SESSION_TOKEN";
const CREDENTIALS: &str = "vault:secret/data/stead/tokens/john/ci/a";

fn at(repository: &str) -> Repository {
    Repository { login: LOGIN.to_owned(), repository: repository.to_owned() }
}

fn token() -> TokenPlace {
    TokenPlace {
        login: "vault:secret/data/coder/api".to_owned(),
        user: "john".to_owned(),
        name: format!("{}-1", marker()),
        credentials: CREDENTIALS.to_owned(),
        marker: marker(),
    }
}

fn secret(credentials: &str) -> SetSecret {
    SetSecret {
        place: at(TEMPLATES),
        name: NAME.to_owned(),
        secret: credentials.to_owned(),
        field: "token".to_owned(),
    }
}

fn proof(marker: &str) -> RunWorkflow {
    RunWorkflow {
        place: at(TEMPLATES),
        workflow: "prove-token.yml".to_owned(),
        branch: "main".to_owned(),
        marker: marker.to_owned(),
    }
}

fn delete() -> DeleteSecret {
    DeleteSecret { place: at(TEMPLATES), name: NAME.to_owned() }
}

fn status(commit: &str) -> SetStatus {
    SetStatus {
        place: at(TEMPLATES),
        commit: commit.to_owned(),
        context: "stead/token".to_owned(),
        state: CommitState::Success,
        description: "x".repeat(300),
    }
}

/// A token of john's that lies in Vault and in the repository's secret.
async fn given(stage: &Stage) -> String {
    let made = stage.ask(CreateToken { place: token(), life_seconds: 3600 }).await.unwrap();
    stage.ask(secret(&made.credentials)).await.unwrap();
    made.credentials
}

#[tokio::test]
async fn a_secret_is_given_proved_by_a_run_and_taken_away() {
    let stage = Stage::open().await;
    let credentials = given(&stage).await;
    let held = stage.lab.forgejo_secret(TEMPLATES, NAME).unwrap();
    assert_eq!(held, stage.secret(&credentials, "token").await);
    stage.ask(secret(&credentials)).await.unwrap();
    let run = stage.ask(proof("one")).await.unwrap();
    assert!(run.succeeded && run.url.contains("/actions/runs/1"), "{run:?}");
    assert_eq!(stage.ask(proof("one")).await.unwrap(), run);
    assert_eq!(stage.count("run-dispatched"), 1);

    // What opens nothing any more proves nothing.
    stage.ask(RevokeToken { place: token() }).await.unwrap();
    let run = stage.ask(proof("two")).await.unwrap();
    assert_eq!((run.succeeded, run.status.as_str()), (false, "failure"));
    for _ in 0..2 {
        stage.ask(delete()).await.unwrap();
    }
    assert!(stage.lab.inventory().is_empty(), "{:#?}", stage.lab.inventory());
}

#[tokio::test]
async fn only_calls_that_forgejo_knows_are_made() {
    let stage = Stage::open().await;
    let credentials = given(&stage).await;
    stage.lab.break_("forgejo", "run-stuck").unwrap();
    let asked_after = || stage.lab.requests().iter().any(|call| call.path.ends_with("/runs/1"));
    let mended = async {
        while !asked_after() {
            tokio::task::yield_now().await;
        }
        stage.lab.mend();
    };
    let (run, ()) = tokio::join!(stage.ask(proof("one")), mended);
    assert!(run.unwrap().succeeded);
    let head = stage.ask(LookUpHead { place: at(TEMPLATES), branch: "main".to_owned() }).await;
    stage.ask(status(&head.unwrap().commit)).await.unwrap();
    stage.ask(delete()).await.unwrap();
    stage.check_secrets(&credentials);
    let requests = stage.lab.requests();
    let calls = requests.iter().filter(|call| call.vendor == "forgejo").map(|call| {
        let path = call.path.strip_prefix("/api/v1/repos/john/templates").expect("a repository");
        let known = |field: &str| match field {
            "data" | "ref" | "inputs" | "context" | "state" | "description" => true,
            "event" | "limit" | "page" => call.method == "GET",
            _ => false,
        };
        let fields = [&call.query, &call.body].into_iter().filter_map(|fields| fields.as_object());
        for (field, _) in fields.flatten() {
            assert!(known(field), "{path} does not know {field}");
        }
        assert!((200..300).contains(&call.status), "{path}: {}", call.status);
        format!("{} {}", call.method, path.replace(char::is_numeric, "n"))
    });
    let mut calls: Vec<String> = calls.filter(|call| !call.contains("/statuses/")).collect();
    calls.sort();
    calls.dedup();
    assert_eq!(
        calls,
        [
            "DELETE /actions/secrets/CODER_SESSION_TOKEN",
            "GET /actions/runs",
            "GET /actions/runs/n",
            "GET /branches/main",
            "POST /actions/workflows/prove-token.yml/dispatches",
            "PUT /actions/secrets/CODER_SESSION_TOKEN",
        ]
    );
}

#[tokio::test]
async fn a_lost_answer_ends_with_one_effect() {
    let stage = Stage::open().await;
    let credentials = given(&stage).await;
    let lost = ("forgejo", "lost-response");
    stage.survives(lost, Class::Ambiguous, proof("one")).await;
    assert_eq!(stage.count("run-dispatched"), 1);
    stage.survives(lost, Class::Ambiguous, secret(&credentials)).await;
    stage.survives(lost, Class::Ambiguous, delete()).await;
    assert_eq!(stage.count("secret-deleted"), 1);
}

#[tokio::test]
async fn a_run_that_fails_is_an_answer() {
    let stage = Stage::open().await;
    given(&stage).await;
    stage.lab.break_times("forgejo", "run-failed", 1).unwrap();
    assert!(!stage.ask(proof("one")).await.unwrap().succeeded);
    assert!(!stage.ask(proof("one")).await.unwrap().succeeded, "it is found again");
    assert!(stage.ask(proof("two")).await.unwrap().succeeded);
}

#[tokio::test]
async fn each_trouble_has_its_class() {
    let stage = Stage::open().await;
    let credentials = given(&stage).await;
    for (fault, class) in [("unauthorized", Class::Auth), ("not-in-service", Class::VendorDown)] {
        stage.lab.break_("forgejo", fault).unwrap();
        stage.refused(secret(&credentials), class).await;
        stage.refused(proof("one"), class).await;
        stage.lab.mend();
    }
    let reserved = SetSecret { name: "GITEA_TOKEN".to_owned(), ..secret(&credentials) };
    let failure = stage.refused(reserved, Class::Permanent).await;
    assert_eq!(failure.vendor.as_deref(), Some("Invalid secret name."));
}

#[tokio::test]
async fn what_forgejo_does_not_have_is_named() {
    let stage = Stage::open().await;
    let credentials = given(&stage).await;
    let elsewhere = SetSecret { place: at("john/nothing"), ..secret(&credentials) };
    let failure = stage.refused(elsewhere, Class::Permanent).await;
    assert!(failure.words.contains("no repository john/nothing"), "{failure}");
    let unknown = RunWorkflow { workflow: "none.yml".to_owned(), ..proof("one") };
    let failure = stage.refused(unknown, Class::Permanent).await;
    assert!(failure.words.contains("no workflow none.yml on main"), "{failure}");
    let branch = LookUpHead { place: at(TEMPLATES), branch: "none".to_owned() };
    let failure = stage.refused(branch, Class::Permanent).await;
    assert!(failure.words.contains("no branch none"), "{failure}");
    stage.refused(status("0000"), Class::Permanent).await;
    stage
        .refused(LookUpHead { place: at("templates"), branch: "main".into() }, Class::Permanent)
        .await;
}
