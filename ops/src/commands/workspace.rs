//! `stead workspace`: gives commands to workspaces, and shows them.

use stead_schemas::command::workspace::{KIND, WorkspaceView};
use stead_schemas::owner::Owner;

use super::entities::list;
use super::from_coder;
use super::give::{Ending, Order, Told, give};
use super::run::{client, find, show};
use crate::cli::Global;
use crate::cli::fields::Command;
use crate::cli::workspace::{Verb, Workspace};
use crate::exit::Ended;

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Workspace) -> Result<(), Ended> {
    if let Verb::FromCoder(asked) = &options.verb {
        return from_coder::carry_out(global, asked).await;
    }
    let owner = find::owner(options.owner.as_deref())?;
    let order = |verb, command| order(&owner, verb, command);
    let order = match &options.verb {
        Verb::List { all } => {
            let none = "`stead workspace create NAME` makes one";
            return list(global, (KIND, &owner), *all, none).await;
        }
        Verb::Show { name } => {
            let client = client(global).await?;
            let run = find::latest(&client, KIND, &owner, name).await?;
            return show(global, &client, &run).await;
        }
        Verb::Create { command, template, size, storage_backend, on_failure } => Order {
            fields: command
                .fields()
                .text("template", template.as_ref())
                .size(size)
                .text("storage_backend", storage_backend.as_ref())
                .text("on_failure", on_failure.as_ref()),
            ..order("create", command)
        },
        Verb::Resize { command, size } => {
            Order { fields: command.fields().size(size), ..order("resize", command) }
        }
        Verb::Start(command) => order("start", command),
        Verb::Stop(command) => order("stop", command),
        Verb::Restart(command) => order("restart", command),
        Verb::Rebuild { command, template } => Order {
            fields: command.fields().text("template", template.as_ref()),
            ..order("rebuild", command)
        },
        Verb::Configure { command, autostop_minutes, ttl_hours, by_itself } => Order {
            fields: command
                .fields()
                .number("autostop_minutes", autostop_minutes.as_ref())
                .number("ttl_hours", ttl_hours.as_ref())
                .by_itself(by_itself),
            ..order("configure", command)
        },
        Verb::Update(command) => order("update", command),
        Verb::Retry { command, change } => {
            Order { fields: command.fields().change(change), ..order("retry", command) }
        }
        Verb::Delete { command, now } => {
            Order { fields: command.fields().flag("now", *now), ..order("delete", command) }
        }
        Verb::Undelete(command) => order("undelete", command),
        Verb::FromCoder(_) => unreachable!("it is carried out above"),
    };
    give(global, &order).await
}

fn order<'a>(owner: &'a Owner, verb: &'a str, command: &'a Command) -> Order<'a> {
    Order { owner, kind: KIND, verb, command, fields: command.fields(), told: Told::Shown(told) }
}

/// A good end in words: where the workspace stands now.
fn told(ending: &Ending<'_>) -> String {
    let name = ending.entity();
    let took = ending.took().map_or(String::new(), |took| format!(", after {took}"));
    let view = ending.view.as_ref().map(|view| view.view.clone());
    let shown = view.and_then(|view| serde_json::from_value::<WorkspaceView>(view).ok());
    let Some(shown) = shown else { return format!("{name}: {} is done{took}", ending.verb) };
    let size = shown.size;
    let mut facts = vec![format!("{} cores, {} GiB", size.cpu_cores, size.memory_gb)];
    facts.extend(shown.vmid.map(|vmid| format!("VMID {vmid} on {}", shown.node)));
    let home = |home| format!("home {home} ({} GiB)", size.storage_quota_gb);
    facts.extend(shown.home_source.map(home));
    let volume = shown.volume.map(|own| format!("volume {} ({} GiB)", own.dataset, own.size_gb));
    facts.extend(volume);
    match shown.phase.word() {
        "deleted" => format!("{name} is deleted{took}"),
        phase => format!("{name} is {phase}{took}\n  {}", facts.join("\n  ")),
    }
}
