//! A token's life under every fault of Coder's and of Vault's, at every moment.

use stead_schemas::failure::Failure;
use stead_schemas::step::coder::LookUpToken;

use super::{create, place, prove, revoke};
use crate::testing::Stage;
use crate::testing::sweep::Sweep;

const PAIRS: [(&str, &str); 1] = [("token-created", "token-revoked")];

async fn live(stage: &Stage) -> Result<(), Failure> {
    let made = stage.endure(create()).await?;
    stage.endure(prove(&made.credentials)).await?;
    let end = stage.endure(LookUpToken { place: place() }).await?.expires_at;
    assert_eq!(end, Some(made.expires_at));
    stage.endure(revoke()).await?;
    let left = stage.lab.inventory();
    assert!(left.is_empty(), "it is said to be gone: {left:#?}");
    Ok(())
}

async fn bury(stage: &Stage) {
    stage.insist(revoke()).await;
}

#[tokio::test]
async fn whatever_fault_of_coders_strikes_a_token_and_whenever_it_is_as_wanted_or_gone() {
    let of_others = ["agent-never-ready", "agent-start-error", "build-active", "build-failed"];
    let of_templates = ["build-stuck", "import-failed", "import-stuck", "no-provisioner", "slow"];
    let left_out = [&of_others[..], &of_templates].concat();
    Sweep { vendor: "coder", left_out: &left_out, pairs: &PAIRS }.carry_out(live, bury).await;
}

#[tokio::test]
async fn whatever_fault_of_vaults_strikes_a_token_and_whenever_it_is_as_wanted_or_gone() {
    // Nothing is wrapped; a slow answer is an answer.
    let left_out = ["slow", "wrap-expired"];
    Sweep { vendor: "vault", left_out: &left_out, pairs: &PAIRS }.carry_out(live, bury).await;
}
