//! What is done at Forgejo for a token and for a template, under every fault of Forgejo's, at every
//! moment.

use std::cell::Cell;

use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::coder::versions::{Source, TemplatePlace, UploadTemplate};
use stead_schemas::step::coder::{CreateToken, RevokeToken};
use stead_schemas::step::forgejo::LookUpHead;

use super::{NAME, TEMPLATES, at, delete, proof, secret, status, token};
use crate::testing::Stage;
use crate::testing::sweep::Sweep;

/// What has to do with webhooks, and what stays until it is mended; a slow answer is an answer.
const LEFT_OUT: [&str; 4] = ["hook-lost", "hook-twice", "run-stuck", "slow"];

fn upload(commit: &str) -> UploadTemplate {
    let place = TemplatePlace {
        login: token().login,
        organization: "default".to_owned(),
        template: "stead-machine".to_owned(),
    };
    let (commit, path) = (commit.to_owned(), "stead-machine".to_owned());
    UploadTemplate { place, source: Source { place: at(TEMPLATES), commit, path } }
}

async fn live(stage: &Stage, marker: &str) -> Result<(), Failure> {
    let made = stage.endure(CreateToken { place: token(), life_seconds: 3600 }).await?;
    stage.endure(secret(&made.credentials)).await?;
    let held = stage.lab.forgejo_secret(TEMPLATES, NAME).expect("it is said to be there");
    assert_eq!(stage.lab.coder_user_of(&held).as_deref(), Some("john"));
    let run = stage.endure(proof(marker)).await?;
    if !run.succeeded {
        return Err(Failure::new(Class::Permanent, run.status));
    }
    let head = LookUpHead { place: at(TEMPLATES), branch: "main".to_owned() };
    let commit = stage.endure(head).await?.commit;
    stage.endure(status(&commit)).await?;
    stage.endure(upload(&commit)).await?;
    stage.endure(delete()).await?;
    assert_eq!(stage.lab.forgejo_secret(TEMPLATES, NAME), None, "it is said to be gone");
    Ok(())
}

async fn bury(stage: &Stage) {
    stage.insist(delete()).await;
    stage.insist(RevokeToken { place: token() }).await;
}

#[tokio::test]
async fn whatever_fault_of_forgejos_strikes_and_whenever_all_is_as_wanted_or_gone() {
    let lives = Cell::new(0);
    let live = async |stage: &Stage| {
        lives.set(lives.get() + 1);
        live(stage, &format!("life {}", lives.get())).await
    };
    Sweep { vendor: "forgejo", left_out: &LEFT_OUT, pairs: &[] }.carry_out(live, bury).await;
}
