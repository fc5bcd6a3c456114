//! `stead template`: gives commands to templates, and says how they fare.

use serde_json::Value;
use stead_schemas::command::template::{KIND, TemplateVersion, TemplateView};
use stead_schemas::owner::Owner;
use stead_schemas::public::RunView;
use stead_schemas::time::Timestamp;

use super::entities::{list, show};
use super::give::{Order, Told, give};
use super::run::find;
use crate::cli::Global;
use crate::cli::fields::{Command, Fields};
use crate::cli::template::{Template, Verb};
use crate::exit::Ended;
use crate::story::table::{sheet, table};
use crate::story::words::span;

/// How much of a commit's hash people look at.
const SHORT: usize = 12;

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Template) -> Result<(), Ended> {
    let owner = find::owner(options.owner.as_deref())?;
    let order = |verb, command| order(&owner, verb, command, command.fields());
    let order = match &options.verb {
        Verb::List { all } => {
            let none = "`stead template push NAME` pushes one that the site deploys";
            return list(global, (KIND, &owner), *all, none).await;
        }
        Verb::Show { name } => return show(global, (KIND, &owner), name, shown).await,
        Verb::Push { command, commit, no_promote } => {
            let promote = no_promote.then_some(Value::Bool(false));
            let fields = command.fields().text("commit", commit.as_ref()).value("promote", promote);
            Order { fields, ..order("push", command) }
        }
        Verb::Promote { command, version } => Order {
            fields: command.fields().text("version", version.as_ref()),
            ..order("promote", command)
        },
        Verb::Check(command) => order("check", command),
        Verb::Rollback(command) => order("rollback", command),
        Verb::Forget(command) => order("forget", command),
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
    let commit = text("commit").map(|commit| format!(", of commit {}", short(commit)));
    let active = text("active").map(|active| format!("  workspaces are made of {active}"));
    lines.extend(active.map(|active| active + &commit.unwrap_or_default()));
    lines.join("\n")
}

fn short(commit: &str) -> &str {
    commit.get(..SHORT).unwrap_or(commit)
}

/// Everything about a template, and its versions, the latest first.
fn shown(run: &RunView, view: &TemplateView, now: Timestamp, width: usize) -> String {
    let line = &run.summary;
    let folder = if view.path.is_empty() { "the whole of it" } else { &view.path };
    let details = sheet(&[
        ("  template", format!("{}/{}", line.owner, line.name)),
        ("  run", line.run.to_string()),
        ("  state", format!("{}, {}", line.state.word(), line.phase)),
        ("  made of", format!("{}, {folder}, branch {}", view.repository, view.branch)),
        ("  active", view.active.clone().unwrap_or_default()),
        ("  tried", view.tried.as_deref().map(short).unwrap_or_default().to_owned()),
        ("  trouble", view.trouble.clone().unwrap_or_default()),
    ]);
    let version = |version: &TemplateVersion| {
        let state = match (Some(&version.name) == view.active.as_ref(), version.was_active) {
            (true, _) => "active",
            (false, true) => "was active",
            (false, false) => "never active",
        };
        let commit = version.commit.as_deref().map_or("not Stead's", short);
        let ago = format!("{} ago", span(now.since(version.at)));
        [version.name.clone(), state.to_owned(), commit.to_owned(), ago]
    };
    let rows: Vec<[String; 4]> = view.versions.iter().map(version).collect();
    if rows.is_empty() {
        return details;
    }
    format!("{details}\n{}", table(["VERSION", "STATE", "COMMIT", "SEEN"], &rows, width))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::told;

    #[test]
    fn a_result_says_what_workspaces_are_made_of() {
        let result = json!({
            "phase": "ready", "what": "0123456789ab-3 is active", "active": "0123456789ab-3",
            "commit": "0123456789abcdef0123456789abcdef01234567",
        });
        assert_eq!(
            told("stead-machine", &result),
            "stead-machine is ready\n  0123456789ab-3 is active\n  workspaces are made of \
             0123456789ab-3, of commit 0123456789ab"
        );
        assert_eq!(
            told("stead-machine", &json!({ "phase": "forgotten" })),
            "stead-machine is forgotten"
        );
    }
}
