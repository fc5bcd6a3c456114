//! How a command ended, in words: what happened, what was taken back, whether anything is left,
//! whether the data is safe, and what to do next.

use serde_json::{Value, json};
use stead_schemas::event::Outcome;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::RunId;
use stead_schemas::public::RunView;

use super::aftermath::Aftermath;
use crate::story::Moment;
use crate::story::operations::{End, Operation, StepSpan, operations};
use crate::story::words::span;

/// What is known when a command has ended.
pub struct Ending<'a> {
    /// The run that carried it out.
    pub run: &'a RunId,
    /// Which kind of entity it is.
    pub kind: &'static str,
    /// Its name, as it was typed.
    pub name: &'a str,
    /// What was asked.
    pub verb: &'a str,
    /// The command's id.
    pub command: &'a str,
    /// What was seen of the run.
    pub seen: Vec<Moment>,
    /// What the run shows of itself now.
    pub view: Option<RunView>,
    /// What it left, if it failed or deleted something, and the log shows that.
    pub after: Option<Aftermath>,
}

impl Ending<'_> {
    /// It failed.
    pub fn failed(&self, failure: &Failure) -> String {
        let operation = self.operation();
        let mut lines = vec![format!("{} of {} failed: {failure}", self.verb, self.entity())];
        lines.extend(operation.as_ref().map(taken_back));
        lines.push(self.left(operation.as_ref()));
        lines.extend(self.after.iter().flat_map(|after| after.data.clone()));
        lines.push(format!("next: {}", next(failure.class, self.verb)));
        lines.push(format!("`stead replay {}` tells the whole story", self.run));
        lines.join("\n  ")
    }

    /// The same, for machines.
    pub fn as_json(&self, outcome: &Outcome) -> Value {
        let (run, command, view) = (self.run, self.command, &self.view);
        let mut told = json!({ "run": run, "command": command, "outcome": outcome, "view": view });
        if let Some(Aftermath { left, data }) = &self.after {
            told["left"] = json!(left);
            told["data"] = json!(data);
        }
        told
    }

    /// The entity with its owner, where that is known.
    pub fn entity(&self) -> String {
        let line = self.view.as_ref().map(|view| &view.summary);
        line.map_or(self.run.to_string(), |line| format!("{}/{}", line.owner, line.name))
    }

    fn operation(&self) -> Option<Operation> {
        operations(&self.seen).into_iter().find(|operation| operation.id == self.command)
    }

    /// How long it took, where that was seen.
    pub fn took(&self) -> Option<String> {
        let operation = self.operation()?;
        Some(span(operation.until?.since(operation.from)))
    }

    /// Whether something is left of what the command began.
    fn left(&self, operation: Option<&Operation>) -> String {
        let stuck: Vec<&str> = operation
            .iter()
            .flat_map(|operation| &operation.steps)
            .filter(|step| step.is_undo && step.end != End::Done)
            .map(|step| step.name.as_str())
            .collect();
        if !stuck.is_empty() {
            return format!("still to be taken back: {}", stuck.join(", "));
        }
        let phase = self.view.as_ref().map(|view| view.summary.phase.as_str());
        if let ("retry", Some("stuck")) = (self.verb, phase) {
            return "what was made so far stays; retry it or delete it".to_owned();
        }
        let Some(after) = &self.after else {
            return "whether anything of it is left is not known here, as the log cannot be read; \
                    `stead ledger` lists it"
                .to_owned();
        };
        let left = match after.left.as_slice() {
            [] => "nothing of it is left".to_owned(),
            left => format!("left: {}", left.join(", ")),
        };
        match (self.verb, phase) {
            ("create", _) => format!("{left}; its name is free again"),
            (_, Some(phase)) => format!("{left}; the {} is {phase}", self.kind),
            (_, None) => left,
        }
    }
}

fn taken_back(operation: &Operation) -> String {
    let is_undone = |step: &&StepSpan| step.is_undo && step.end == End::Done;
    let undone: Vec<&str> =
        operation.steps.iter().filter(is_undone).map(|step| step.name.as_str()).collect();
    match undone.as_slice() {
        [] if operation.steps.iter().any(|step| step.is_undo) => {
            "nothing is taken back yet".to_owned()
        }
        [] => "there was nothing to take back".to_owned(),
        undone => format!("taken back: {}", undone.join(", ")),
    }
}

fn next(class: Class, verb: &str) -> String {
    match class {
        Class::Retry | Class::Ambiguous | Class::Wait | Class::VendorDown => {
            format!("{verb} it again in a while")
        }
        Class::TimedOut => format!("see what took so long, then {verb} it again"),
        Class::Conflict => {
            format!("see what is in the way, which is not Stead's, then {verb} it again")
        }
        Class::Permanent => {
            format!("change what the words above name, then {verb} it again")
        }
        Class::Auth => {
            "whoever runs the platform must renew that login or its rights in Vault".to_owned()
        }
        Class::Cancelled => format!("nothing; {verb} it again if it is wanted after all"),
        Class::Refused => "see what the words above name".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stead_schemas::dispatch::Caller;
    use stead_schemas::event::{
        CommandAccepted, CommandCompleted, Event, Outcome, StepCompleted, StepFailed, StepScheduled,
    };
    use stead_schemas::failure::{Class, Failure};
    use stead_schemas::time::Timestamp;

    use super::{Aftermath, Ending};
    use crate::story::Moment;

    fn step(seq: u32, name: &str, undo: bool) -> Event {
        let (step, route, request) = (name.to_owned(), Default::default(), Value::Null);
        let (within_ms, detached, policy) = (0, false, Default::default());
        Event::StepScheduled(StepScheduled {
            seq,
            step,
            route,
            request,
            within_ms,
            undo,
            detached,
            policy,
        })
    }

    fn asked() -> Event {
        Event::CommandAccepted(CommandAccepted {
            id: "c".to_owned(),
            verb: "create".to_owned(),
            payload: Value::Null,
            digest: String::new(),
            by: Caller::Api,
            reply: None,
            priority: stead_schemas::limit::Priority::Normal,
        })
    }

    fn failure() -> Failure {
        Failure::new(Class::Permanent, "the storage is full").at("proxmox.clone-vm")
    }

    fn check(more: Vec<Event>, after: Option<Aftermath>, expected: &[&str]) {
        let failed = StepFailed { seq: 1, failure: failure(), attempts: 1 };
        let mut events =
            vec![asked(), step(1, "proxmox.clone-vm", false), Event::StepFailed(failed)];
        events.extend(more);
        let at = Timestamp::from_millis(0);
        let moments = events.into_iter().map(|event| Moment { n: 1, at, event });
        let run = "workspace-k3j5x7q2m4n6p8r9-1".parse().expect("a run id");
        let seen = moments.collect();
        let ending = Ending {
            run: &run,
            kind: "workspace",
            name: "dev",
            verb: "create",
            command: "c",
            seen,
            view: None,
            after,
        };
        let told = ending.failed(&failure());
        assert_eq!(told.lines().map(str::trim).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_failure_says_what_was_taken_back_and_what_to_do_next() {
        let undone = StepCompleted { seq: 2, answer: json!({}), attempts: 1, met: None };
        let outcome = Outcome::Failed(failure());
        let answered = CommandCompleted { id: "c".to_owned(), outcome };
        let more = vec![
            step(2, "home.detach", true),
            Event::StepCompleted(undone),
            Event::CommandCompleted(answered),
        ];
        let left = vec!["truenas/dataset/tank/john".to_owned()];
        let data = vec!["home: new, and kept until 2026-12-07 12:00:00 UTC (50 GiB)".to_owned()];
        check(
            more,
            Some(Aftermath { left, data }),
            &[
                "create of workspace-k3j5x7q2m4n6p8r9-1 failed: proxmox.clone-vm: the storage is full",
                "taken back: home.detach",
                "left: truenas/dataset/tank/john; its name is free again",
                "home: new, and kept until 2026-12-07 12:00:00 UTC (50 GiB)",
                "next: change what the words above name, then create it again",
                "`stead replay workspace-k3j5x7q2m4n6p8r9-1` tells the whole story",
            ],
        );
    }

    #[test]
    fn nothing_is_said_to_be_left_only_where_that_is_known() {
        let told = |after, left| {
            check(
                Vec::new(),
                after,
                &[
                    "create of workspace-k3j5x7q2m4n6p8r9-1 failed: proxmox.clone-vm: the storage is full",
                    "there was nothing to take back",
                    left,
                    "next: change what the words above name, then create it again",
                    "`stead replay workspace-k3j5x7q2m4n6p8r9-1` tells the whole story",
                ],
            );
        };
        told(Some(Aftermath::default()), "nothing of it is left; its name is free again");
        told(
            None,
            "whether anything of it is left is not known here, as the log cannot be read; `stead \
             ledger` lists it",
        );
    }

    #[test]
    fn what_is_not_taken_back_yet_is_named() {
        check(
            vec![step(2, "home.detach", true)],
            None,
            &[
                "create of workspace-k3j5x7q2m4n6p8r9-1 failed: proxmox.clone-vm: the storage is full",
                "nothing is taken back yet",
                "still to be taken back: home.detach",
                "next: change what the words above name, then create it again",
                "`stead replay workspace-k3j5x7q2m4n6p8r9-1` tells the whole story",
            ],
        );
    }
}
