//! Coder's worker against the lab.

mod sweep;

use reqwest::Method;
use serde_json::{Value, json};
use stead_schemas::failure::Class;
use stead_schemas::step::coder::{
    AwaitAgent, DeleteWorkspace, FindTemplate, JoinWorkspace, LeaveWorkspace, LookUpUse,
    StartWorkspace, StopWorkspace, Survey,
};
use stead_schemas::step::sight::{SightWorkspaces, Sighted};

use super::build::MARKER;
use crate::testing::{Stage, marker};

const LOGIN: &str = "vault:secret/data/coder/api#1";

fn start() -> StartWorkspace {
    StartWorkspace {
        login: LOGIN.to_owned(),
        organization: "default".to_owned(),
        user: "john".to_owned(),
        name: "dev".to_owned(),
        template: "stead-machine".to_owned(),
        marker: marker(),
        joined: None,
        version: None,
    }
}

fn stop(id: &str) -> StopWorkspace {
    StopWorkspace { login: LOGIN.to_owned(), id: id.to_owned() }
}

fn delete() -> DeleteWorkspace {
    let (user, name) = ("john".to_owned(), "dev".to_owned());
    DeleteWorkspace { login: LOGIN.to_owned(), user, name, marker: marker(), joined: None }
}

fn await_agent(id: &str) -> AwaitAgent {
    AwaitAgent { login: LOGIN.to_owned(), id: id.to_owned() }
}

fn survey(user: &str, template: &str) -> Survey {
    Survey {
        login: LOGIN.to_owned(),
        organization: "default".to_owned(),
        template: template.to_owned(),
        user: user.to_owned(),
    }
}

#[tokio::test]
async fn who_cannot_be_shown_a_workspace_is_told_before_it_is_made() {
    let stage = Stage::open().await;
    let seen = stage.ask(survey("john", "stead-machine")).await.unwrap();
    assert!(seen.login_ends.is_some(), "our token says so");
    assert!(stage.lab.suspend("jane"));
    for (user, template, words) in [
        ("nobody-here", "stead-machine", "Coder knows no user nobody-here; let them log in"),
        ("me", "stead-machine", "Coder knows no user me, and takes stead for that"),
        ("jane", "stead-machine", "jane is suspended in Coder; activate the account"),
        ("john", "nobodys", "Coder has no template nobodys"),
    ] {
        let failure = stage.refused(survey(user, template), Class::Permanent).await;
        assert!(failure.words.starts_with(words), "{failure}");
    }
    assert!(stage.lab.effects().is_empty(), "it was only looked");
}

#[tokio::test]
async fn a_template_is_there_or_it_is_not() {
    let stage = Stage::open().await;
    let find = |template: &str| FindTemplate {
        login: LOGIN.to_owned(),
        organization: "default".to_owned(),
        template: template.to_owned(),
    };
    stage.ask(find("stead-machine")).await.unwrap();
    let missing = stage.refused(find("nobodys"), Class::Permanent).await;
    assert!(missing.words.contains("nobodys"), "{missing}");
}

#[tokio::test]
async fn the_last_use_is_looked_up() {
    let stage = Stage::open().await;
    let id = stage.ask(start()).await.unwrap().id;
    let look = |id: &str| LookUpUse { login: LOGIN.to_owned(), id: id.to_owned() };
    let made = stage.ask(look(&id)).await.unwrap().last_used_at;
    assert!(stage.lab.use_workspace(&id));
    let used = stage.ask(look(&id)).await.unwrap().last_used_at;
    assert!(used > made, "{used} is not after {made}");
    stage.refused(look("00000000-0000-4000-8000-000000000000"), Class::Permanent).await;
}

/// A workspace that somebody else made under our name; Coder's id of it.
async fn put_stranger(stage: &Stage, parameters: Value) -> String {
    let token = ("Coder-Session-Token", stage.secret(LOGIN, "token").await);
    let base = format!("{}/api/v2", stage.lab.addresses().coder_url);
    let template = format!("{base}/organizations/default/templates/stead-machine");
    let template = stage.as_stranger(Method::GET, &template, token.clone(), Value::Null).await;
    let body = json!({
        "name": "dev", "template_id": template["id"], "rich_parameter_values": parameters,
    });
    let url = format!("{base}/users/john/workspaces");
    let made = stage.as_stranger(Method::POST, &url, token, body).await;
    made["id"].as_str().expect("an id").to_owned()
}

fn join(id: &str) -> JoinWorkspace {
    let (user, name, template) = ("john".to_owned(), "dev".to_owned(), "stead-machine".to_owned());
    JoinWorkspace { login: LOGIN.to_owned(), id: id.to_owned(), user, name, template }
}

fn leave(id: &str) -> LeaveWorkspace {
    let JoinWorkspace { login, id, user, name, .. } = join(id);
    LeaveWorkspace { login, id, user, name }
}

#[tokio::test]
async fn what_a_developer_made_is_joined_and_ours_by_its_id() {
    let stage = Stage::open().await;
    let id = put_stranger(&stage, json!([])).await;
    for _ in 0..2 {
        assert_eq!(stage.ask(join(&id)).await.unwrap().id, id);
    }
    let joined = Some(id.clone());
    stage.ask(stop(&id)).await.unwrap();
    let start = StartWorkspace { joined: joined.clone(), ..start() };
    for _ in 0..2 {
        assert_eq!(stage.ask(start.clone()).await.unwrap().id, id);
    }
    for _ in 0..2 {
        stage.ask(leave(&id)).await.unwrap();
    }
    for _ in 0..2 {
        stage.ask(DeleteWorkspace { joined: joined.clone(), ..delete() }).await.unwrap();
    }
    stage.ask(leave(&id)).await.unwrap();
    let counts =
        ["workspace-created", "coder-build-start", "coder-build-stop", "coder-build-delete"];
    assert_eq!(counts.map(|kind| stage.count(kind)), [1, 2, 2, 1]);
    // What is gone is made anew, with a mark of ours.
    assert_ne!(stage.ask(start).await.unwrap().id, id);
    stage.ask(DeleteWorkspace { joined, ..delete() }).await.unwrap();
    assert!(stage.lab.inventory().is_empty());
}

#[tokio::test]
async fn what_is_no_longer_wanted_in_coder_is_not_joined_and_no_build_is_asked_for() {
    let stage = Stage::open().await;
    stage.lab.break_times("coder", "build-failed", 1).unwrap();
    let id = put_stranger(&stage, json!([])).await;
    let failure = stage.refused(join(&id), Class::Permanent).await;
    assert!(failure.words.contains("nobody wants it"), "{failure}");
    assert_eq!(stage.count("coder-build-start"), 1);
    stage.ask(leave(&id)).await.unwrap();
    stage.refused(join(&id), Class::Permanent).await;
}

#[tokio::test]
async fn an_id_that_is_not_this_users_of_this_name_is_left_alone() {
    let stage = Stage::open().await;
    let id = put_stranger(&stage, json!([])).await;
    let (user, name) = ("jane".to_owned(), "other".to_owned());
    stage.refused(JoinWorkspace { user: user.clone(), ..join(&id) }, Class::Conflict).await;
    stage.refused(JoinWorkspace { name: name.clone(), ..join(&id) }, Class::Conflict).await;
    let desktop = JoinWorkspace { template: "stead-desktop".to_owned(), ..join(&id) };
    stage.refused(desktop, Class::Conflict).await;
    stage.ask(LeaveWorkspace { user: user.clone(), ..leave(&id) }).await.unwrap();
    stage.ask(LeaveWorkspace { name: name.clone(), ..leave(&id) }).await.unwrap();
    let of_jane = DeleteWorkspace { user, joined: Some(id.clone()), ..delete() };
    stage.ask(of_jane).await.unwrap();
    let of_other = StartWorkspace { name, joined: Some(id.clone()), ..start() };
    assert_ne!(stage.ask(of_other).await.unwrap().id, id);
    assert_eq!((stage.count("coder-build-stop"), stage.count("coder-build-delete")), (0, 0));
}

#[tokio::test]
async fn a_workspace_starts_stops_and_goes_and_each_may_be_asked_twice() {
    let stage = Stage::open().await;
    let made = stage.ask(start()).await.unwrap();
    assert_eq!(stage.ask(start()).await.unwrap(), made);
    for _ in 0..2 {
        stage.ask(stop(&made.id)).await.unwrap();
    }
    assert_eq!(stage.ask(start()).await.unwrap(), made);
    for _ in 0..2 {
        stage.ask(delete()).await.unwrap();
    }
    stage.ask(stop(&made.id)).await.unwrap();
    let counts =
        ["workspace-created", "coder-build-start", "coder-build-stop", "coder-build-delete"];
    assert_eq!(counts.map(|kind| stage.count(kind)), [1, 2, 1, 1]);
    assert!(stage.lab.inventory().is_empty());
}

#[tokio::test]
async fn a_lost_answer_ends_with_one_effect() {
    let stage = Stage::open().await;
    let lost = ("coder", "lost-response");
    let made = stage.survives(lost, Class::Ambiguous, start()).await;
    stage.survives(lost, Class::Ambiguous, stop(&made.id)).await;
    stage.survives(lost, Class::Ambiguous, start()).await;
    stage.survives(lost, Class::Ambiguous, delete()).await;
    let counts =
        ["workspace-created", "coder-build-start", "coder-build-stop", "coder-build-delete"];
    assert_eq!(counts.map(|kind| stage.count(kind)), [1, 2, 1, 1]);
}

#[tokio::test]
async fn each_start_leaves_a_fresh_agent_token_in_vault() {
    let stage = Stage::open().await;
    let made = stage.ask(start()).await.unwrap();
    let place = format!("vault:secret/data/stead/agents/{}", made.id);
    let first = stage.secret(&place, "token").await;
    stage.ask(stop(&made.id)).await.unwrap();
    stage.ask(start()).await.unwrap();
    assert_ne!(stage.secret(&place, "token").await, first);
}

#[tokio::test]
async fn a_strangers_workspace_is_not_touched() {
    for parameters in
        [json!([]), json!([{ "name": MARKER, "value": "workspace-0000000000000000-1" }])]
    {
        let stage = Stage::open().await;
        put_stranger(&stage, parameters).await;
        stage.refused(start(), Class::Conflict).await;
        stage.ask(delete()).await.unwrap();
        assert_eq!(stage.count("coder-build-delete"), 0);
    }
}

#[tokio::test]
async fn a_build_that_is_going_on_is_waited_for() {
    let stage = Stage::open().await;
    put_stranger(&stage, json!([{ "name": MARKER, "value": marker() }])).await;
    stage.ask(start()).await.unwrap();
    assert_eq!(stage.count("coder-build-start"), 1);
}

#[tokio::test]
async fn a_failed_build_is_done_again() {
    let stage = Stage::open().await;
    stage.lab.break_times("coder", "build-failed", 1).unwrap();
    stage.insist(start()).await;
    assert_eq!((stage.count("workspace-created"), stage.count("coder-build-start")), (1, 2));
    stage.lab.break_("coder", "build-failed").unwrap();
    let failure = stage.refused(delete(), Class::Retry).await;
    assert!(failure.vendor.is_some_and(|said| said.contains("terraform")));
    stage.lab.mend();
    stage.insist(delete()).await;
}

#[tokio::test]
async fn each_trouble_has_its_class() {
    let stage = Stage::open().await;
    let made = stage.ask(start()).await.unwrap();
    for (fault, class) in [
        ("build-active", Class::Wait),
        ("rate-limited", Class::Wait),
        ("unauthorized", Class::Auth),
    ] {
        stage.lab.break_("coder", fault).unwrap();
        stage.refused(stop(&made.id), class).await;
        stage.lab.mend();
    }
    stage.ask(stop(&made.id)).await.unwrap();
}

#[tokio::test]
async fn what_coder_does_not_know_is_named() {
    let stage = Stage::open().await;
    let nobody = StartWorkspace { user: "nobody-here".to_owned(), ..start() };
    let failure = stage.refused(nobody, Class::Permanent).await;
    assert!(failure.words.contains("nobody-here"), "{failure}");
    let template = StartWorkspace { template: "none".to_owned(), ..start() };
    let failure = stage.refused(template, Class::Permanent).await;
    assert!(failure.words.contains("template none"), "{failure}");
    let id = "00000000-0000-4000-8000-000000000000";
    stage.refused(await_agent(id), Class::Permanent).await;
    stage.ask(stop(id)).await.unwrap();
}

#[tokio::test]
async fn the_workspaces_with_a_mark_of_ours_are_listed() {
    let stage = Stage::open().await;
    let sight = |after: Option<&str>| SightWorkspaces {
        login: LOGIN.to_owned(),
        after: after.map(str::to_owned),
    };
    assert_eq!(stage.ask(sight(None)).await.unwrap(), Sighted::default());
    let id = stage.ask(start()).await.unwrap().id;
    let seen = stage.ask(sight(None)).await.unwrap().things;
    assert_eq!((seen.len(), seen[0].resource.path().as_str()), (1, "coder/workspace/john/dev"));
    assert_eq!((&seen[0].resource.vendor_id, &seen[0].marker), (&Some(id), &Some(marker())));
    assert_eq!(stage.ask(sight(Some("1"))).await.unwrap(), Sighted::default());
}
