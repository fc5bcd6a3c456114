//! Lists: whoever asks for a few gets them in pages, for which few lines of others are looked at.

use serde_json::Map;
use stead_runtime::inbound::Inbound;
use stead_runtime::page::PAGE_LINES_MAX;
use stead_runtime::ports::ReplyTo;
use stead_schemas::dispatch::{Caller, EntityCommand, ListRuns};
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;
use stead_schemas::public::RunPage;

use crate::desk::{Desk, on_simulated_time};

fn owner(name: &str) -> Owner {
    Owner::new(name).unwrap()
}

async fn page(desk: &Desk, query: &ListRuns) -> RunPage {
    desk.say(Inbound::List(query.clone(), ReplyTo("asker".into()))).await;
    serde_json::from_slice(desk.replies("asker").last().expect("a page")).unwrap()
}

/// The names on each page.
async fn pages(desk: &Desk, mut query: ListRuns) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    loop {
        let RunPage { lines, more, upto } = page(desk, &query).await;
        query.after = upto.or_else(|| lines.last().map(|line| line.run.clone()));
        pages.push(lines.into_iter().map(|line| line.name).collect());
        if !more {
            return pages;
        }
    }
}

/// Mallory has more than a page of them, and john one.
async fn crowd() -> Desk {
    let desk = Desk::new().await;
    for number in 0..=PAGE_LINES_MAX {
        let (name, id) = (format!("n{number}"), format!("id-{number}"));
        let (kind, verb) = ("nap".to_owned(), "start".to_owned());
        let (owner, fields, by) = (owner("mallory"), Map::new(), Caller::Api);
        let command = EntityCommand { kind, owner, name, verb, fields, id, by };
        desk.say(Inbound::Command(command, ReplyTo("caller".into()))).await;
    }
    desk.start("nap").await;
    desk
}

#[test]
fn the_runs_of_one_owner_are_found_among_many_a_page_at_a_time() {
    on_simulated_time(async {
        let desk = crowd().await;
        let of = |name: &str, kind: &str| ListRuns {
            owner: Some(owner(name)),
            kind: Some(kind.to_owned()),
            ..ListRuns::default()
        };
        let johns = pages(&desk, of("john", "nap")).await;
        assert_eq!((johns.len(), johns.concat()), (2, vec!["x".to_owned()]));
        let theirs = pages(&desk, of("mallory", "nap")).await.concat();
        assert_eq!(theirs.len(), PAGE_LINES_MAX + 1);
        assert!(!theirs.contains(&"x".to_owned()));
        // Other kinds than theirs are not looked through for these.
        for kind in ["napkin", "na", "zzz", ""] {
            assert_eq!(pages(&desk, of("john", kind)).await, [Vec::<String>::new()], "{kind}");
        }
        let all = pages(&desk, ListRuns::default()).await;
        assert_eq!((all.len(), all.concat().len()), (2, PAGE_LINES_MAX + 2));
    });
}

#[test]
fn the_lives_of_one_entity_are_found_without_a_look_at_others() {
    on_simulated_time(async {
        let desk = crowd().await;
        let lives = |name: &str, latest| ListRuns {
            entity: Some(EntityKey::of("nap", &owner("john"), name)),
            latest,
            ..ListRuns::default()
        };
        for latest in [true, false] {
            assert_eq!(pages(&desk, lives("x", latest)).await, [["x".to_owned()]]);
            assert_eq!(pages(&desk, lives("y", latest)).await, [Vec::<String>::new()]);
        }
    });
}
