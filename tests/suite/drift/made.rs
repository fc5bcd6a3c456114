//! Drift of what CI, templates and servers have outside: a lost thing and a stranger of each kind is
//! named, and what can be done about it is done, or refused in words.

use serde_json::{Value, json};
use stead_schemas::event::Outcome;
use stead_schemas::ids::EntityKey;

use super::{decide, decided, drift, told};
use crate::stage::{Desk, Stage};

const SECRET: &str = "forgejo/secret/john/templates/CODER_SESSION_TOKEN";
const ROUTE: &str = "kubernetes/configmap/mcp-servers/outline";
const SERVICE: &str = "kubernetes/service/mcp-servers/outline";
const THEIRS: &str = "kubernetes/deployment/mcp-servers/theirs";

async fn done(desk: &Desk, kind: &str, verb: &str, fields: Value) {
    let accepted = desk.ask(kind, verb, fields).await.expect("it is let in");
    let outcome = desk.outcome(&accepted).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{kind}.{verb}: {outcome:?}");
}

/// Two versions of a template, a token of john's and a server. Says what the older version is called.
async fn make(stage: &Stage) -> String {
    let (john, platform) = (stage.desk("john").await, stage.desk("platform").await);
    done(&john, "token", "create", json!({ "name": "ci", "repository": "templates" })).await;
    let push = json!({ "name": "stead-machine" });
    done(&platform, "template", "push", push.clone()).await;
    let older = stage.lab.inventory().template_versions[0].0.clone();
    let files = [("stead-machine/more.tf", "# more")];
    stage.lab.commit("platform/templates", "main", &files).expect("a commit");
    done(&platform, "template", "push", push).await;
    let stead = stage.desk("stead").await;
    done(&stead, "mcp", "deploy", json!({ "name": "outline" })).await;
    older
}

/// The first run of somebody's entity.
async fn run_of(stage: &Stage, kind: &str, owner: &str, name: &str) -> String {
    let desk = stage.desk(owner).await;
    EntityKey::of(kind, &desk.owner, name).run(1).to_string()
}

/// The name of a version without its template's.
fn short(version: &str) -> &str {
    version.rsplit('/').next().expect("a name")
}

/// A thing of each kind is lost, and one of each kind is there that nobody here made.
async fn part(stage: &Stage, older: &str, token: &str, strange: &str) {
    let lab = &stage.lab;
    assert!(lab.lose_token(token), "it was made");
    assert!(lab.lose_secret("john/templates", "CODER_SESSION_TOKEN"), "it was given");
    assert!(lab.archive_version(short(older), true), "it was pushed");
    assert!(lab.lose_object("service", "outline"), "it was deployed");
    assert!(lab.label_object("configmap", "outline", "stead/marker", "somebody-else"));
    assert!(lab.plant_token("john", &format!("{strange}-1")));
    assert!(lab.plant_token("john", "johns-own"));
    assert!(lab.plant_secret("john/templates", "JOHNS_OWN"));
    assert!(lab.plant_version("stead-machine", "theirs", &format!("{strange}: by hand")));
    lab.strange("deployment", "theirs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_and_what_is_strange_is_named_wherever_it_is() {
    let stage = Stage::start().await;
    let older = make(&stage).await;
    assert_eq!(told(&drift(&stage, &["scan"]).await), []);
    let token = format!("{}-1", run_of(&stage, "token", "john", "ci").await);
    let strange = run_of(&stage, "token", "mary", "none").await;
    part(&stage, &older, &token, &strange).await;

    let (lost, version) =
        (format!("coder/token/{token}"), format!("coder/template-version/{older}"));
    let (planted, by_hand) =
        (format!("coder/token/{strange}-1"), "coder/template-version/stead-machine/theirs");
    let expected = [
        ("missing", version.as_str()),
        ("missing", &lost),
        ("missing", SECRET),
        ("missing", SERVICE),
        ("changed", ROUTE),
        ("stranger", THEIRS),
        ("orphan", by_hand),
        ("orphan", &planted),
    ];
    let expected = expected.map(|(drift, path)| (drift, path.to_owned()));
    let scan = drift(&stage, &["scan"]).await;
    assert_eq!(told(&scan), expected, "{scan:#}");
    assert_eq!(scan["not_looked_at"], json!({}), "{scan:#}");
    for (verb, resource, words) in [
        ("repair", version.as_str(), "versions unarchive"),
        ("repair", ROUTE, "another's mark"),
        ("adopt", THEIRS, "only machines and datasets"),
        ("destroy", THEIRS, "adopt it first"),
        ("destroy", &planted, "another Stead"),
        ("destroy", by_hand, "another Stead"),
        ("destroy", SERVICE, "for mcp stead/outline"),
    ] {
        let refused = decide(&stage, verb, resource, &[]).await.expect_err("it is refused");
        assert!(refused.contains(words), "{verb} {resource}: {refused}");
    }

    // What is refused in words is put right by hand, the rest by whoever needs it.
    assert!(stage.lab.archive_version(short(&older), false));
    let server = run_of(&stage, "mcp", "stead", "outline").await;
    assert!(stage.lab.label_object("configmap", "outline", "stead/marker", &server));
    assert_eq!(decided(&stage, "repair", SERVICE).await, "repaired");
    assert_eq!(decided(&stage, "repair", SECRET).await, "repaired");
    for resource in [&lost, &planted, by_hand, THEIRS] {
        assert_eq!(decided(&stage, "ignore", resource).await, "ignored");
    }
    let scan = drift(&stage, &["scan"]).await;
    assert_eq!((told(&scan), &scan["ignored"]), (Vec::new(), &json!(4)), "{scan:#}");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_that_are_over_left_is_taken_away_where_that_is_safe() {
    let stage = Stage::start().await;
    let older = make(&stage).await;
    let token = run_of(&stage, "token", "john", "ci").await;
    for run in [&token, &run_of(&stage, "mcp", "stead", "outline").await] {
        let ended = stage.verb(&["run", "terminate", run, "--why=a test"]).await;
        assert!(ended.status.success(), "{ended:?}");
    }
    let platform = stage.desk("platform").await;
    done(&platform, "template", "forget", json!({ "name": "stead-machine" })).await;
    let scan = drift(&stage, &["scan"]).await;
    let found = told(&scan);
    assert_eq!(found.len(), 8, "{scan:#}");
    assert!(found.iter().all(|(drift, _)| *drift == "orphan"), "{scan:#}");

    let newer = stage.lab.inventory().template_versions[1].0.clone();
    let newer = format!("coder/template-version/{newer}");
    for (resource, words) in [
        (SECRET, "carries no mark"),
        ("vault/secret/vault:secret/data/stead/tokens/john/ci/a", "goes with the token"),
        (&newer, "currently set to the active version"),
    ] {
        let refused = decide(&stage, "destroy", resource, &[]).await.expect_err("it is refused");
        assert!(refused.contains(words), "{resource}: {refused}");
    }
    let resources = [
        format!("coder/token/{token}-1"),
        format!("coder/template-version/{older}"),
        SERVICE.to_owned(),
    ];
    for resource in &resources {
        assert_eq!(decided(&stage, "destroy", resource).await, "destroyed");
    }
    let there = stage.lab.inventory();
    assert_eq!((there.coder_tokens.len(), there.kubernetes.len()), (0, 0));
    assert_eq!(there.kept_secrets, Vec::<String>::new());
    let scan = drift(&stage, &["scan"]).await;
    let left = [("orphan", newer), ("orphan", SECRET.to_owned())];
    assert_eq!(told(&scan), left, "{scan:#}");
    stage.finish().await;
}
