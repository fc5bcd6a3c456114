//! Schedules: what fires, what is left out, what is caught up, and that each of it can be seen.

use serde_json::{Value, json};
use stead_schemas::command::schedule::{Fired, ScheduleView};
use stead_schemas::dispatch::{Caller, EntityCommand};
use stead_schemas::event::{Event, Outcome};
use stead_schemas::failure::Class;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::refusal::Refusal;
use stead_schemas::time::Timestamp;
use stead_testkit::{Kit, Stage, Trouble};
use stead_workflows::WORKFLOWS;

use crate::kits::{self, john};
use crate::world::World;

fn at(text: &str) -> Timestamp {
    serde_json::from_value(json!(format!("2026-06-01T{text}Z"))).expect("a moment")
}

/// A stage on which it is midnight, and the schedule `s` of john.
struct Tale {
    stage: Stage<World>,
    commands: u32,
}

impl Tale {
    fn new(trouble: &Trouble) -> Self {
        let mut stage = Kit::of(WORKFLOWS).site(kits::site()).stage(trouble);
        stage.set_clock(at("00:00:00.000"));
        Self { stage, commands: 0 }
    }

    /// With a workspace `dev` that runs.
    fn with_dev() -> Self {
        let mut tale = Self::new(&Trouble::default().crash());
        let command = tale.command("workspace", "dev", "create", json!({}));
        let outcome = tale.stage.ask(&command).expect("it is let in");
        assert!(matches!(outcome, Some(Outcome::Done(_))), "{outcome:?}");
        tale
    }

    fn command(&mut self, kind: &str, name: &str, verb: &str, fields: Value) -> EntityCommand {
        self.commands += 1;
        EntityCommand {
            kind: kind.into(),
            owner: john(),
            name: name.into(),
            verb: verb.into(),
            fields: fields.as_object().cloned().unwrap_or_default(),
            id: format!("command-{}", self.commands),
            by: Caller::Api,
        }
    }

    fn create(&mut self, fields: Value) {
        let mut all = json!({
            "cron": "0 * * * *",
            "command": { "kind": "workspace", "name": "dev", "verb": "restart" },
        });
        let (all_fields, more) = (all.as_object_mut().expect("fields"), fields);
        all_fields.extend(more.as_object().expect("fields").clone());
        self.give("create", all).expect("it is let in").expect("it is done");
    }

    /// Gives a command to the schedule; what it says, or how it failed. No time passes.
    fn give(&mut self, verb: &str, fields: Value) -> Result<Result<Value, Class>, String> {
        let command = self.command("schedule", "s", verb, fields);
        self.stage.give(&command).map_err(|refusal| refusal.code)?;
        let outcome = self.stage.outcome(&command.key(), &command.id);
        self.stage.work();
        Ok(match outcome.expect("a schedule says at once what it does") {
            Outcome::Done(result) => Ok(result),
            Outcome::Failed(failure) => Err(failure.class),
        })
    }

    fn run(&self) -> RunId {
        self.stage.latest(&schedule()).expect("there is a schedule")
    }

    fn view(&self) -> ScheduleView {
        serde_json::from_value(self.stage.view(&self.run())).expect("a view")
    }

    /// The last firings, oldest first: `01:00 done`, `3 firings to 04:00 skipped`.
    fn last(&self) -> Vec<String> {
        let shown = self.view().last.into_iter().rev().map(|firing| {
            let time = firing.at.to_string()[11..16].to_owned();
            let cause = serde_json::to_value(firing.cause).expect("a word");
            let cause = match cause.as_str() {
                Some("time") | None => String::new(),
                Some(other) => format!(" {other}"),
            };
            let many = match firing.firings {
                1 => String::new(),
                many => format!("{many} firings to "),
            };
            format!("{many}{time}{cause} {}", firing.outcome.word())
        });
        shown.collect()
    }

    /// What the schedule has noted of the firings in its present life.
    fn notes(&self) -> Vec<String> {
        let events = self.stage.history(&self.run()).iter().flat_map(|it| &it.events);
        let notes = events.filter_map(|event| match event {
            Event::Noted(noted) => Some(noted.what.clone()),
            _ => None,
        });
        notes.collect()
    }

    fn story(&self, key: &EntityKey) -> Vec<String> {
        let story = self.stage.story(key);
        story.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }
}

/// What the schedule's story says once a command that it wanted cancelled is over.
const CANCELLED: &str = "step entity.cancel-command done";

fn schedule() -> EntityKey {
    EntityKey::of("schedule", &john(), "s")
}

fn dev() -> EntityKey {
    EntityKey::of("workspace", &john(), "dev")
}

#[test]
fn it_gives_its_command_at_each_firing() {
    let mut tale = Tale::with_dev();
    tale.create(json!({ "note": "air it" }));
    let next: Vec<String> = tale.view().next.iter().map(ToString::to_string).collect();
    assert_eq!((next.len(), next[4].as_str()), (5, "2026-06-01T05:00:00.000Z"));
    tale.stage.pass_until(at("02:30:00.000"));
    assert_eq!(tale.last(), ["01:00 done", "02:00 done"]);
    let firing = tale.view().last[0].clone();
    let run = tale.run();
    let command = firing.command.expect("it was given");
    assert!(command.starts_with(&format!("{run}:")), "{command}");
    assert!(matches!(tale.stage.outcome(&dev(), &command), Some(Outcome::Done(_))));
    assert_eq!(tale.notes(), ["firing-given", "firing-given"]);
    let gave = |time| {
        format!("note the firing of 2026-06-01T{time}:00.000Z gave workspace.restart to dev")
    };
    let done = "step workspace.restart done".to_owned();
    let mut story = tale.story(&schedule());
    story.retain(|line| line.contains("workspace"));
    assert_eq!(story, [gave("01:00"), done.clone(), gave("02:00"), done]);
    assert_eq!(tale.view().counts.fired, 2);
    tale.stage.everything_replays();
}

#[test]
fn a_firing_whose_command_is_refused_says_so() {
    let mut tale = Tale::with_dev();
    tale.create(json!({ "command": { "kind": "workspace", "name": "no", "verb": "stop" } }));
    tale.stage.pass_until(at("01:30:00.000"));
    let firing = tale.view().last[0].clone();
    assert_eq!((firing.outcome, tale.view().counts.failed), (Fired::Failed, 1));
    assert!(firing.words.is_some_and(|words| words.contains("has no workspace `no`")));
}

#[test]
fn what_was_missed_is_caught_up_as_the_policy_says() {
    let cases = [
        ("skip", json!(86_400), vec!["4 firings to 04:00 missed"]),
        ("last", json!(86_400), vec!["3 firings to 03:00 missed", "04:00 caught-up done"]),
        ("last", json!(60), vec!["4 firings to 04:00 missed"]),
        (
            "all",
            json!(2 * 3_600),
            vec!["2 firings to 02:00 missed", "03:00 caught-up done", "04:00 caught-up done"],
        ),
    ];
    for (catch_up, within, story) in cases {
        let mut tale = Tale::with_dev();
        let policy = json!({ "catch_up": catch_up, "catch_up_within_seconds": within });
        tale.create(policy);
        tale.stage.be_away_until(at("04:30:00.000"));
        assert_eq!(tale.last(), story, "{catch_up} within {within}");
        tale.stage.pass_until(at("05:30:00.000"));
        assert_eq!(tale.last().last().map(String::as_str), Some("05:00 done"));
        let counts = tale.view().counts;
        assert_eq!(counts.missed + counts.caught_up, 4);
        assert!(tale.notes().contains(&"firing-missed".to_owned()));
        tale.stage.everything_replays();
    }
}

#[test]
fn an_outage_of_many_firings_is_counted_to_the_last() {
    let mut tale = Tale::with_dev();
    tale.create(json!({ "cron": "* * * * *", "catch_up": "last" }));
    tale.stage.be_away_until(at("23:00:30.000"));
    let counts = tale.view().counts;
    assert_eq!((counts.missed, counts.caught_up, counts.fired), (23 * 60 - 1, 1, 1));
    assert_eq!(tale.last(), ["1379 firings to 22:59 missed", "23:00 caught-up done"]);
    assert_eq!(tale.view().last[1].from, Some(at("00:01:00.000")), "since when");
    tale.stage.everything_replays();
}

#[test]
fn a_firing_on_time_is_not_late() {
    let mut tale = Tale::with_dev();
    tale.create(json!({ "catch_up": "skip" }));
    tale.stage.be_away_until(at("01:00:14.000"));
    assert_eq!(tale.last(), ["01:00 done"], "an engine took over from another");
    tale.stage.be_away_until(at("02:00:16.000"));
    assert_eq!(tale.last(), ["01:00 done", "02:00 missed"]);
}

#[test]
fn overlapping_firings_do_as_the_policy_says() {
    let cases = [
        ("skip", vec!["01:00 running", "2 firings to 03:00 skipped"], vec!["01:00 done"]),
        ("queue-one", vec!["01:00 running", "03:00 skipped"], vec!["02:00 done"]),
        (
            "allow",
            vec!["01:00 running", "02:00 running", "03:00 running"],
            vec!["01:00 done", "02:00 done", "03:00 done"],
        ),
    ];
    for (overlap, held, then) in cases {
        let mut tale = Tale::with_dev();
        tale.create(json!({ "overlap": overlap }));
        tale.stage.hold("workspace");
        tale.stage.pass_until(at("03:30:00.000"));
        assert_eq!(tale.last(), held, "{overlap}");
        tale.stage.let_go("workspace");
        for line in then {
            assert!(tale.last().contains(&line.to_owned()), "{overlap}: {:?}", tale.last());
        }
        assert_eq!(tale.view().running.len() + tale.view().waiting.len(), 0);
        tale.stage.pass_until(at("04:30:00.000"));
        assert_eq!(tale.last().last().map(String::as_str), Some("04:00 done"));
        tale.stage.everything_replays();
    }
}

#[test]
fn a_running_command_is_cancelled_for_the_next_firing() {
    let mut tale = Tale::with_dev();
    tale.create(json!({ "overlap": "cancel-running" }));
    tale.stage.hold("workspace");
    tale.stage.pass_until(at("01:30:00.000"));
    tale.stage.pass_until(at("02:30:00.000"));
    assert_eq!(tale.last(), ["01:00 failed", "02:00 running"], "nothing is to be taken back");
    assert!(tale.story(&schedule()).contains(&CANCELLED.to_owned()));
    tale.stage.let_go("workspace");
    assert_eq!(tale.last(), ["01:00 failed", "02:00 done"]);
    let words = tale.view().last[1].words.clone().unwrap_or_default();
    assert!(words.contains("the run that had asked for this no longer wants it"), "{words}");
    assert!(tale.story(&dev()).iter().any(|line| line.starts_with("cancel ")));
    tale.stage.everything_replays();
}

#[test]
fn a_command_whose_turn_has_not_come_is_cancelled_when_it_comes() {
    let mut tale = Tale::with_dev();
    tale.create(json!({ "overlap": "cancel-running" }));
    tale.stage.hold("workspace");
    let restart = tale.command("workspace", "dev", "restart", json!({}));
    tale.stage.give(&restart).expect("it is let in");
    tale.stage.pass_until(at("02:30:00.000"));
    assert_eq!(tale.last(), ["01:00 running"], "it waits for john's own");
    assert!(!tale.story(&schedule()).contains(&CANCELLED.to_owned()), "it is not over");
    tale.stage.let_go("workspace");
    assert!(matches!(tale.stage.outcome(&dev(), &restart.id), Some(Outcome::Done(_))));
    assert_eq!(tale.last(), ["01:00 failed", "02:00 done"]);
    assert!(tale.story(&schedule()).contains(&CANCELLED.to_owned()));
    tale.stage.everything_replays();
}

#[test]
fn a_cancel_that_is_not_answered_does_not_save_the_next_command() {
    let mut tale = Tale::with_dev();
    tale.create(json!({ "overlap": "cancel-running" }));
    tale.stage.hold("workspace");
    tale.stage.pass_until(at("01:30:00.000"));
    tale.stage.hold("schedule");
    tale.stage.pass_until(at("02:30:00.000"));
    tale.stage.let_go("workspace");
    assert_eq!(tale.last(), ["01:00 done", "02:00 running"], "the cancel has not been heard");
    tale.stage.pass_until(at("03:30:00.000"));
    tale.stage.let_go("schedule");
    assert_eq!(tale.last(), ["01:00 done", "02:00 failed", "03:00 done"]);
    tale.stage.everything_replays();
}

#[test]
fn a_command_that_never_ends_does_not_grow_the_history() {
    let mut tale = Tale::with_dev();
    tale.create(json!({ "cron": "* * * * *" }));
    tale.stage.hold("workspace");
    tale.stage.pass_until(at("01:00:30.000"));
    let run = tale.run();
    let before = tale.stage.stretches(&run);
    tale.stage.pass_until(at("12:00:30.000"));
    assert_eq!(tale.stage.stretches(&run), before, "it sleeps until the command is done");
    assert_eq!(tale.last(), ["00:01 running", "10 firings to 00:11 skipped"]);
    tale.stage.let_go("workspace");
    assert_eq!(tale.last(), ["00:01 done", "719 firings to 12:00 skipped"]);
    tale.stage.pass_until(at("12:01:30.000"));
    assert_eq!(tale.last().last().map(String::as_str), Some("12:01 done"));
    tale.stage.everything_replays();
}

#[test]
fn a_long_life_begins_anew() {
    let mut tale = Tale::new(&Trouble::default());
    let probe = json!({ "kind": "probe", "name": "p", "verb": "start" });
    tale.create(json!({ "cron": "* * * * *", "command": probe }));
    tale.stage.pass_until(at("10:00:30.000"));
    let stretches = tale.stage.stretches(&tale.run());
    assert!(stretches.len() > 5 && stretches.iter().all(|length| *length < 220), "{stretches:?}");
    let counts = tale.view().counts;
    assert_eq!((counts.fired, counts.skipped, counts.missed, counts.failed), (600, 0, 0, 0));
    tale.stage.everything_replays();
}

#[test]
fn a_paused_schedule_fires_only_when_it_is_triggered() {
    let mut tale = Tale::with_dev();
    tale.create(json!({}));
    assert_eq!(tale.give("pause", json!({})), Ok(Ok(json!({ "phase": "paused" }))));
    tale.stage.pass_until(at("03:30:00.000"));
    assert!(tale.last().is_empty() && tale.view().next.is_empty());
    let triggered = tale.give("trigger", json!({})).expect("it is let in").expect("it fires");
    assert_eq!(triggered["outcome"], "running");
    assert_eq!(tale.last(), ["03:30 trigger done"]);
    assert_eq!(tale.give("resume", json!({})), Ok(Ok(json!({ "phase": "active" }))));
    tale.stage.pass_until(at("04:30:00.000"));
    let told = ["03:30 trigger done", "3 firings to 03:00 skipped", "04:00 done"];
    assert_eq!(tale.last(), told, "what was paused is not missed, and can be seen");
    assert_eq!(tale.view().last[1].from, Some(at("01:00:00.000")), "since when");
    assert_eq!(tale.view().counts.skipped, 3);
    tale.stage.everything_replays();
}

#[test]
fn a_trigger_that_overlaps_is_told_so() {
    let mut tale = Tale::with_dev();
    tale.create(json!({}));
    tale.stage.hold("workspace");
    tale.stage.pass_until(at("01:30:00.000"));
    assert_eq!(tale.give("trigger", json!({})), Ok(Err(Class::Refused)));
    assert_eq!(tale.give("update", json!({ "overlap": "queue-one" })).map(|r| r.is_ok()), Ok(true));
    let waits = tale.give("trigger", json!({})).expect("it is let in").expect("it waits");
    assert_eq!(waits["outcome"], "waiting");
    tale.stage.let_go("workspace");
    assert_eq!(tale.last().last().map(String::as_str), Some("01:30 trigger done"));
}

#[test]
fn an_update_holds_from_now_on() {
    let mut tale = Tale::with_dev();
    tale.create(json!({ "note": "old" }));
    tale.stage.pass_until(at("01:30:00.000"));
    let change = json!({ "cron": "45 9 * * *", "time_zone": "Europe/Berlin" });
    tale.give("update", change).expect("it is let in").expect("it is done");
    assert_eq!(tale.view().next[0], at("07:45:00.000"));
    assert_eq!(tale.view().schedule.note.as_deref(), Some("old"));
    tale.stage.pass_until(at("08:00:00.000"));
    assert_eq!(tale.last(), ["01:00 done", "07:45 done"]);
    tale.stage.everything_replays();
}

#[test]
fn a_rare_firing_is_planned_again_shortly_before() {
    let mut tale = Tale::with_dev();
    tale.create(json!({ "cron": "0 12 29 2 *" }));
    let leap: Timestamp = serde_json::from_value(json!("2028-02-29T12:00:30Z")).expect("a moment");
    tale.stage.pass_until(leap);
    assert_eq!(tale.last(), ["12:00 done"]);
    let story = tale.story(&schedule());
    assert_eq!(
        story.iter().filter(|line| *line == "command schedule.plan").count(),
        3,
        "{story:?}"
    );
}

#[test]
fn a_deleted_schedule_fires_no_more_and_its_name_is_free() {
    let mut tale = Tale::with_dev();
    tale.create(json!({}));
    assert_eq!(
        tale.give("create",
            json!({ "cron": "@daily", "command": { "kind": "probe", "name": "p", "verb": "start" } })
        ),
        Err("schedule.exists".to_owned())
    );
    assert_eq!(tale.give("delete", json!({})), Ok(Ok(json!({ "phase": "deleted" }))));
    tale.stage.pass_until(at("05:00:00.000"));
    assert_eq!(tale.give("trigger", json!({})), Err("schedule.unknown".to_owned()));
    tale.create(json!({}));
    assert_eq!(tale.run().life(), 2);
    tale.stage.everything_replays();
}

fn refused(name: &str, fields: Value) -> Refusal {
    let mut tale = Tale::new(&Trouble::default());
    let command = tale.command("schedule", name, "create", fields);
    tale.stage.give(&command).unwrap_err()
}

#[test]
fn bad_schedules_are_refused_by_field() {
    let command = json!({ "kind": "workspace", "name": "dev", "verb": "stop" });
    let of = |kind: &str, verb: &str, fields: Value| json!({ "cron": "@daily", "command": { "kind": kind, "name": "x", "verb": verb, "fields": fields } });
    let with = |field: &str, value: Value| {
        let mut fields = json!({ "cron": "@daily", "command": command });
        fields[field] = value;
        fields
    };
    let cases = [
        (json!({ "command": command }), "parameter.missing", "cron"),
        (json!({ "cron": "@daily" }), "parameter.missing", "command"),
        (with("cron", json!("61 * * * *")), "schedule.cron-invalid", "cron"),
        (with("cron", json!("0 0 31 2 *")), "schedule.never-fires", "cron"),
        (with("cron", json!("* * * * * *")), "schedule.too-frequent", "cron"),
        (with("time_zone", json!("Berlin")), "schedule.time-zone-unknown", "time_zone"),
        (with("overlap", json!("maybe")), "parameter.out-of-range", "overlap"),
        (with("catch_up", json!("some")), "parameter.out-of-range", "catch_up"),
        (
            with("catch_up_within_seconds", json!(1)),
            "parameter.out-of-range",
            "catch_up_within_seconds",
        ),
        (with("note", json!("x".repeat(1_001))), "parameter.out-of-range", "note"),
        (with("command", json!("stop")), "parameter.wrong-type", "command"),
        (with("command", json!({ "kind": "workspace" })), "schedule.command-invalid", "command"),
        (of("home", "detach", json!({})), "schedule.command-invalid", "command"),
        (of("workspace", "explode", json!({})), "schedule.command-invalid", "command"),
        (of("schedule", "trigger", json!({})), "schedule.command-invalid", "command"),
        (of("workspace", "stop", json!({ "id": "a" })), "schedule.command-invalid", "command"),
        (with("colour", json!("red")), "command.unknown-field", "colour"),
    ];
    for (fields, code, field) in cases {
        let refusal = refused("s", fields);
        assert_eq!(
            (refusal.code.as_str(), refusal.field.as_deref()),
            (code, Some(field)),
            "{refusal}"
        );
    }
    for name in ["", "S", "-a", "a_", "a b", &"x".repeat(65)] {
        let refusal = refused(name, json!({}));
        assert_eq!(refusal.code, "schedule.name-invalid", "{name}");
    }
    let mut tale = Tale::with_dev();
    tale.create(json!({}));
    assert_eq!(tale.give("update", json!({})), Err("update.nothing".to_owned()));
    assert_eq!(
        tale.give("update", json!({ "cron": "x" })),
        Err("schedule.cron-invalid".to_owned())
    );
}
