//! Sends copies to their target, as jobs of the middleware, and makes way there: a dataset that was
//! destroyed and made again has nothing in common with what the target has under its name, and then
//! the middleware sends none of the others either.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure, Kind};
use stead_schemas::step::Done;
use stead_schemas::step::backup::{Replica, Replicate};

use super::super::client::{Client, Nas};
use super::super::replica::{self, Seen};
use super::super::{dataset, job};

/// The middleware's method that sends once.
const SEND: &str = "replication.run_onetime";

/// Sends what is missing.
pub(crate) async fn replicate(
    client: Client,
    cx: StepContext,
    ask: Replicate,
) -> Result<Done, Failure> {
    let (nas, of) = (client.at(&ask.of.from)?, &ask.of);
    await_others(&nas, &cx, of).await?;
    let failure = match send(&nas, &cx, of, &[]).await {
        Err(failure) if failure.class == Class::Permanent => failure,
        sent => return sent,
    };
    let way = make_way(&nas, &client.at(&of.to)?, &cx, of).await?;
    match way.moved == 0 && way.left_out.is_empty() {
        true => Err(failure),
        false => send(&nas, &cx, of, &way.left_out).await,
    }
}

/// What is still being sent there may have been begun before our snapshots were taken: it is waited
/// for, since two would be in each other's way, and its end says nothing of them.
async fn await_others(nas: &Nas, cx: &StepContext, of: &Replica) -> Result<(), Failure> {
    let sends_there = |arguments: &Value| arguments[0]["target_dataset"] == of.target.as_str();
    while let Some(id) = job::under_way(nas, SEND, sends_there).await? {
        match job::follow(nas, cx, id).await {
            Err(failure) if failure.class.kind() == Kind::Passing => return Err(failure),
            Err(failure) => tracing::warn!(job = id, %failure, "what was sent before has failed"),
            Ok(_) => {}
        }
        cx.still_wanted()?;
    }
    Ok(())
}

/// Whether what the middleware has forgotten has arrived or not, the proof finds out.
async fn send(
    nas: &Nas,
    cx: &StepContext,
    of: &Replica,
    left_out: &[String],
) -> Result<Done, Failure> {
    cx.still_wanted()?;
    job::run(nas, cx, SEND, json!([sending(of, left_out)])).await.map(|_| Done {})
}

fn sending(of: &Replica, left_out: &[String]) -> Value {
    let is_local = of.from.name == of.to.name;
    json!({
        "direction": "PUSH",
        "transport": if is_local { "LOCAL" } else { "SSH" },
        "ssh_credentials": of.ssh_credentials.filter(|_| !is_local),
        "source_datasets": [of.dataset],
        "target_dataset": of.target,
        "recursive": true,
        "exclude": left_out,
        "properties": true,
        "name_regex": format!("^{}[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}t[0-9-]+z$", of.series),
        "allow_from_scratch": false,
        "readonly": "SET",
        "retention_policy": "NONE",
    })
}

/// What became of those that stood in the way.
#[derive(Default)]
struct Way {
    /// How many have made way.
    moved: usize,
    /// The datasets in whose way something stays: they cannot be sent, and all others can.
    left_out: Vec<String>,
}

/// Renames what stands in the way, where it is a copy of ours. Nothing is ever destroyed for it.
async fn make_way(from: &Nas, to: &Nas, cx: &StepContext, of: &Replica) -> Result<Way, Failure> {
    let sources = by_dataset(replica::beneath(from, &of.dataset, &of.series).await?);
    let targets = by_dataset(replica::beneath(to, &of.target, "").await?);
    let (mut way, mut dealt_with) = (Way::default(), Vec::<String>::new());
    for (source, snapshots) in &sources {
        let target = replica::moved(source, &of.dataset, &of.target);
        let Some(there) = targets.get(&target).filter(|there| is_other(snapshots, there)) else {
            continue;
        };
        // What is beneath a dataset has moved with it, or is left out with it.
        if dealt_with.iter().any(|above| target.starts_with(above.as_str())) {
            continue;
        }
        dealt_with.push(format!("{target}/"));
        if has_made_way(to, cx, of, &target, there).await? {
            way.moved += 1;
        } else if *source != of.dataset {
            way.left_out.push(source.clone());
        }
    }
    Ok(way)
}

/// Snapshots of one dataset, each with its name.
type Snapshots = Vec<(String, Seen)>;

fn by_dataset(all: Snapshots) -> BTreeMap<String, Snapshots> {
    let mut found: BTreeMap<String, Snapshots> = BTreeMap::new();
    for (name, seen) in all {
        found.entry(seen.dataset.clone()).or_default().push((name, seen));
    }
    found
}

/// Whether it is known that they have no snapshot in common.
fn is_other(one: &Snapshots, other: &Snapshots) -> bool {
    one.iter().all(|(_, seen)| other.iter().all(|(_, there)| there.is_other_than(seen)))
}

/// Gives what stands there the name of the last copy that it is in.
async fn has_made_way(
    to: &Nas,
    cx: &StepContext,
    of: &Replica,
    target: &str,
    there: &Snapshots,
) -> Result<bool, Failure> {
    let ours = there.iter().filter(|(_, seen)| seen.is_ours(&of.marker));
    let Some(last) = ours.filter_map(|(name, _)| name.strip_prefix(&of.series)).max() else {
        tracing::warn!(target, "what stands in the way there is no copy of ours");
        return Ok(false);
    };
    cx.still_wanted()?;
    match dataset::set_aside(to, target, &format!("{target}.until-{last}")).await {
        Err(failure) if failure.class.kind() == Kind::Lasting => {
            tracing::warn!(target, %failure, "what stands in the way there stays");
            Ok(false)
        }
        done => done.map(|()| true),
    }
}
