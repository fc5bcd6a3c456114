//! What is seen of repositories' secrets.

use std::collections::BTreeSet;

use stead_lab::CallFault;
use stead_schemas::failure::Class;
use stead_schemas::step::sight::{SightRepositories, Thing};

use crate::testing::Stage;

fn look(after: Option<String>) -> SightRepositories {
    SightRepositories { login: "vault:secret/data/forgejo/api".to_owned(), after }
}

async fn all(stage: &Stage) -> Vec<Thing> {
    let (mut things, mut after) = (Vec::new(), None);
    loop {
        let page = stage.ask(look(after)).await.unwrap();
        things.extend(page.things);
        after = page.after;
        if after.is_none() {
            return things;
        }
    }
}

#[tokio::test]
async fn the_secrets_of_every_repository_that_we_own_are_seen_by_name() {
    let stage = Stage::open().await;
    assert_eq!(all(&stage).await, []);
    // More than this Forgejo tells at once, of repositories and of secrets.
    let names: Vec<String> = (0..7).map(|number| format!("SECRET_{number}")).collect();
    for name in &names {
        for repository in ["alice/templates", "platform/templates", "charts/ours"] {
            assert!(stage.lab.plant_secret(repository, name));
        }
    }
    let seen = all(&stage).await;
    let found: BTreeSet<String> = seen.iter().map(|thing| thing.resource.path()).collect();
    let expected = ["alice", "platform"].into_iter().flat_map(|owner| {
        names.iter().map(move |name| format!("forgejo/secret/{owner}/templates/{name}"))
    });
    assert_eq!(found, expected.collect(), "those of others, whose owner we are not, are not asked");
    assert_eq!(seen.len(), found.len(), "each once");
    assert!(seen.iter().all(|thing| thing.marker.is_none()));
    assert!(stage.lab.lose_secret("alice/templates", "SECRET_3"));
    assert_eq!(all(&stage).await.len(), seen.len() - 1);
}

#[tokio::test]
async fn what_forgejo_forbids_is_not_taken_for_gone() {
    let stage = Stage::open().await;
    for (call, fault, class) in [
        ("GET /repos/search", CallFault::FailLasting, Class::Auth),
        ("GET /actions/secrets", CallFault::FailLasting, Class::Auth),
        ("GET /actions/secrets", CallFault::FailPassing, Class::Retry),
    ] {
        stage.lab.break_call_times("forgejo", call, fault, 1).unwrap();
        stage.refused(look(None), class).await;
    }
}
