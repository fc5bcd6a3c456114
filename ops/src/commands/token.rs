//! `stead token`: gives commands to tokens, and says how they fare.

use serde_json::Value;
use stead_schemas::command::token::KIND;
use stead_schemas::owner::Owner;

use super::entities::{list, show};
use super::give::{Order, Told, give};
use super::run::find;
use crate::cli::Global;
use crate::cli::fields::{Command, Fields};
use crate::cli::token::{Token, Verb};
use crate::exit::Ended;

mod shown;

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Token) -> Result<(), Ended> {
    let owner = find::owner(options.owner.as_deref())?;
    let order = |verb, command| order(&owner, verb, command, command.fields());
    let order = match &options.verb {
        Verb::List { all } => {
            let none = "`stead token create NAME --repository REPOSITORY` makes one";
            return list(global, (KIND, &owner), *all, none).await;
        }
        Verb::Status { name } => {
            return show(global, (KIND, &owner), name, |run, view, now, _| {
                shown::status(run, view, now)
            })
            .await;
        }
        Verb::Create { command, repository, secret, workflow, branch, pace } => Order {
            fields: command
                .fields()
                .text("repository", Some(repository))
                .text("secret", secret.as_ref())
                .text("workflow", workflow.as_ref())
                .text("branch", branch.as_ref())
                .pace(pace),
            ..order("create", command)
        },
        Verb::Configure { command, pace } => {
            Order { fields: command.fields().pace(pace), ..order("configure", command) }
        }
        Verb::Rotate(command) => order("rotate", command),
        Verb::Delete(command) => order("delete", command),
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
    if let (Some(repository), Some(secret)) = (text("repository"), text("secret")) {
        lines.push(format!("  secret {secret} of {repository}"));
    }
    lines.extend(text("expires_at").map(|at| format!("  it ends at {at}")));
    lines.extend(text("next_rotation").map(|at| format!("  and is made anew at {at}")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::told;

    #[test]
    fn a_result_says_where_the_token_is_and_when_it_ends() {
        let result = json!({
            "phase": "ready", "repository": "platform/templates", "secret": "CODER_SESSION_TOKEN",
            "expires_at": "2026-12-06T00:00:00.000Z", "next_rotation": "2026-12-05T00:00:00.000Z",
        });
        assert_eq!(
            told("ci", &result),
            "ci is ready\n  secret CODER_SESSION_TOKEN of platform/templates\n  it ends at \
             2026-12-06T00:00:00.000Z\n  and is made anew at 2026-12-05T00:00:00.000Z"
        );
        assert_eq!(told("ci", &json!({ "phase": "deleted" })), "ci is deleted");
    }
}
