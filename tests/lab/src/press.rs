//! What a developer presses in the lab's Coder, by its own API, and the log of the build that follows.

use std::sync::Arc;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::options::Addresses;
use crate::world::World;

/// What is pressed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PressOrder {
    pub(crate) owner: String,
    pub(crate) name: String,
    /// `create`, `start`, `stop` or `delete`.
    pub(crate) what: String,
    pub(crate) template: String,
    pub(crate) parameters: Vec<(String, String)>,
}

/// A build: how it stands, and what its log says so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildLog {
    /// `pending`, `running`, `succeeded`, `canceling`, `canceled` or `failed`.
    pub status: String,
    /// The lines, oldest first.
    pub lines: Vec<String>,
}

/// Presses it; the build's id, or Coder's words why not.
pub(crate) async fn press(
    world: &Arc<World>,
    at: &Addresses,
    order: &PressOrder,
) -> Result<String, String> {
    let PressOrder { owner, name, what, template, parameters } = order;
    let parameters: Vec<Value> =
        parameters.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let ask = async |method: Method, path: String, body: Value| {
        let request = world.http.request(method, format!("{}/api/v2{path}", at.coder_url));
        let request = request.header("coder-session-token", &world.secrets.coder_token);
        let answer = request.json(&body).send().await.map_err(|error| error.to_string())?;
        let (well, body) = (answer.status().is_success(), answer.json::<Value>().await);
        let body = body.map_err(|error| error.to_string())?;
        match well {
            true => Ok(body),
            false => Err(body["message"].as_str().unwrap_or("Coder does not say why").to_owned()),
        }
    };
    let made = if what == "create" {
        let path = format!("/organizations/default/templates/{template}");
        let found = ask(Method::GET, path, Value::Null).await?;
        let body = json!({
            "name": name, "template_id": found["id"], "rich_parameter_values": parameters,
        });
        let path = format!("/organizations/default/members/{owner}/workspaces");
        ask(Method::POST, path, body).await?["latest_build"].clone()
    } else {
        let path = format!("/users/{owner}/workspace/{name}");
        let found = ask(Method::GET, path, Value::Null).await?;
        let path = format!("/workspaces/{}/builds", found["id"].as_str().unwrap_or_default());
        ask(Method::POST, path, json!({ "transition": what, "rich_parameter_values": parameters }))
            .await?
    };
    Ok(made["id"].as_str().unwrap_or_default().to_owned())
}

/// A build by its id.
pub(crate) fn build_log(world: &World, id: &str) -> Option<BuildLog> {
    let (status, lines) = world.read(|state| state.coder.log_of(id.parse().ok()?))?;
    Some(BuildLog { status: status.to_owned(), lines })
}
