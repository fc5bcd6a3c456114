//! What becomes of a workspace by the calendar: it starts in the morning, is dormant when nobody
//! has used it for days, and deleted when nobody wakes it.

use serde_json::{Value, json};
use stead_schemas::ids::EntityKey;
use stead_schemas::time::Timestamp;
use stead_testkit::Trouble;

use crate::kits::john;
use crate::tale::{Tale, done};

fn at(text: &str) -> Timestamp {
    serde_json::from_value(json!(text)).expect("a moment")
}

/// John's workspace, made on a Monday at noon, and configured.
fn configured(fields: Value) -> Tale {
    let mut tale = Tale::new(Trouble::default().crash());
    tale.stage.set_clock(at("2026-06-01T12:00:00.000Z"));
    tale.stage.site.truenas.grace_seconds = 7 * 24 * 3_600;
    tale.give("create", "dev", json!({}));
    tale.stage.work();
    tale.stage.world.used_at = tale.stage.now();
    tale.give("configure", "dev", fields);
    tale.stage.work();
    tale
}

fn phase(tale: &Tale) -> String {
    tale.view("dev")["phase"].as_str().unwrap_or_default().to_owned()
}

fn count(tale: &Tale, step: &str) -> usize {
    tale.stage.world.log.iter().filter(|known| *known == step).count()
}

/// How often it has asked what its cron expression means.
fn plans(tale: &Tale) -> usize {
    let story = tale.stage.story(&EntityKey::of("workspace", &john(), "dev"));
    story.matches("schedule.plan").count()
}

/// Lets it be so late.
fn until(tale: &mut Tale, text: &str) {
    let span = at(text).since(tale.stage.now());
    tale.stage.pass(span);
}

#[test]
fn it_starts_in_the_morning_of_its_time_zone_and_only_if_it_is_off() {
    let mut tale =
        configured(json!({ "autostart": "0 8 * * mon-fri", "time_zone": "Europe/Berlin" }));
    // Eight in Berlin in summer.
    let next = |tale: &Tale| tale.view("dev")["autostart"]["next"].clone();
    assert_eq!(next(&tale), "2026-06-02T06:00:00.000Z");
    done(tale.workspace_now("stop", "dev", json!({})));
    until(&mut tale, "2026-06-02T05:59:00.000Z");
    assert_eq!(phase(&tale), "stopped");
    until(&mut tale, "2026-06-02T06:01:00.000Z");
    assert_eq!(phase(&tale), "ready");
    assert!(tale.has_told("dev", "it is started, as planned for 2026-06-02T06:00:00"));
    let started = |tale: &Tale| count(tale, "proxmox.start-vm");
    let before = started(&tale);
    until(&mut tale, "2026-06-03T06:01:00.000Z");
    assert_eq!(started(&tale), before, "it ran already");
    assert_eq!(next(&tale), "2026-06-04T06:00:00.000Z");
    tale.stage.everything_replays();
}

#[test]
fn a_start_that_is_far_away_is_planned_again_shortly_before() {
    let mut tale = configured(json!({ "autostart": "0 8 * * mon" }));
    let before = plans(&tale);
    until(&mut tale, "2026-06-08T06:59:00.000Z");
    assert_eq!(plans(&tale), before);
    until(&mut tale, "2026-06-08T07:01:00.000Z");
    assert!(plans(&tale) > before);
}

#[test]
fn a_start_that_no_engine_was_there_for_is_left_out_and_told() {
    let mut tale = configured(json!({ "autostart": "0 8 * * *" }));
    done(tale.workspace_now("stop", "dev", json!({})));
    tale.stage.be_away_until(at("2026-06-02T20:00:00.000Z"));
    assert_eq!(phase(&tale), "stopped");
    assert!(tale.has_told("dev", "it is not started: it should have been at 2026-06-02T08:00:00"));
    until(&mut tale, "2026-06-03T08:01:00.000Z");
    assert_eq!(phase(&tale), "ready", "the next one holds");
}

#[test]
fn an_autostart_can_be_changed_and_taken_away() {
    let mut tale = configured(json!({ "autostart": "0 8 * * *", "time_zone": "Europe/Berlin" }));
    let shown = |tale: &Tale| tale.view("dev")["autostart"].clone();
    done(tale.workspace_now("configure", "dev", json!({ "autostart": "0 9 * * *" })));
    assert_eq!(shown(&tale)["time_zone"], "Europe/Berlin");
    assert_eq!(shown(&tale)["next"], "2026-06-02T07:00:00.000Z");
    done(tale.workspace_now("configure", "dev", json!({ "autostart": "never" })));
    assert_eq!(shown(&tale), json!(null));
    for (fields, field) in [
        (json!({ "autostart": "0 25 * * *" }), "autostart"),
        (json!({ "autostart": "0 8 * * *", "time_zone": "Berlin" }), "time_zone"),
        (json!({ "time_zone": "Europe/Berlin" }), "autostart"),
        (json!({ "dormant_days": 99_999 }), "dormant_days"),
    ] {
        let refusal = tale.workspace_now("configure", "dev", fields).unwrap_err();
        assert_eq!(refusal.field.as_deref(), Some(field), "{refusal}");
    }
}

#[test]
fn what_nobody_uses_for_days_is_dormant_and_a_start_wakes_it() {
    let fields = json!({ "dormant_days": 10, "autostart": "0 8 * * *" });
    let mut tale = configured(fields);
    let dormant_at = tale.view("dev")["ends"]["dormant_at"].to_string();
    assert!(dormant_at.starts_with("\"2026-06-11T12:00:00"), "{dormant_at}");
    until(&mut tale, "2026-06-10T11:00:00.000Z");
    assert!(!tale.has_told("dev", "nobody uses it"));
    until(&mut tale, "2026-06-10T13:00:00.000Z");
    assert!(tale.has_told("dev", "nobody uses it: it is dormant from 2026-06-11T12:00"));
    until(&mut tale, "2026-06-11T13:00:00.000Z");
    assert_eq!(phase(&tale), "dormant");
    assert!(tale.stage.world.running.is_empty(), "its machine is off");
    until(&mut tale, "2026-08-01T00:00:00.000Z");
    assert_eq!(phase(&tale), "dormant", "it is not started by itself, nor deleted");
    done(tale.workspace_now("start", "dev", json!({})));
    assert_eq!(phase(&tale), "ready");
    assert_eq!(tale.view("dev")["autostart"]["next"], "2026-08-01T08:00:00.000Z");
    tale.stage.everything_replays();
}

#[test]
fn what_somebody_uses_in_the_last_day_stays() {
    let mut tale = configured(json!({ "dormant_days": 10 }));
    until(&mut tale, "2026-06-11T00:00:00.000Z");
    tale.stage.world.used_at = tale.stage.now();
    until(&mut tale, "2026-06-20T23:00:00.000Z");
    assert_eq!(phase(&tale), "ready");
    until(&mut tale, "2026-06-21T01:00:00.000Z");
    assert_eq!(phase(&tale), "dormant");
}

#[test]
fn what_cannot_be_looked_up_is_looked_up_the_next_day() {
    let mut tale = configured(json!({ "dormant_days": 10 }));
    tale.stage.world.fails_next = Some("coder.look-up-use".to_owned());
    until(&mut tale, "2026-06-11T11:00:00.000Z");
    assert_eq!(count(&tale, "coder.look-up-use"), 1);
    assert!(tale.has_told("dev", "it does not become dormant"));
    until(&mut tale, "2026-06-12T13:00:00.000Z");
    assert_eq!(phase(&tale), "dormant", "announced once, and then so");
}

#[test]
fn what_is_announced_late_comes_a_day_after_that() {
    let mut tale = configured(json!({ "dormant_days": 10, "dormant_delete_days": 20 }));
    tale.stage.be_away_until(at("2026-06-20T12:00:00.000Z"));
    assert!(tale.has_told("dev", "nobody uses it: it is dormant from 2026-06-21T12:00"));
    assert_eq!(phase(&tale), "ready");
    until(&mut tale, "2026-06-21T12:01:00.000Z");
    assert_eq!(phase(&tale), "dormant");
    tale.stage.be_away_until(at("2026-08-01T12:00:00.000Z"));
    assert!(tale.has_told("dev", "it is dormant, and deleted at 2026-08-02T12:00"));
    assert_eq!(phase(&tale), "dormant");
    until(&mut tale, "2026-08-02T12:01:00.000Z");
    assert_ne!(phase(&tale), "dormant");
    tale.stage.everything_replays();
}

#[test]
fn what_is_dormant_is_deleted_only_if_that_is_wanted_and_comes_back() {
    let mut tale = configured(json!({ "dormant_days": 10, "dormant_delete_days": 20 }));
    until(&mut tale, "2026-06-30T13:00:00.000Z");
    assert!(tale.has_told("dev", "it is dormant, and deleted at 2026-07-01T12:00"));
    until(&mut tale, "2026-07-01T13:00:00.000Z");
    assert_eq!(phase(&tale), "deleted");
    done(tale.workspace_now("undelete", "dev", json!({})));
    assert_eq!(phase(&tale), "ready");
    until(&mut tale, "2026-07-10T00:00:00.000Z");
    assert_eq!(phase(&tale), "ready", "its time begins anew");
    tale.stage.everything_replays();
}
