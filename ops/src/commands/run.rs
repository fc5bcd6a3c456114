//! `stead run`: looks at runs, follows them, cancels what they do.
//!
//! `find.rs` says which run is meant; `follow.rs` and `screen.rs` show one that goes on.

use stead_nats::SteadClient;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::command::workspace;
use stead_schemas::dispatch::{Accepted, CommandReply, ListRuns};
use stead_schemas::event::Outcome;
use stead_schemas::ids::RunId;
use stead_schemas::public::{CommandView, RunSummary, RunView};
use stead_schemas::time::Timestamp;

use crate::assemble;
use crate::cli::Global;
use crate::cli::run::{List, Run as Verb, State};
use crate::config::read_nats;
use crate::exit::Ended;
use crate::output;
use crate::story::table::{sheet, table};
use crate::story::words::{self, counted, span};

mod cancel;
pub mod find;
pub mod follow;
mod history;
mod order;
pub mod screen;
pub mod timeline;
mod why;

/// Carries the verb out.
pub async fn carry_out(global: &Global, verb: &Verb) -> Result<(), Ended> {
    // A history in a file can be drawn where there is no platform.
    if let Verb::Timeline(options) = verb {
        return timeline::carry_out(global, options).await;
    }
    let client = client(global).await?;
    match verb {
        Verb::List(which) => list(global, &client, which).await,
        Verb::Show(which) => {
            let run = find::run(&client, &which.run).await?;
            show(global, &client, &run).await
        }
        Verb::Watch(which) => watch(global, &client, &which.run).await,
        Verb::History(which) => history::print(global, &client, &which.run).await,
        Verb::Cancel { which, why, dry_run } => {
            let order = cancel::Order { run: &which.run, why, dry_run: *dry_run };
            cancel::carry_out(global, &client, &order).await
        }
        Verb::Why(which) => why::carry_out(global, &client, &which.run).await,
        Verb::Abandon(abandoned) if abandoned.dry_run => {
            order::rehearse_abandon(global, &client, &abandoned.stepped).await
        }
        Verb::Terminate(terminated) => order::terminate(global, &client, terminated).await,
        verb => match verb.order() {
            Some((which, order)) => order::carry_out(global, &client, &which.run, &order).await,
            None => unreachable!("every other verb is an order"),
        },
    }
}

/// A client of the platform that the configuration leads to.
pub async fn client(global: &Global) -> Result<SteadClient, Ended> {
    assemble::client(&read_nats(&global.config)?).await
}

/// What became of a command with this id, if it was given one: accepted, or why not.
pub fn accepted(reply: CommandReply, id: Option<&str>) -> Result<Accepted, Ended> {
    match reply {
        CommandReply::Accepted(accepted) => Ok(accepted),
        CommandReply::Refused(refusal) => Err(Ended::Refused(refusal)),
        CommandReply::Unavailable { words } => {
            let again = id.map_or(String::new(), |id| format!(", with the same --id {id}"));
            Err(Ended::Unavailable(format!("{words}; give the command again{again}")))
        }
    }
}

async fn list(global: &Global, client: &SteadClient, which: &List) -> Result<(), Ended> {
    let owner = which.owner.as_deref().map(|owner| find::owner(Some(owner))).transpose()?;
    let query = ListRuns { owner, kind: which.kind.clone(), ..ListRuns::default() };
    let mut lines = client.list_like(&query).await?;
    let found = lines.len();
    let state = which.state.map(State::of_run);
    let wanted = |line: &RunSummary| match state {
        Some(state) => line.state == state,
        None => line.state.lives(),
    };
    lines.retain(|line| which.all || wanted(line));
    lines.sort_by(|one, other| {
        let order = |line: &RunSummary| (line.kind.clone(), line.owner.clone(), line.started);
        order(one).cmp(&order(other))
    });
    if global.json {
        output::json(&lines);
        return Ok(());
    }
    output::line(&listed(&lines, SystemClock.now(), output::width()));
    if state.is_none() && lines.len() < found {
        let over = u64::try_from(found - lines.len()).unwrap_or(u64::MAX);
        output::note(&format!("{} that are over; --all shows them, too", counted(over, "run")));
    }
    Ok(())
}

fn listed(lines: &[RunSummary], now: Timestamp, width: usize) -> String {
    let rows: Vec<[String; 6]> = lines
        .iter()
        .map(|line| {
            [
                line.run.to_string(),
                format!("{}/{}", line.owner, line.name),
                line.state.word().to_owned(),
                line.phase.clone(),
                span(now.since(line.updated)),
                line.waiting.clone(),
            ]
        })
        .collect();
    table(["RUN", "NAME", "STATE", "PHASE", "FOR", "WAITS FOR"], &rows, width)
}

/// Shows one run.
pub async fn show(global: &Global, client: &SteadClient, run: &RunId) -> Result<(), Ended> {
    let view = find::view(client, run).await?;
    if global.json {
        output::json(&view);
    } else {
        output::line(&shown(&view, SystemClock.now(), output::width()));
    }
    Ok(())
}

fn shown(view: &RunView, now: Timestamp, width: usize) -> String {
    let line = &view.summary;
    let ago = |at| format!("{}, {} ago", words::moment(at), span(now.since(at)));
    let state = match &view.outcome {
        Some(Outcome::Failed(failure)) => format!("{}: {failure}", line.state.word()),
        _ => format!("{}, {}", line.state.word(), line.phase),
    };
    let waits = view.waiting.iter().map(|waiting| {
        let since = span(now.since(waiting.since));
        let words = if waiting.words.is_empty() { "" } else { ": " };
        format!("{} ({}, for {since}){words}{}", waiting.what, waiting.reason, waiting.words)
    });
    let commands = view.commands.iter().map(|command| {
        let stands = match (&command.outcome, turn(view, command)) {
            (Some(outcome), _) => words::outcome(outcome),
            (None, Some(before)) => format!("waits until {} is over", before.verb),
            (None, None) => "going on".to_owned(),
        };
        format!("{}: {stands} [{}]", command.verb, command.id)
    });
    let lines = |lines: &mut dyn Iterator<Item = String>| {
        let room = width.saturating_sub(12);
        lines.map(|line| words::hanging("", &line, room, 2)).collect::<Vec<_>>().join("\n")
    };
    sheet(&[
        ("run", line.run.to_string()),
        ("kind", line.kind.clone()),
        ("name", format!("{}/{}", line.owner, line.name)),
        ("state", lines(&mut std::iter::once(state))),
        ("started", ago(line.started)),
        ("updated", ago(line.updated)),
        ("history", counted(line.transitions, "transition")),
        ("waits for", lines(&mut waits.into_iter())),
        ("commands", lines(&mut commands.into_iter())),
        ("shows", facts(&view.view)),
    ])
}

/// The command whose end a workspace waits for before it begins this one. Other entities may carry
/// out several at once, and so does a create that waits for somebody to say how it goes on.
pub fn turn<'a>(view: &'a RunView, command: &CommandView) -> Option<&'a CommandView> {
    let mut open = view.commands.iter().filter(|command| command.outcome.is_none());
    let first = open.next().filter(|first| first.id != command.id)?;
    let takes_turns = view.summary.kind == workspace::KIND && command.outcome.is_none();
    (takes_turns && !["hold", "retry"].contains(&command.verb.as_str())).then_some(first)
}

/// What a workflow shows of itself, a fact a line.
fn facts(view: &serde_json::Value) -> String {
    let Some(facts) = view.as_object() else { return String::new() };
    let facts = facts.iter().filter(|(_, value)| !value.is_null());
    let lines = facts.map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name}: {text}"),
        None => format!("{name}: {value}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// That nothing happens now is no end: whoever watches something that is ready is told so.
fn goes_on(view: &RunView) -> Option<String> {
    let is_done = view.commands.iter().all(|command| command.outcome.is_some());
    let rests = view.outcome.is_none() && view.waiting.iter().all(|one| one.what == "timer");
    (is_done && rests).then(|| {
        let (run, phase) = (&view.summary.run, &view.summary.phase);
        format!("{run} is {phase}; watching what comes until it is over, or until Ctrl-C")
    })
}

async fn watch(global: &Global, client: &SteadClient, text: &str) -> Result<(), Ended> {
    let run = find::run(client, text).await?;
    let line = find::view(client, &run).await?.summary;
    let published = follow::listen(client, &line.owner, &line.kind).await?;
    let screen = screen::Screen::new(global.json);
    let mut follower = follow::Follower::new(client, run.clone(), published, screen);
    if global.json {
        follower = follower.printing_json();
    }
    follower.catch_up().await?;
    if let Some(words) = goes_on(&find::view(client, &run).await?).filter(|_| !global.json) {
        output::note(&words);
    }
    match follower.follow(&follow::Until::Over).await? {
        Outcome::Done(_) => Ok(()),
        Outcome::Failed(failure) => Err(Ended::Failed(format!("{run} failed: {failure}"))),
    }
}
