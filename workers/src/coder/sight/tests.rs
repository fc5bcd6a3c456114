//! What is seen of tokens and versions that carry a mark of ours.

use std::collections::BTreeSet;

use stead_lab::CallFault;
use stead_schemas::failure::Class;
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;
use stead_schemas::step::coder::{CreateToken, TokenPlace};
use stead_schemas::step::sight::{PAGE, SightTokens, SightVersions, Thing};

use crate::testing::{Stage, marker};

const LOGIN: &str = "vault:secret/data/coder/api#1";

fn tokens(after: Option<String>) -> SightTokens {
    SightTokens { login: LOGIN.to_owned(), after }
}

fn versions(after: Option<String>) -> SightVersions {
    SightVersions { login: LOGIN.to_owned(), organization: "default".to_owned(), after }
}

/// All tokens, page by page, and how many pages there were.
async fn all_tokens(stage: &Stage) -> (Vec<Thing>, usize) {
    let (mut things, mut pages, mut after) = (Vec::new(), 0, None);
    loop {
        let page = stage.ask(tokens(after)).await.unwrap();
        things.extend(page.things);
        (after, pages) = (page.after, pages + 1);
        if after.is_none() {
            return (things, pages);
        }
    }
}

/// The same of versions.
async fn all_versions(stage: &Stage) -> (Vec<Thing>, usize) {
    let (mut things, mut pages, mut after) = (Vec::new(), 0, None);
    loop {
        let page = stage.ask(versions(after)).await.unwrap();
        things.extend(page.things);
        (after, pages) = (page.after, pages + 1);
        if after.is_none() {
            return (things, pages);
        }
    }
}

fn ids(things: &[Thing]) -> BTreeSet<&str> {
    things.iter().map(|thing| thing.resource.id.as_str()).collect()
}

#[tokio::test]
async fn tokens_of_all_users_that_are_named_after_a_run_are_seen() {
    let stage = Stage::open().await;
    let place = TokenPlace {
        login: LOGIN.to_owned(),
        user: "john".to_owned(),
        name: format!("{}-1", marker()),
        credentials: "vault:secret/data/stead/tokens/john/ci/a".to_owned(),
        marker: marker(),
    };
    stage.ask(CreateToken { place, life_seconds: 3600 }).await.unwrap();
    let strange = EntityKey::of("token", &Owner::new("jane").unwrap(), "x").run(7);
    for name in [format!("{strange}-12"), "jane-cli".to_owned(), format!("{strange}-x")] {
        assert!(stage.lab.plant_token("jane", &name));
    }
    let (seen, _) = all_tokens(&stage).await;
    assert_eq!(
        ids(&seen),
        BTreeSet::from([&*format!("{}-1", marker()), &*format!("{strange}-12")])
    );
    for thing in &seen {
        let mark = thing.marker.as_deref().unwrap();
        assert!(thing.resource.id.starts_with(mark), "{thing:?}");
        assert_eq!(thing.resource.path(), format!("coder/token/{}", thing.resource.id));
    }
    assert!(stage.lab.lose_token(&format!("{}-1", marker())));
    assert_eq!(ids(&all_tokens(&stage).await.0), BTreeSet::from([&*format!("{strange}-12")]));
}

#[tokio::test]
async fn many_tokens_and_versions_come_page_by_page_and_each_once() {
    let stage = Stage::open().await;
    let many = PAGE * 2 + 1;
    for number in 0..many {
        assert!(stage.lab.plant_token("john", &format!("{}-{number}", marker())));
        let message = format!("{}: commit {number}", marker());
        assert!(stage.lab.plant_version("stead-machine", &format!("c-{number}"), &message));
    }
    for (seen, pages) in [all_tokens(&stage).await, all_versions(&stage).await] {
        assert_eq!((seen.len(), ids(&seen).len(), pages), (many, many, 3));
    }
}

#[tokio::test]
async fn versions_that_somebody_archived_are_gone_and_strangers_are_left_out() {
    let stage = Stage::open().await;
    let ours = format!("{}: commit 0123", marker());
    for (name, message) in [("ours", ours.as_str()), ("gone", &ours), ("theirs", "by hand: x")] {
        assert!(stage.lab.plant_version("stead-machine", name, message));
    }
    assert!(stage.lab.archive_version("gone", true));
    let (seen, _) = all_versions(&stage).await;
    assert_eq!(ids(&seen), BTreeSet::from(["stead-machine/ours"]));
    assert_eq!(seen[0].marker, Some(marker()));
    assert!(seen[0].resource.vendor_id.is_some());
}

#[tokio::test]
async fn what_coder_does_not_show_is_not_taken_for_gone() {
    let stage = Stage::open().await;
    assert!(stage.lab.plant_token("john", &format!("{}-1", marker())));
    stage.lab.break_times("coder", "newborn", 1).unwrap();
    stage.lab.break_call_times("coder", "GET /keys/tokens", CallFault::FailPassing, 1).unwrap();
    stage.refused(tokens(None), Class::Retry).await;
    let elsewhere = SightVersions { organization: "nobodys".to_owned(), ..versions(None) };
    let failure = stage.refused(elsewhere, Class::Permanent).await;
    assert!(failure.words.contains("no organization nobodys"), "{failure}");
    stage.lab.break_call_times("coder", "GET /templates", CallFault::FailLasting, 1).unwrap();
    stage.refused(versions(None), Class::Auth).await;
    assert!(stage.lab.effects().is_empty(), "it was only looked");
}
