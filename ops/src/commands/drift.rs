//! `stead drift`: what is really there, beside the ledger.
//!
//! A scan is a run whose history says what was seen. What it found follows from that and from the
//! ledger as it was when the scan began and when it ended, at any time and the same each time. What
//! was decided about findings stands in a history of its own; `decide.rs` gives such orders and reads
//! them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use stead_core::drift::{Finding, compare};
use stead_nats::SteadClient;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::command::drift::{KIND, NAME};
use stead_schemas::event::Event;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::ledger::Held;
use stead_schemas::owner::Owner;
use stead_schemas::public::{RunState, RunSummary};
use stead_schemas::refusal::Refusal;
use stead_schemas::step::sight::{self, Sighted, Thing};
use stead_schemas::step::vmids::PLATFORM;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;

use super::run::{client, find};
use super::{give, ledger};
use crate::cli::Global;
use crate::cli::drift::Drift;
use crate::exit::Ended;
use crate::output;
use crate::story::table::{sheet, table};
use crate::story::words::{counted, moment, span};

mod count;
mod decide;

pub use count::count;
use decide::Decisions;

/// A scan that is over, and what it found.
struct Scan {
    run: RunId,
    began: Timestamp,
    ended: Timestamp,
    things: usize,
    findings: Vec<Finding>,
    /// What the ledger has of kinds that were not looked for, and how much.
    unseen: BTreeMap<String, u64>,
}

/// Carries the verb out.
pub async fn carry_out(global: &Global, verb: &Drift) -> Result<(), Ended> {
    let client = client(global).await?;
    let (verb, order) = match verb {
        Drift::Scan { id } => {
            let run = scan(global, &client, id.as_deref()).await?;
            let scan = found(&client, run).await?;
            return list(global, &scan, &Decisions::read(&client).await?, false);
        }
        Drift::List { all } => {
            let scan = last(&client).await?;
            return list(global, &scan, &Decisions::read(&client).await?, *all);
        }
        Drift::Show { resource } => {
            let scan = last(&client).await?;
            return show(global, &scan, &Decisions::read(&client).await?, resource);
        }
        Drift::Adopt(order) => ("adopt", order),
        Drift::Repair(order) => ("repair", order),
        Drift::Ignore(order) => ("ignore", order),
        Drift::Destroy(order) => ("destroy", order),
    };
    decide::carry_out(global, &client, verb, order).await
}

/// The last scan, and what it found.
async fn last(client: &SteadClient) -> Result<Scan, Ended> {
    found(client, latest(client).await?).await
}

impl Scan {
    /// The finding of this name.
    fn finding(&self, resource: &str) -> Option<&Finding> {
        let is_it = |finding: &&Finding| {
            finding.resource.path() == resource || finding.resource.id == resource
        };
        self.findings.iter().find(is_it)
    }
}

fn unknown(resource: &str) -> Ended {
    let words = format!("the last scan found nothing about `{resource}`; see `stead drift list`");
    Ended::Refused(Refusal::new("drift.unknown", words).field("resource"))
}

fn platform() -> Result<Owner, Ended> {
    find::owner(Some(PLATFORM))
}

/// Has everything looked at, and waits for that.
async fn scan(global: &Global, client: &SteadClient, id: Option<&str>) -> Result<RunId, Ended> {
    let mut fields = Map::from_iter([("name".to_owned(), json!(NAME))]);
    fields.extend(id.map(|id| ("id".to_owned(), Value::from(id))));
    Ok(give::carry_out(global, client, (KIND, "scan"), &fields).await?.0)
}

/// The last scan that was carried out.
async fn latest(client: &SteadClient) -> Result<RunId, Ended> {
    newest(client).await?.ok_or_else(|| {
        let words = "nothing was scanned yet; `stead drift scan` looks at what is there";
        Ended::Refused(Refusal::new("drift.unscanned", words))
    })
}

/// The same, if there was one.
async fn newest(client: &SteadClient) -> Result<Option<RunId>, Ended> {
    let mut lines = lives(client, NAME).await?;
    lines.retain(|line| line.state == RunState::Completed);
    Ok(lines.into_iter().max_by_key(|line| line.run.life()).map(|line| line.run))
}

/// The runs of the entity of this name: of a scan, or of what was decided.
async fn lives(client: &SteadClient, name: &str) -> Result<Vec<RunSummary>, Ended> {
    let key = EntityKey::of(KIND, &platform()?, name);
    Ok(client.lives(&key).await?)
}

/// Compares what a scan saw with the ledger of before and after.
async fn found(client: &SteadClient, run: RunId) -> Result<Scan, Ended> {
    let (mut things, mut kinds) = (Vec::new(), BTreeSet::new());
    let (mut began, mut ended) = (Timestamp::default(), Timestamp::default());
    let mut steps = Vec::new();
    for recorded in client.history(&run).await?.messages {
        let transition = Transition::decode(&recorded.bytes)
            .map_err(|error| Ended::Failed(format!("{run}: {error}")))?;
        for event in &transition.events {
            match event {
                Event::RunStarted(_) => began = transition.at,
                Event::StepScheduled(step) => steps.push((step.seq, step.step.clone())),
                Event::StepCompleted(done) => {
                    ended = transition.at;
                    let step = steps.iter().find(|(seq, _)| *seq == done.seq);
                    let listed = step.map_or(&[][..], |(_, step)| sight::kinds_of(step));
                    if !listed.is_empty() {
                        kinds.extend(listed.iter().map(|kind| (*kind).to_owned()));
                        things.extend(sighted(&done.answer)?);
                    }
                }
                _ => {}
            }
        }
    }
    let before = ledger::read(client, false, Some(began)).await?;
    let after = ledger::read(client, false, Some(ended)).await?;
    let findings = compare(&before.held, &after.held, &things, &kinds);
    let unseen = unseen(&after.held, &kinds);
    Ok(Scan { run, began, ended, things: things.len(), findings, unseen })
}

/// What nobody has looked for: of such kinds nothing is known but what the ledger has.
fn unseen(held: &[Held], kinds: &BTreeSet<String>) -> BTreeMap<String, u64> {
    let mut unseen = BTreeMap::new();
    for held in held {
        let kind = format!("{}/{}", held.resource.system, held.resource.kind);
        if !kinds.contains(&kind) {
            *unseen.entry(kind).or_default() += 1;
        }
    }
    unseen
}

/// That nothing was found, and where nothing could be.
fn nothing_found(unseen: &BTreeMap<String, u64>) -> String {
    match unseen.is_empty() {
        true => "everything is as the ledger has it".to_owned(),
        false => "everything that was looked at is as the ledger has it".to_owned(),
    }
}

fn not_looked_at(unseen: &BTreeMap<String, u64>) -> Option<String> {
    let kinds: Vec<String> = unseen.iter().map(|(kind, many)| format!("{many} {kind}")).collect();
    (!kinds.is_empty()).then(|| {
        format!(
            "nobody looked at these, which the ledger has, nor for others: {}",
            kinds.join(", ")
        )
    })
}

fn sighted(answer: &Value) -> Result<Vec<Thing>, Ended> {
    let page: Sighted = serde_json::from_value(answer.clone())
        .map_err(|error| Ended::Failed(format!("what was seen cannot be read: {error}")))?;
    Ok(page.things)
}

fn list(global: &Global, scan: &Scan, decisions: &Decisions, all: bool) -> Result<(), Ended> {
    let Scan { run, began, ended, things, .. } = scan;
    let shown = |finding: &&Finding| all || !decisions.ignores(finding);
    let findings: Vec<&Finding> = scan.findings.iter().filter(shown).collect();
    let ignored = scan.findings.iter().filter(|finding| decisions.ignores(finding)).count();
    if global.json {
        let findings = findings.iter().map(|finding| decisions.told_of(scan, finding));
        output::json(&json!({
            "scan": run, "began": began, "ended": ended, "things": things,
            "findings": findings.collect::<Vec<_>>(), "ignored": ignored,
            "not_looked_at": scan.unseen,
        }));
        return Ok(());
    }
    let seen = counted(u64::try_from(*things).unwrap_or(u64::MAX), "resource");
    let ago = span(SystemClock.now().since(*ended));
    let ignored = if ignored > 0 { format!("; {ignored} ignored") } else { String::new() };
    output::note(&format!("{seen} seen at {}, {ago} ago{ignored}", moment(*ended)));
    not_looked_at(&scan.unseen).iter().for_each(|words| output::note(words));
    if findings.is_empty() {
        output::line(&nothing_found(&scan.unseen));
        return Ok(());
    }
    let rows: Vec<[String; 3]> = findings
        .iter()
        .map(|finding| {
            let path = finding.resource.path();
            let decided = decisions.about(scan, finding);
            let words = decided.map_or(finding.words.clone(), |decided| decided.in_words());
            [finding.drift.word().to_owned(), path, words]
        })
        .collect();
    output::line(&table(["DRIFT", "RESOURCE", "WHAT IT IS"], &rows, output::width()));
    Ok(())
}

fn show(global: &Global, scan: &Scan, decisions: &Decisions, resource: &str) -> Result<(), Ended> {
    let finding = scan.finding(resource).ok_or_else(|| unknown(resource))?;
    if global.json {
        output::json(&decisions.told_of(scan, finding));
        return Ok(());
    }
    let held = finding.held.as_ref();
    let whose = |held: &Held| format!("{} {}/{}", held.entity, held.owner, held.name);
    let decided = decisions.about(scan, finding);
    output::line(&sheet(&[
        ("resource", finding.resource.path()),
        ("there", finding.resource.vendor_id.clone().unwrap_or_default()),
        ("drift", finding.drift.word().to_owned()),
        ("marker", finding.marker.clone().unwrap_or_default()),
        ("ledger", held.map_or(String::new(), |held| held.standing.word().to_owned())),
        ("for", held.map_or(String::new(), whose)),
        ("means", finding.words.clone()),
        ("decided", decided.map_or(String::new(), |decided| decided.in_words())),
        ("scan", scan.run.to_string()),
    ]));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};
    use stead_schemas::ledger::Held;

    use super::{not_looked_at, nothing_found, unseen};

    fn held(system: &str, kind: &str) -> Held {
        let line: Value = json!({
            "system": system, "kind": kind, "id": "a", "marker": "m", "standing": "wanted",
            "owner": "john", "entity": "token", "name": "ci", "run": "token-k3j5x7q2m4n6p8r9-1",
            "since": "2026-12-01T00:00:00.000Z", "step": "s",
        });
        serde_json::from_value(line).expect("a line of the ledger")
    }

    #[test]
    fn what_nobody_looked_at_is_not_said_to_be_as_it_should_be() {
        let kinds = BTreeSet::from(["proxmox/machine".to_owned()]);
        let all = unseen(&[held("proxmox", "machine")], &kinds);
        assert_eq!(nothing_found(&all), "everything is as the ledger has it");
        assert_eq!(not_looked_at(&all), None);
        let token = held("coder", "token");
        let some = unseen(&[held("proxmox", "machine"), token.clone(), token], &kinds);
        assert_eq!(nothing_found(&some), "everything that was looked at is as the ledger has it");
        let words = "nobody looked at these, which the ledger has, nor for others: 2 coder/token";
        assert_eq!(not_looked_at(&some).as_deref(), Some(words));
    }
}
