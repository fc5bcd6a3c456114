//! `stead run why`: what a run waits for, since when, and who must act.

use serde_json::json;
use stead_nats::SteadClient;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::event::Outcome;
use stead_schemas::public::{RunState, RunView, Waiting};
use stead_schemas::time::Timestamp;

use super::find;
use crate::cli::Global;
use crate::exit::Ended;
use crate::output;
use crate::story::words::{self, counted, span};

/// Carries the verb out.
pub async fn carry_out(global: &Global, client: &SteadClient, which: &str) -> Result<(), Ended> {
    let run = find::run(client, which).await?;
    let view = find::view(client, &run).await?;
    if global.json {
        let waiting: Vec<_> = view
            .waiting
            .iter()
            .map(|waiting| json!({ "waiting": waiting, "who": who(&view, waiting) }))
            .collect();
        output::json(&json!({ "run": run, "state": view.summary.state, "why": waiting }));
    } else {
        output::line(&told(&view, SystemClock.now(), output::width()));
    }
    Ok(())
}

fn told(view: &RunView, now: Timestamp, width: usize) -> String {
    let line = &view.summary;
    let mut lines: Vec<String> = Vec::new();
    if view.waiting.is_empty() {
        lines.push(match line.state {
            RunState::Running | RunState::Paused => {
                format!("{} waits for nothing but its next command; it is {}", line.run, line.phase)
            }
            over => match &view.outcome {
                Some(Outcome::Failed(failure)) => format!("{} failed: {failure}", line.run),
                _ => format!("{} is over: {}", line.run, over.word()),
            },
        });
    }
    for waiting in &view.waiting {
        let mut said = format!("{}, for {}", waiting.what, span(now.since(waiting.since)));
        if waiting.attempts > 1 {
            said += &format!(", {}", counted(u64::from(waiting.attempts), "attempt"));
        }
        lines.push(words::hanging("waits for    ", &said, width, 13));
        lines.push(words::hanging("  because    ", &because(waiting), width, 13));
        lines.push(words::hanging("  who acts   ", &who(view, waiting), width, 13));
    }
    for command in &view.commands {
        if let Some(before) = super::turn(view, command) {
            let said = format!("{} [{}], once {} is over", command.verb, command.id, before.verb);
            lines.push(words::hanging("and then     ", &said, width, 13));
        }
    }
    for left in &view.left {
        let said = format!("{} ({}) {}", left.step, left.why, left.request);
        lines.push(words::hanging("left behind  ", &said, width, 13));
    }
    for warning in &view.warnings {
        lines.push(words::hanging("warning      ", warning, width, 13));
    }
    lines.join("\n")
}

fn because(waiting: &Waiting) -> String {
    match waiting.words.as_str() {
        "" => waiting.reason.clone(),
        words => format!("{}: {words}", waiting.reason),
    }
}

/// Who has to do something so that it goes on.
fn who(view: &RunView, waiting: &Waiting) -> String {
    let (run, step) = (&view.summary.run, waiting.seq);
    match waiting.reason.as_str() {
        "running" | "entity" => "nobody: it is being carried out".to_owned(),
        "log" => "whoever runs NATS: see `stead explain AppendStuck`".to_owned(),
        "queued" => "nobody: it comes when its turn does; more workers make it sooner".to_owned(),
        "signal" => format!(
            "whoever sends it: `stead run signal {run} {} --why WHY`, with `--payload` if it says \
             something",
            waiting.words
        ),
        "timer" => "nobody: it goes on by itself when the time comes".to_owned(),
        "outside" => "whoever is to report: a machine that boots, for instance".to_owned(),
        "no-worker" => "whoever runs the workers: start one for this system".to_owned(),
        "retrying" => format!(
            "whoever runs that system, if it does not pass; `stead run retry {run} --step {step}` \
             tries now"
        ),
        "limit" => "nobody: a place becomes free when another run's step is done".to_owned(),
        "paused" => format!(
            "an operator: mend what is wrong, then `stead run resume {run}`, or `stead run edit`, \
             `skip` or `cancel`"
        ),
        _ if waiting.cause == "command" => {
            "whoever it belongs to, or an operator: a command that it waits for".to_owned()
        }
        _ if view.summary.state == RunState::Running && step > 0 => format!(
            "an operator: mend what is wrong, then `stead run retry {run} --step {step}`; what can \
             never succeed is given up with `stead run abandon`"
        ),
        _ if waiting.cause == "unknown-kind" => {
            "an operator: let engines of a build that has this workflow own it, and no others"
                .to_owned()
        }
        _ => format!(
            "{}; or give it up as it is: `stead run terminate {run}`",
            who_unparks(&waiting.cause)
        ),
    }
}

/// Who has to do something so that a parked run goes on.
fn who_unparks(cause: &str) -> &'static str {
    match cause {
        "panicked" | "illegal" => {
            "whoever builds Stead: that is a bug; use a build without it, or the one before"
        }
        "unreadable" => {
            "an operator: keep a copy of the log, and use a build that can read it (`stead explain \
             RunParked`)"
        }
        "log" => {
            "whoever wrote the workflow: it says more at once than one message of the log holds"
        }
        _ => "an operator: use a build that decides as the history says",
    }
}

#[cfg(test)]
mod tests {
    use stead_runtime::metric::REASONS;
    use stead_schemas::ids::EntityKey;
    use stead_schemas::owner::Owner;
    use stead_schemas::public::{CommandView, RunState, RunSummary, RunView, Waiting};
    use stead_schemas::time::Timestamp;

    use super::told;

    /// A run that waits for this since two minutes; for the next command alone if for nothing.
    fn waits(seq: u32, reason: &str, cause: &str) -> RunView {
        let owner = Owner::new("john").expect("a name");
        let then = Timestamp::from_millis(1_000_000);
        let waiting = Waiting {
            seq,
            what: "proxmox.clone-vm".into(),
            reason: reason.into(),
            words: "in words".into(),
            since: then,
            attempts: 3,
            cause: cause.into(),
        };
        let summary = RunSummary {
            run: EntityKey::of("workspace", &owner, "dev").run(1),
            kind: "workspace".into(),
            owner,
            name: "dev".into(),
            state: if reason == "paused" { RunState::Paused } else { RunState::Running },
            phase: "ready".into(),
            waiting: String::new(),
            started: then,
            updated: then,
            transitions: 3,
        };
        let waiting = if reason == "command" { Vec::new() } else { vec![waiting] };
        RunView {
            summary,
            view: serde_json::Value::Null,
            waiting,
            commands: Vec::new(),
            outcome: None,
            left: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn said(view: &RunView) -> String {
        told(view, Timestamp::from_millis(1_120_000), 400)
    }

    #[test]
    fn every_reason_says_since_when_and_who_must_act() {
        let table = [
            ("log", "whoever runs NATS: see `stead explain AppendStuck`"),
            ("human", "an operator: mend what is wrong, then `stead run retry workspace-"),
            ("paused", "an operator: mend what is wrong, then `stead run resume workspace-"),
            ("no-worker", "whoever runs the workers"),
            ("retrying", "whoever runs that system, if it does not pass"),
            ("limit", "nobody: a place becomes free"),
            ("queued", "nobody: it comes when its turn does"),
            ("outside", "whoever is to report"),
            ("entity", "nobody: it is being carried out"),
            ("running", "nobody: it is being carried out"),
            ("signal", "whoever sends it: `stead run signal workspace-"),
            ("timer", "nobody: it goes on by itself"),
            ("command", "waits for nothing but its next command; it is ready"),
        ];
        assert_eq!(table.map(|(reason, _)| reason), REASONS);
        for (reason, who) in table {
            let said = said(&waits(7, reason, ""));
            assert!(said.contains(who), "{reason}: {said}");
            if reason != "command" {
                let since = "waits for    proxmox.clone-vm, for 2 min 0 s, 3 attempts\n";
                assert!(said.starts_with(since), "{reason}: {said}");
                assert!(said.contains(&format!("because    {reason}: in words\n")), "{said}");
            }
        }
    }

    #[test]
    fn what_waits_for_somebodys_command_says_that_he_must_act() {
        let said = said(&waits(0, "human", "command"));
        assert!(
            said.contains("who acts   whoever it belongs to, or an operator: a command"),
            "{said}"
        );
        assert!(!said.contains("terminate"), "{said}");
    }

    #[test]
    fn a_command_whose_turn_has_not_come_says_what_it_waits_for() {
        let mut view = waits(7, "retrying", "");
        let open =
            |id: &str, verb: &str| CommandView { id: id.into(), verb: verb.into(), outcome: None };
        view.commands = vec![open("c1", "delete"), open("c2", "create")];
        assert!(said(&view).ends_with("\nand then     create [c2], once delete is over"));
        let shown = super::super::shown(&view, Timestamp::from_millis(1_120_000), 400);
        assert!(shown.contains("create: waits until delete is over [c2]"), "{shown}");
        assert!(shown.contains("delete: going on [c1]"), "{shown}");
        view.commands = vec![open("c1", "create"), open("c2", "retry")];
        assert!(!said(&view).contains("and then"), "a retry is what the create goes on with");
    }

    #[test]
    fn what_is_parked_says_by_cause_who_must_act() {
        let table = [
            ("diverged", "an operator: use a build that decides as the history says"),
            ("illegal", "whoever builds Stead"),
            ("panicked", "whoever builds Stead"),
            ("unreadable", "an operator: keep a copy of the log"),
            ("log", "whoever wrote the workflow"),
        ];
        for (cause, who) in table {
            let said = said(&waits(0, "human", cause));
            assert!(said.contains(&format!("who acts   {who}")), "{cause}: {said}");
            assert!(said.contains("`stead run terminate workspace-"), "{cause}: {said}");
        }
        let said = said(&waits(0, "human", "unknown-kind"));
        assert!(said.contains("let engines of a build that has this workflow own it"), "{said}");
        assert!(!said.contains("stead run terminate"), "{said}");
    }
}
