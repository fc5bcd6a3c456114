//! `stead mcp`: gives commands to MCP servers, and says how they fare.

use serde_json::Value;
use stead_schemas::command::mcp::{KIND, McpRelease, McpView};
use stead_schemas::owner::Owner;
use stead_schemas::public::RunView;
use stead_schemas::step::vmids::PLATFORM;
use stead_schemas::time::Timestamp;

use super::entities::{list, show};
use super::give::{Order, Told, give};
use super::run::find;
use crate::cli::Global;
use crate::cli::fields::{Command, Fields};
use crate::cli::mcp::{Mcp, Verb};
use crate::exit::Ended;
use crate::story::table::{sheet, table};
use crate::story::words::span;

/// How much of an image's digest people look at.
const SHORT: usize = 12;

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Mcp) -> Result<(), Ended> {
    let owner = find::owner(Some(PLATFORM))?;
    let order = |verb, command| order(&owner, verb, command, command.fields());
    let order = match &options.verb {
        Verb::List { all } => {
            let none = "`stead mcp deploy NAME` deploys one that the site declares";
            return list(global, (KIND, &owner), *all, none).await;
        }
        Verb::Show { name } => return show(global, (KIND, &owner), name, shown).await,
        Verb::Deploy { command, tag, take_over } => {
            let fields = command.fields().text("tag", tag.as_ref());
            let fields = fields.flag("take_over", *take_over);
            Order { fields, ..order("deploy", command) }
        }
        Verb::Repair { command, take_over } => {
            let fields = command.fields().flag("take_over", *take_over);
            Order { fields, ..order("repair", command) }
        }
        Verb::Rollback(command) => order("rollback", command),
        Verb::Remove(command) => order("remove", command),
    };
    give(global, &order).await
}

fn order<'a>(owner: &'a Owner, verb: &'a str, command: &'a Command, fields: Fields) -> Order<'a> {
    Order { owner, kind: KIND, verb, command, fields, told: Told::Result(told) }
}

/// A result in words.
fn told(name: &str, result: &Value) -> String {
    let text = |field: &str| result[field].as_str();
    let mut lines = vec![format!("{name} is {}", text("phase").unwrap_or("done"))];
    lines.extend(text("what").map(|what| format!("  {what}")));
    lines.join("\n")
}

/// `registry.lan/outline@sha256:0123456789ab`.
fn short(image: &str) -> &str {
    let digest = image.find("sha256:").map_or(image.len(), |at| at + "sha256:".len());
    image.get(..digest + SHORT).unwrap_or(image)
}

/// Everything about a server, and what it ran, the latest first.
fn shown(run: &RunView, view: &McpView, now: Timestamp, width: usize) -> String {
    let line = &run.summary;
    let details = sheet(&[
        ("  server", line.name.clone()),
        ("  run", line.run.to_string()),
        ("  state", format!("{}, {}", line.state.word(), line.phase)),
        ("  namespace", view.namespace.clone()),
        ("  runs", view.active.clone().unwrap_or_default()),
        ("  trouble", view.trouble.clone().unwrap_or_default()),
    ]);
    let row = |release: &McpRelease| {
        let is_active = Some(&release.image) == view.active.as_ref();
        let state = if is_active { "runs" } else { "ran" };
        let ago = format!("{} ago", span(now.since(release.at)));
        let pods = release.server.replicas.to_string();
        [
            short(&release.image).to_owned(),
            release.server.image.clone(),
            state.to_owned(),
            pods,
            ago,
        ]
    };
    let rows: Vec<[String; 5]> = view.releases.iter().map(row).collect();
    if rows.is_empty() {
        return details;
    }
    let heads = ["IMAGE", "ASKED FOR AS", "STATE", "PODS", "ROLLED OUT"];
    format!("{details}\n{}", table(heads, &rows, width))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{short, told};

    #[test]
    fn a_result_says_which_image_runs() {
        let image = format!("registry.lan/outline@sha256:{}", "0123456789abcdef".repeat(4));
        let result = json!({ "phase": "ready", "what": format!("{image} runs"), "image": image });
        assert_eq!(told("outline", &result), format!("outline is ready\n  {image} runs"));
        assert_eq!(told("outline", &json!({ "phase": "removed" })), "outline is removed");
        assert_eq!(short(&image), "registry.lan/outline@sha256:0123456789ab");
        assert_eq!(short("registry.lan/outline:1"), "registry.lan/outline:1");
    }
}
