//! Coder through its own API.

use futures_util::StreamExt;
use serde_json::json;
use stead_lab::Provisioner;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::machine::{token, workspace};
use crate::rig::{Answer, DEADLINE, Rig, text};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn get(rig: &Rig, path: &str) -> Answer {
    rig.coder("GET", path, None).await.expect("an answer")
}

async fn build(rig: &Rig, id: &str, transition: &str) -> Answer {
    let order = json!({ "transition": transition });
    rig.coder("POST", &format!("/workspaces/{id}/builds"), Some(order)).await.expect("an answer")
}

async fn at_status(rig: &Rig, status: &str) {
    rig.until(|now| now.coder_workspaces.iter().any(|one| one.status == status)).await;
}

#[tokio::test]
async fn a_workspace_lives_from_its_first_build_to_its_deletion() {
    let rig = Rig::start().await;
    let (id, first) = workspace(&rig, "dev").await;
    let shown = get(&rig, "/users/alice/workspace/dev").await.body;
    assert_eq!(shown["latest_build"]["status"], "running");
    let agent = &shown["latest_build"]["resources"][0]["agents"][0];
    assert_eq!(
        (&agent["status"], &agent["lifecycle_state"]),
        (&json!("connecting"), &json!("created"))
    );
    assert_eq!(get(&rig, &format!("/workspaceagents/{}", text(&agent["id"]))).await.status, 200);
    let build_id = text(&shown["latest_build"]["id"]);
    let parameters = get(&rig, &format!("/workspacebuilds/{build_id}/parameters")).await.body;
    assert_eq!(parameters, json!([{ "name": "stead_run", "value": "run-1" }]));

    assert_eq!(build(&rig, &id, "stop").await.status, 201);
    at_status(&rig, "stopped").await;
    assert_eq!(build(&rig, &id, "start").await.body["build_number"], 3);
    at_status(&rig, "running").await;
    assert_ne!(token(&rig, &id).await, first);
    assert_eq!(build(&rig, &id, "delete").await.status, 201);
    rig.until(stead_lab::Inventory::is_empty).await;
    assert_eq!(get(&rig, &format!("/workspaces/{id}")).await.status, 410);
    assert_eq!(get(&rig, "/users/alice/workspace/dev").await.status, 404);
    assert_eq!(
        get(&rig, &format!("/workspaces/{id}?include_deleted=true")).await.body["latest_build"]["status"],
        "deleted"
    );
    assert_eq!(build(&rig, &id, "start").await.status, 409);
    assert_eq!(rig.effects("coder-build-start"), 2);
}

#[tokio::test]
async fn refusals_have_coders_shape() {
    let rig = Rig::start().await;
    workspace(&rig, "dev").await;
    let template =
        get(&rig, "/organizations/default/templates/stead-machine").await.body["id"].clone();
    let order = |name: &str| json!({ "name": name, "template_id": template });
    let post = async |user: &str, body| {
        rig.coder("POST", &format!("/users/{user}/workspaces"), Some(body))
            .await
            .expect("an answer")
    };
    let twice = post("alice", order("dev")).await;
    assert_eq!((twice.status, &twice.body["validations"][0]["field"]), (409, &json!("name")));
    let bad = post("alice", order("not_a_name")).await;
    assert_eq!((bad.status, &bad.body["validations"][0]["field"]), (400, &json!("name")));
    assert_eq!(post("nobody", order("dev")).await.status, 400);
    assert_eq!(
        get(&rig, "/users/nobody").await.body["message"],
        "\"user\" must be an existing uuid or username."
    );
    let new = rig
        .coder("POST", "/users", Some(json!({ "username": "nobody", "email": "n@lab.invalid" })))
        .await;
    assert_eq!(new.expect("an answer").status, 201);
    assert_eq!(post("nobody", order("dev")).await.status, 201);
    assert_eq!(get(&rig, "/workspaces?q=owner:nobody%20name:dev").await.body["count"], 1);
    assert_eq!(get(&rig, "/organizations/default/templates/none").await.status, 404);
    let signed_out = rig.http.get(format!("{}/api/v2/users/me", rig.lab.addresses().coder_url));
    assert_eq!(crate::rig::send(signed_out, None).await.expect("an answer").status, 401);
}

#[tokio::test]
async fn every_fault_of_coder_fires() {
    let rig = Rig::start().await;
    let (id, _) = workspace(&rig, "dev").await;
    let break_once = |fault| rig.lab.break_times("coder", fault, 1).expect("known");
    break_once("build-active");
    assert_eq!(
        build(&rig, &id, "stop").await.body["message"],
        "A workspace build is already active."
    );
    break_once("rate-limited");
    assert_eq!(get(&rig, "/users/me").await.status, 429);
    break_once("unauthorized");
    assert_eq!(get(&rig, "/users/me").await.status, 401);
    break_once("build-failed");
    assert_eq!(build(&rig, &id, "stop").await.status, 201);
    at_status(&rig, "failed").await;
    break_once("lost-response");
    let order = json!({ "transition": "stop" });
    assert!(rig.coder("POST", &format!("/workspaces/{id}/builds"), Some(order)).await.is_none());
    at_status(&rig, "stopped").await;
}

#[tokio::test]
async fn a_pending_build_is_canceled_at_once_and_a_finished_one_never() {
    let rig = Rig::start().await;
    let (id, _) = workspace(&rig, "dev").await;
    rig.lab.break_("coder", "build-stuck").expect("known");
    let pending = text(&build(&rig, &id, "stop").await.body["id"]);
    assert_eq!(build(&rig, &id, "start").await.status, 409);
    let cancel = async |query: &str| {
        let path = format!("/workspacebuilds/{pending}/cancel{query}");
        rig.coder("PATCH", &path, None).await.expect("an answer").status
    };
    assert_eq!(cancel("?expect_status=running").await, 412);
    assert_eq!(cancel("?expect_status=pending").await, 200);
    assert_eq!(cancel("").await, 400);
    at_status(&rig, "canceled").await;
}

/// Knocks at the door of agents: the open connection, or the status of the refusal.
async fn connect(rig: &Rig, token: &str) -> Result<Socket, u16> {
    let url = rig.lab.addresses().coder_url.replacen("http", "ws", 1);
    let url = format!("{url}/api/v2/workspaceagents/me/rpc");
    let mut request = url.into_client_request().expect("a request");
    let token = token.parse().expect("a header");
    request.headers_mut().insert("coder-session-token", token);
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn agent_is(rig: &Rig, status: &str, lifecycle: &str) {
    rig.until(|now| {
        let agent = now.coder_workspaces[0].agent.as_ref();
        agent.is_some_and(|agent| agent.status == status && agent.lifecycle == lifecycle)
    })
    .await;
}

#[tokio::test]
async fn an_agent_from_outside_is_ready_for_as_long_as_its_connection_stands() {
    let rig = Rig::start().await;
    let (id, first) = workspace(&rig, "dev").await;
    assert_eq!(connect(&rig, "nobody's").await.err(), Some(401));
    let agent = connect(&rig, &first).await.expect("let in");
    agent_is(&rig, "connected", "ready").await;
    drop(agent);
    agent_is(&rig, "disconnected", "ready").await;

    let mut agent = connect(&rig, &first).await.expect("let in again");
    agent_is(&rig, "connected", "ready").await;
    assert_eq!(build(&rig, &id, "stop").await.status, 201);
    at_status(&rig, "stopped").await;
    // The door is closed on an agent of the past, and stays closed.
    let end = tokio::time::timeout(DEADLINE, agent.next()).await.expect("an end in time");
    assert!(!matches!(end, Some(Ok(Message::Text(_) | Message::Binary(_)))), "{end:?}");
    assert_eq!(connect(&rig, &first).await.err(), Some(403));
    assert_eq!(build(&rig, &id, "start").await.status, 201);
    at_status(&rig, "running").await;
    assert_eq!(connect(&rig, &first).await.err(), Some(403));
    let second = token(&rig, &id).await;
    let _agent = connect(&rig, &second).await.expect("let in with the new token");
    agent_is(&rig, "connected", "ready").await;
}

/// What the latest build's log says, one line after the other, once the build stands so.
async fn log_of(rig: &Rig, status: &str) -> Vec<String> {
    at_status(rig, status).await;
    let shown = get(rig, "/users/alice/workspace/dev").await.body;
    let build = text(&shown["latest_build"]["id"]);
    let lines = get(rig, &format!("/workspacebuilds/{build}/logs")).await.body;
    let lines = lines.as_array().expect("lines").iter().skip(1);
    lines.map(|line| text(&line["output"])).collect()
}

#[tokio::test]
async fn a_build_is_handed_over_as_the_template_does_it_and_its_log_says_what_is_said() {
    let rig = Rig::start().await;
    let with = |program: &str| {
        rig.lab.provision_with(Provisioner { program: program.into(), environment: Vec::new() });
    };
    with("echo");
    let (id, _) = workspace(&rig, "dev").await;
    let mut first = log_of(&rig, "running").await;
    let whole = |cores: u32| {
        format!(
            "workspace from-coder --cpu-cores {cores} --memory-gb 8 --storage-quota-gb 50 \
             --storage-backend iscsi"
        )
    };
    assert_eq!(first.pop(), Some(whole(4)));
    first.sort();
    let resized = ["--cpu-cores 4", "--memory-gb 8", "--storage-quota-gb 50"];
    let resized = resized.map(|size| format!("workspace from-coder --resize {size}"));
    assert_eq!(first, resized);
    build(&rig, &id, "stop").await;
    assert_eq!(log_of(&rig, "stopped").await, [whole(4)]);
    // What failed is not taken for applied.
    for (program, status) in [("false", "failed"), ("echo", "running")] {
        with(program);
        let eight = json!([{ "name": "cpu_cores", "value": "8" }]);
        let order = json!({ "transition": "start", "rich_parameter_values": eight });
        rig.coder("POST", &format!("/workspaces/{id}/builds"), Some(order)).await;
        at_status(&rig, status).await;
    }
    let moved = ["workspace from-coder --resize --cpu-cores 8".to_owned(), whole(8)];
    assert_eq!(log_of(&rig, "running").await, moved);
    build(&rig, &id, "delete").await;
    rig.until(stead_lab::Inventory::is_empty).await;
}
