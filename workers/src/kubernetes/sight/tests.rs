//! What is seen of the objects of servers.

use stead_schemas::failure::Class;
use stead_schemas::step::sight::{PAGE, SightServers, Thing};

use crate::testing::{Stage, marker};

fn look(after: Option<String>) -> SightServers {
    let [login, namespace] = ["vault:secret/data/kubernetes/api", "mcp-servers"].map(str::to_owned);
    SightServers { login, namespace, after }
}

async fn all(stage: &Stage) -> (Vec<Thing>, usize) {
    let (mut things, mut pages, mut after) = (Vec::new(), 0, None);
    loop {
        let page = stage.ask(look(after)).await.unwrap();
        things.extend(page.things);
        (after, pages) = (page.after, pages + 1);
        if after.is_none() {
            return (things, pages);
        }
    }
}

#[tokio::test]
async fn each_object_is_seen_with_its_mark_or_without_one() {
    let stage = Stage::open().await;
    for (kind, name) in [("deployment", "ours"), ("service", "ours"), ("configmap", "theirs")] {
        stage.lab.strange(kind, name);
    }
    assert!(stage.lab.label_object("deployment", "ours", "stead/marker", &marker()));
    let (seen, pages) = all(&stage).await;
    let told = seen.iter().map(|thing| (thing.resource.path(), thing.marker.clone()));
    let expected = [
        ("kubernetes/configmap/mcp-servers/theirs", None),
        ("kubernetes/service/mcp-servers/ours", None),
        ("kubernetes/deployment/mcp-servers/ours", Some(marker())),
    ];
    let expected = expected.map(|(path, marker)| (path.to_owned(), marker));
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert_eq!(pages, 3, "one of each kind");
    assert!(stage.lab.lose_object("deployment", "ours"));
    assert_eq!(all(&stage).await.0.len(), 2);
}

#[tokio::test]
async fn many_objects_come_page_by_page_and_each_once() {
    let stage = Stage::open().await;
    for number in 0..=PAGE {
        stage.lab.strange("service", &format!("s-{number}"));
    }
    let (seen, pages) = all(&stage).await;
    let mut names: Vec<_> = seen.iter().map(|thing| &thing.resource.id).collect();
    names.dedup();
    assert_eq!((names.len(), pages), (PAGE + 1, 4));
    let failure = stage.refused(look(Some("pods".to_owned())), Class::Permanent).await;
    assert!(failure.words.contains("no kind of object"), "{failure}");
    stage.lab.break_("kubernetes", "unauthorized").unwrap();
    stage.refused(look(None), Class::Auth).await;
}
