//! Decisions about findings: `stead drift adopt`, `repair`, `ignore` and `destroy`, and what was decided
//! before, read off the history of those orders.

use serde::Serialize;
use serde_json::{Value, json};
use stead_core::drift::{Drift, Finding};
use stead_nats::SteadClient;
use stead_schemas::command::drift::{DECISIONS, Found, Holder, KIND};
use stead_schemas::command::{bucket, workspace};
use stead_schemas::event::{Event, Outcome};
use stead_schemas::ledger::{Held, Standing};
use stead_schemas::refusal::Refusal;
use stead_schemas::step::home;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;

use super::{Scan, last, ledger, lives, platform, unknown};
use crate::cli::Global;
use crate::cli::drift::Decide;
use crate::commands::give;
use crate::exit::Ended;
use crate::output;
use crate::story::words::{caller, moment, outcome};

/// What was decided about a finding.
#[derive(Clone, Debug, Serialize)]
pub struct Decided {
    /// `adopt`, `repair`, `ignore` or `destroy`.
    pub verb: String,
    /// When.
    pub at: Timestamp,
    /// Who gave the order, in words.
    pub by: String,
    /// Why.
    pub why: String,
    /// What became of it; nothing while it is carried out.
    pub outcome: Option<Outcome>,
    #[serde(skip)]
    id: String,
    #[serde(skip)]
    found: Found,
}

/// Every decision that stands in the log, oldest first.
pub struct Decisions(Vec<Decided>);

impl Decisions {
    /// Reads them.
    pub async fn read(client: &SteadClient) -> Result<Self, Ended> {
        let lines = lives(client, DECISIONS).await?;
        let run = lines.into_iter().max_by_key(|line| line.run.life());
        let Some(run) = run.map(|line| line.run) else { return Ok(Self(Vec::new())) };
        let mut all: Vec<Decided> = Vec::new();
        for recorded in client.history(&run).await?.messages {
            let transition = Transition::decode(&recorded.bytes)
                .map_err(|error| Ended::Failed(format!("{run}: {error}")))?;
            for event in &transition.events {
                take(&mut all, event, transition.at);
            }
        }
        Ok(Self(all))
    }

    /// Whether it is ignored: decided so last, of the finding as it is now.
    pub fn ignores(&self, finding: &Finding) -> bool {
        let (found, path) = (finding.found(), finding.resource.path());
        let last = self.0.iter().rev().find(|decided| decided.found.path() == path);
        last.is_some_and(|last| {
            last.word() == Some("ignored")
                && (&last.found.marker, last.found.drift, last.found.quota_bytes)
                    == (&found.marker, found.drift, found.quota_bytes)
        })
    }

    /// How many decisions were made and are over.
    pub fn settled(&self) -> usize {
        self.0.iter().filter(|decided| decided.outcome.is_some()).count()
    }

    /// Whether nobody has to look at it any more: it is ignored, is to go, or went since.
    pub fn settles(&self, scan: &Scan, finding: &Finding) -> bool {
        let word = self.about(scan, finding).and_then(Decided::word);
        word.is_some_and(|word| ["destroyed", "going", "ignored"].contains(&word))
    }

    /// What was decided last about a finding of this scan.
    pub fn about(&self, scan: &Scan, finding: &Finding) -> Option<&Decided> {
        let path = finding.resource.path();
        let last = self.0.iter().rev().find(|decided| decided.found.path() == path);
        let is_recent = |last: &Decided| last.until().unwrap_or(last.at) >= scan.ended;
        last.filter(|last| match last.verb.as_str() {
            "ignore" => self.ignores(finding) || last.outcome.is_none(),
            _ => is_recent(last),
        })
    }

    /// A finding and what was decided about it, for machines.
    pub fn told_of(&self, scan: &Scan, finding: &Finding) -> Value {
        let mut told = json!(finding);
        if let (Some(decided), Some(fields)) = (self.about(scan, finding), told.as_object_mut()) {
            fields.insert("decided".to_owned(), json!(decided));
        }
        told
    }
}

fn take(all: &mut Vec<Decided>, event: &Event, at: Timestamp) {
    match event {
        Event::CommandAccepted(command) => {
            let found = serde_json::from_value(command.payload["found"].clone());
            let Ok(found) = found else { return };
            let why = command.payload["why"].as_str().unwrap_or_default().to_owned();
            let (verb, by, id) = (command.verb.clone(), caller(&command.by), command.id.clone());
            all.push(Decided { verb, at, by, why, outcome: None, id, found });
        }
        Event::CommandCompleted(completed) => {
            if let Some(decided) = all.iter_mut().find(|decided| decided.id == completed.id) {
                decided.outcome = Some(completed.outcome.clone());
            }
        }
        _ => {}
    }
}

impl Decided {
    /// What came of it: `ignored`, `adopted`, `repaired`, `going`, `destroyed`.
    fn word(&self) -> Option<&str> {
        self.result()?["decided"].as_str()
    }

    /// When it is to go, if its grace period is not over.
    fn until(&self) -> Option<Timestamp> {
        serde_json::from_value(self.result()?["at"].clone()).ok()
    }

    fn result(&self) -> Option<&Value> {
        match self.outcome.as_ref()? {
            Outcome::Done(result) => Some(result),
            Outcome::Failed(_) => None,
        }
    }

    /// In words.
    pub fn in_words(&self) -> String {
        let Self { verb, by, why, .. } = self;
        let became = match (self.word(), self.until(), &self.outcome) {
            (_, Some(until), _) => format!("goes at {}", moment(until)),
            (Some(word), ..) => word.to_owned(),
            (None, None, ended) => ended.as_ref().map_or("not over".to_owned(), outcome),
        };
        format!("{verb}: {became}, {by} at {} ({why})", moment(self.at))
    }
}

/// Gives an order about a finding, and waits for what becomes of it.
pub async fn carry_out(
    global: &Global,
    client: &SteadClient,
    verb: &str,
    order: &Decide,
) -> Result<(), Ended> {
    let found = find(client, verb, &order.resource).await?;
    let path = found.path();
    let fields = json!({ "name": DECISIONS, "why": order.why, "found": found });
    let Value::Object(mut fields) = fields else { unreachable!("it is an object") };
    fields.extend(order.id.as_ref().map(|id| ("id".to_owned(), Value::from(id.as_str()))));
    if order.dry_run {
        let reply = client.rehearse(&platform()?, KIND, verb, &fields).await?;
        return give::tell_rehearsal(global, reply, &format!("{verb} of {path}"));
    }
    let (_, result) = give::carry_out(global, client, (KIND, verb), &fields).await?;
    if global.json {
        output::json(&result);
        return Ok(());
    }
    let line = match (result["decided"].as_str(), result["at"].as_str()) {
        (Some("going"), Some(at)) => {
            format!("{path} goes at {at}; until then `stead drift ignore {path}` keeps it")
        }
        (Some(decided), _) => format!("{path} is {decided}"),
        (None, _) => format!("{verb} of {path} is done"),
    };
    output::line(&line);
    Ok(())
}

/// What the order is about: a finding of the last scan, or something that was adopted. What is to be
/// destroyed is looked up in the ledger as it is now, too.
async fn find(client: &SteadClient, verb: &str, resource: &str) -> Result<Found, Ended> {
    let scan = last(client).await?;
    let found = scan.finding(resource).map(Finding::found);
    if found.is_some() && !["destroy", "repair"].contains(&verb) {
        return found.ok_or_else(|| unknown(resource));
    }
    let held = ledger::read(client, false, None).await?.held;
    let name = found.as_ref().map_or(resource.to_owned(), Found::path);
    let mut now = held.into_iter().filter(|held| {
        (held.resource.path() == name || held.resource.id == name)
            && held.standing != Standing::Left
    });
    if let ("repair", Some(found)) = (verb, &found) {
        // What was put right since the scan, or is of another life by now, is left alone.
        let is_needed = matches!(found.drift, Drift::Missing | Drift::Changed);
        let Some(holder) = found.holder.as_ref().filter(|_| is_needed) else {
            return Ok(found.clone());
        };
        let is_wanted = now.any(|held| held.mark() == holder.marker);
        return if is_wanted { Ok(found.clone()) } else { Err(outdated(found)) };
    }
    let now = now.next();
    match (now, found) {
        (Some(held), _) if held.entity == KIND => Ok(adopted(&held)),
        (Some(held), _) if verb == "destroy" => Err(needed(&held)),
        (_, Some(found)) => unused(client, found).await,
        (_, None) => Err(unknown(resource)),
    }
}

fn outdated(found: &Found) -> Ended {
    let words = format!(
        "nobody needs {} any more as the last scan found it; scan again: `stead drift scan`",
        found.path()
    );
    Ended::Refused(Refusal::new("drift.outdated", words).field("resource"))
}

/// What was left of a home or a bucket may still be in use: its owner's workspaces go first.
async fn unused(client: &SteadClient, found: Found) -> Result<Found, Ended> {
    let is_shared = |holder: &&Holder| [bucket::KIND, home::KIND].contains(&holder.kind.as_str());
    let Some(shared) = found.holder.as_ref().filter(is_shared) else { return Ok(found) };
    let mut lines = client.list_kind(workspace::KIND, Some(&shared.owner)).await?.into_iter();
    let user = lines.find(|line| line.state.lives());
    let Some(user) = user else { return Ok(found) };
    let words = format!(
        "workspace {}/{} lives and may use {}; delete it first",
        user.owner,
        user.name,
        found.path()
    );
    Err(Ended::Refused(Refusal::new("drift.needed", words).field("resource")))
}

fn needed(held: &Held) -> Ended {
    let Held { entity, owner, name, standing, .. } = held;
    let words = format!(
        "{} is {} for {entity} {owner}/{name}, and is not destroyed; take it away there",
        held.resource.path(),
        standing.word()
    );
    Ended::Refused(Refusal::new("drift.needed", words).field("resource"))
}

/// What was adopted is no finding of a later scan any more.
fn adopted(held: &Held) -> Found {
    let resource = held.resource.clone();
    let (system, kind, id) = (resource.system, resource.kind, resource.id);
    let marker = Some(held.marker.clone());
    Found { drift: Drift::Stranger, system, kind, id, marker, quota_bytes: None, holder: None }
}
