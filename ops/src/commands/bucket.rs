//! `stead bucket`: gives commands to buckets, and shows them.

use serde_json::Value;
use stead_schemas::command::bucket::KIND;
use stead_schemas::owner::Owner;

use super::entities::list;
use super::give::{Order, Told, give};
use super::run::{client, find, show};
use crate::cli::Global;
use crate::cli::bucket::{Bucket, User, Verb};
use crate::cli::fields::{Command, Fields};
use crate::exit::Ended;

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Bucket) -> Result<(), Ended> {
    let owner = find::owner(options.owner.as_deref())?;
    let order = |verb, command| order(&owner, verb, command, command.fields());
    let order = match &options.verb {
        Verb::List { all } => {
            let none = "`stead bucket create NAME` makes one";
            return list(global, (KIND, &owner), *all, none).await;
        }
        Verb::Show { name } => {
            let client = client(global).await?;
            let run = find::latest(&client, KIND, &owner, name).await?;
            return show(global, &client, &run).await;
        }
        Verb::Create { command, limits } => {
            Order { fields: command.fields().limits(limits), ..order("create", command) }
        }
        Verb::Resize { command, limits } => {
            Order { fields: command.fields().limits(limits), ..order("resize", command) }
        }
        Verb::Attach(asked) => of_user(&owner, "attach", asked),
        Verb::Detach(asked) => of_user(&owner, "detach", asked),
        Verb::Delete { command, confirm } => Order {
            fields: command.fields().text("confirm", confirm.as_ref()),
            ..order("delete", command)
        },
        Verb::Restore(command) => order("restore", command),
    };
    give(global, &order).await
}

fn order<'a>(owner: &'a Owner, verb: &'a str, command: &'a Command, fields: Fields) -> Order<'a> {
    Order { owner, kind: KIND, verb, command, fields, told: Told::Result(told) }
}

/// An order about a workspace that uses the bucket.
fn of_user<'a>(owner: &'a Owner, verb: &'a str, user: &'a User) -> Order<'a> {
    let command = &user.command;
    let fields = command.fields().text("workspace", Some(&user.workspace));
    order(owner, verb, command, fields)
}

/// A result in words.
fn told(name: &str, result: &Value) -> String {
    let text = |field: &str| result[field].as_str();
    let phase = text("phase").unwrap_or("done");
    let mut lines = vec![match text("kept_until") {
        Some(until) => {
            format!("{name} goes at {until}; until then `stead bucket restore {name}` keeps it")
        }
        None => format!("{name} is {phase}"),
    }];
    if let (Some(bucket), Some(endpoint)) = (text("bucket"), text("endpoint")) {
        lines.push(format!("  bucket {bucket} at {endpoint}"));
    }
    lines.extend(text("credentials").map(|place| format!("  its key lies in {place}")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::told;

    #[test]
    fn a_result_says_where_the_bucket_is_and_how_it_is_had_back() {
        let mut result = json!({
            "phase": "ready", "bucket": "john-dev", "endpoint": "https://s3.lan",
            "credentials": "vault:secret/data/stead/buckets/john-dev#1",
        });
        assert_eq!(
            told("dev", &result),
            "dev is ready\n  bucket john-dev at https://s3.lan\n  its key lies in \
             vault:secret/data/stead/buckets/john-dev#1"
        );
        result["kept_until"] = "2026-12-01T00:00:00.000Z".into();
        let words = "dev goes at 2026-12-01T00:00:00.000Z; until then `stead bucket restore dev`";
        assert!(told("dev", &result).starts_with(words));
        assert_eq!(told("dev", &json!({ "phase": "deleted" })), "dev is deleted");
    }
}
