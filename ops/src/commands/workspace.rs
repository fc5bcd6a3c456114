//! `stead workspace`: gives commands to workspaces, and shows them. What is said of the snapshots of
//! their machines is in `workspace/snapshots.rs`.

mod snapshots;

use stead_schemas::command::workspace::{KIND, Phase, WorkspaceView};
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
        Verb::Snapshot(take) => {
            let told = Told::Result(snapshots::taken);
            Order { fields: take.fields(), told, ..order("snapshot", &take.command) }
        }
        Verb::Snapshots { name } => return snapshots::list(global, &owner, name).await,
        Verb::Rollback(kept) => Order { fields: kept.fields(), ..order("rollback", &kept.command) },
        Verb::Drop(kept) => {
            let told = Told::Result(snapshots::dropped);
            Order { fields: kept.fields(), told, ..order("drop", &kept.command) }
        }
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
    match shown.phase {
        Phase::Deleted => gone(&format!("{name} is deleted{took}"), ending),
        // It was not made yet, and its run has failed once all of it is taken back.
        Phase::Failed if ending.verb == "delete" => {
            let taken = "what its create had made is taken back";
            gone(&format!("{name} is deleted{took}: {taken}"), ending)
        }
        phase => format!("{name} is {}{took}\n  {}", phase.word(), facts.join("\n  ")),
    }
}

/// The same, with what is kept of it.
fn gone(words: &str, ending: &Ending<'_>) -> String {
    let after = ending.after.iter();
    let left =
        after.clone().flat_map(|after| after.left.iter().map(|left| format!("left: {left}")));
    let data = after.flat_map(|after| after.data.clone());
    let lines = std::iter::once(words.to_owned()).chain(left).chain(data);
    lines.collect::<Vec<_>>().join("\n  ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stead_schemas::public::RunView;

    use super::told;
    use crate::commands::give::Ending;
    use crate::commands::give::aftermath::Aftermath;

    fn check(verb: &str, phase: &str, expected: &str) {
        let view: RunView = serde_json::from_value(json!({
            "summary": {
                "run": "workspace-k3j5x7q2m4n6p8r9-1", "kind": "workspace", "owner": "mary",
                "name": "z2", "state": "running", "phase": phase, "waiting": "",
                "started": "2026-12-01T00:00:00.000Z", "updated": "2026-12-01T00:00:00.000Z",
                "transitions": 3,
            },
            "view": {
                "phase": phase, "template": "debian-12", "storage_backend": "iscsi",
                "node": "pve1", "vmid": 10_004, "home_source": "nas:/mnt/tank/mary",
                "size": { "cpu_cores": 4, "memory_gb": 8, "storage_quota_gb": 50 },
            },
            "waiting": [], "commands": [], "outcome": null,
        }))
        .expect("a view");
        let run = view.summary.run.clone();
        let data = vec!["home: kept with all that is in it".to_owned()];
        let after = Some(Aftermath { left: Vec::new(), data });
        let (kind, name, command, seen, view) = ("workspace", "z2", "c", Vec::new(), Some(view));
        let ending = Ending { run: &run, kind, name, verb, command, seen, view, after };
        assert_eq!(told(&ending), expected);
    }

    #[test]
    fn a_delete_says_that_it_is_gone_and_what_is_kept() {
        let home = "home: kept with all that is in it";
        check("delete", "deleted", &format!("mary/z2 is deleted\n  {home}"));
        let taken = "what its create had made is taken back";
        check("delete", "failed", &format!("mary/z2 is deleted: {taken}\n  {home}"));
        let there = "4 cores, 8 GiB\n  VMID 10004 on pve1\n  home nas:/mnt/tank/mary (50 GiB)";
        check("start", "ready", &format!("mary/z2 is ready\n  {there}"));
    }
}
