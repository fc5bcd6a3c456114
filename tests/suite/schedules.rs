//! Schedules from outside: one that is triggered, one whose firing nobody was there for, and one
//! that has the command before taken back.

use std::future::ready;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use stead_schemas::command::schedule::{Cause, Fired, ScheduleView};
use stead_schemas::dispatch::Accepted;
use stead_schemas::event::{Event, Outcome};
use stead_schemas::time::Timestamp;

use crate::stage::{Desk, Seen, Stage, check_whole, until};

/// A firing that is later than this has been missed.
const ON_TIME: Duration = Duration::from_secs(15);

async fn create(john: &Desk, fields: Value) -> Accepted {
    let mut all = json!({
        "name": "s",
        "cron": "0 0 1 1 *",
        "command": { "kind": "probe", "name": "p", "verb": "start" },
    });
    all.as_object_mut().expect("fields").extend(fields.as_object().expect("fields").clone());
    john.ask("schedule", "create", all).await.expect("it is let in")
}

async fn trigger(john: &Desk, id: &str) -> (Accepted, Outcome) {
    let fields = json!({ "id": id, "name": "s" });
    let accepted = john.ask("schedule", "trigger", fields).await.expect("it is let in");
    let outcome = john.outcome(&accepted).await;
    (accepted, outcome)
}

/// What the schedule shows, once it shows this.
async fn shows(
    stage: &Stage,
    schedule: &Accepted,
    what: &str,
    fits: impl Fn(&ScheduleView) -> bool,
) -> ScheduleView {
    let look = || async {
        let run = stage.client.view(&schedule.run).await.ok().flatten()?;
        let view: ScheduleView = serde_json::from_value(run.view).ok()?;
        fits(&view).then_some(view)
    };
    stage.events.until(what, look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_triggered_schedule_gives_its_command_once() {
    let mut stage = Stage::start().await;
    let john = stage.desk("john").await;
    let schedule = create(&john, json!({})).await;
    let (_, outcome) = trigger(&john, "now").await;
    let Outcome::Done(result) = outcome else { panic!("{outcome:?}") };
    let view = shows(&stage, &schedule, "the firing is done", |view| {
        view.last.first().is_some_and(|last| last.outcome == Fired::Done)
    })
    .await;
    let firing = &view.last[0];
    assert_eq!((firing.cause, view.last.len()), (Cause::Trigger, 1));
    assert_eq!(result["command"].as_str(), firing.command.as_deref());
    assert_eq!((view.next.len(), view.counts.triggered), (5, 1));

    // The same again, before and after the engine was killed, is no second firing.
    stage.kill_engine(0);
    stage.start_engine(0);
    let (again, _) = trigger(&john, "now").await;
    assert!(again.repeated);
    let refusal = john
        .ask("schedule", "plan", json!({ "name": "s" }))
        .await
        .expect_err("a schedule alone asks for its plan");
    assert_eq!(refusal.code, "verb.unknown");
    let runs = stage.client.list_all().await.expect("a list");
    assert_eq!(runs.iter().filter(|line| line.kind == "probe").count(), 1, "{runs:#?}");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_firing_that_no_engine_was_there_for_is_caught_up() {
    let mut stage = Stage::start().await;
    let john = stage.desk("john").await;
    let schedule = create(&john, json!({ "cron": "* * * * *" })).await;
    let view = shows(&stage, &schedule, "it is planned", |view| !view.next.is_empty()).await;
    let missed = view.next[0];
    stage.kill_engine(0);
    until("its time has come", || ready((now() >= missed).then_some(()))).await;
    let late = missed.after(ON_TIME).after(Duration::from_millis(100));
    until("it is late", || ready((now() > late).then_some(()))).await;
    let from = stage.events.count();
    stage.start_engine(0);

    let is_done = |view: &ScheduleView| {
        view.last.iter().any(|last| last.at == missed && last.outcome == Fired::Done)
    };
    let view = shows(&stage, &schedule, "it is caught up", is_done).await;
    let firing = view.last.iter().find(|last| last.at == missed).expect("it is shown");
    assert_eq!((firing.cause, firing.firings), (Cause::CaughtUp, 1), "{view:#?}");
    assert!(firing.given.is_some_and(|given| given > missed.after(ON_TIME)));
    assert_eq!(view.counts.caught_up, 1);
    let noted = |seen: &Seen| {
        seen.name() == "noted" && seen.body["event"]["Noted"]["what"] == "firing-caught-up"
    };
    stage.events.first("the catch-up is told", from, noted).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_before_is_taken_back_for_the_next_firing() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    let dev = john.carry_out("create", json!({})).await;
    john.carry_out("stop", json!({})).await;
    let command = json!({ "kind": "workspace", "name": "dev", "verb": "start" });
    let policy = json!({ "command": command, "overlap": "cancel-running" });
    let schedule = create(&john, policy).await;
    stage.slow_down(Duration::from_millis(300));
    let from = stage.events.count();
    trigger(&john, "one").await;
    let begun = |seen: &Seen| seen.scheduled() == Some("coder.start-workspace");
    stage.events.first("the first one is at it", from, begun).await;
    trigger(&john, "two").await;
    stage.events.first("it is cancelled", from, |seen| seen.name() == "cancel-requested").await;
    stage.lab.mend();
    let view = shows(&stage, &schedule, "the second one is done", |view| {
        view.last.first().is_some_and(|last| last.outcome == Fired::Done)
    })
    .await;
    assert_eq!(view.last[1].outcome, Fired::Failed, "{view:#?}");
    check_whole(&stage.lab, "john");
    let history = john.history(&dev.run).await.expect("a history");
    let why = history.iter().flat_map(|one| &one.events).find_map(|event| match event {
        Event::CancelRequested(cancel) => Some(cancel.why.clone()),
        _ => None,
    });
    assert_eq!(why.as_deref(), Some("the run that had asked for this no longer wants it"));
    stage.finish().await;
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp::from_millis(i64::try_from(since.as_millis()).expect("not that late"))
}
