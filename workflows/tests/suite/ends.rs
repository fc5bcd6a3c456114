//! What ends by itself: unused workspaces are stopped, and those whose time is over are deleted.

use std::time::Duration;

use serde_json::{Value, json};
use stead_testkit::Trouble;

use crate::tale::{Tale, done};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// John's workspace, configured. Whoever gives a command lets no time pass.
fn configured(fields: Value) -> Tale {
    let mut tale = Tale::new(Trouble::default().crash());
    tale.stage.site.truenas.grace_seconds = 7 * 24 * 3_600;
    tale.give("create", "dev", json!({}));
    tale.stage.work();
    tale.give("configure", "dev", fields);
    tale.stage.work();
    tale
}

fn looks(tale: &Tale) -> usize {
    tale.stage.world.log.iter().filter(|step| *step == "coder.look-up-use").count()
}

#[test]
fn what_nobody_uses_is_stopped_and_one_look_is_enough() {
    let mut tale = configured(json!({ "autostop_minutes": 120 }));
    tale.stage.pass(119 * MINUTE);
    assert_eq!((tale.view("dev")["phase"].as_str(), looks(&tale)), (Some("ready"), 0));
    tale.stage.pass(2 * MINUTE);
    assert_eq!((tale.view("dev")["phase"].as_str(), looks(&tale)), (Some("stopped"), 1));
    tale.stage.pass(48 * HOUR);
    assert_eq!(looks(&tale), 1, "what is off is not looked at");
    assert!(tale.has_told("dev", "it is stopped: last used at"));
    tale.stage.everything_replays();
}

#[test]
fn what_somebody_uses_goes_on_from_the_last_use() {
    let mut tale = configured(json!({ "autostop_minutes": 120 }));
    tale.stage.world.used_at = tale.stage.now().after(90 * MINUTE);
    tale.stage.pass(125 * MINUTE);
    assert_eq!((tale.view("dev")["phase"].as_str(), looks(&tale)), (Some("ready"), 1));
    tale.stage.pass(80 * MINUTE);
    assert_eq!((tale.view("dev")["phase"].as_str(), looks(&tale)), (Some("ready"), 1));
    tale.stage.pass(10 * MINUTE);
    assert_eq!((tale.view("dev")["phase"].as_str(), looks(&tale)), (Some("stopped"), 2));
}

#[test]
fn what_cannot_be_looked_up_is_not_stopped() {
    let mut tale = configured(json!({ "autostop_minutes": 120 }));
    tale.stage.world.fails_next = Some("coder.look-up-use".to_owned());
    tale.stage.pass(121 * MINUTE);
    assert_eq!(tale.view("dev")["phase"], "ready");
    assert!(tale.has_told("dev", "it is not stopped: nobody can say whether it is used"));
    tale.stage.pass(121 * MINUTE);
    assert_eq!(tale.view("dev")["phase"], "stopped");
}

#[test]
fn an_end_is_announced_a_day_before_and_can_be_put_off() {
    let mut tale = configured(json!({ "ttl_hours": 72 }));
    let expires = tale.view("dev")["ends"]["expires_at"].clone();
    tale.stage.pass(49 * HOUR);
    let words = expires.as_str().map(|at| format!("it is deleted at {at}, unless"));
    assert!(tale.has_told("dev", &words.expect("a time")));
    tale.give("configure", "dev", json!({ "ttl_hours": 72 }));
    tale.stage.pass(48 * HOUR);
    assert_eq!(tale.view("dev")["phase"], "ready");
    tale.stage.pass(30 * HOUR);
    assert_eq!(tale.view("dev")["phase"], "deleted");
    tale.give("undelete", "dev", json!({}));
    tale.stage.work();
    assert_eq!(tale.view("dev")["phase"], "ready", "its time begins anew");
    tale.give("configure", "dev", json!({ "ttl_hours": 0 }));
    tale.stage.pass(1_000 * HOUR);
    assert_eq!(tale.view("dev")["phase"], "ready");
    tale.stage.everything_replays();
}

#[test]
fn bad_settings_are_refused_by_field() {
    let mut tale = configured(json!({ "ttl_hours": 72 }));
    let refusal = tale.workspace("configure", "dev", json!({ "autostop_minutes": 99_999 }));
    assert_eq!(refusal.unwrap_err().field.as_deref(), Some("autostop_minutes"));
    let mut tale = configured(json!({ "autostop_minutes": 0 }));
    let refusal = tale.workspace("configure", "dev", json!({})).unwrap_err();
    assert_eq!(refusal.code, "configure.nothing");
    done(tale.workspace("delete", "dev", json!({ "now": true })));
    let tale = configured(json!({ "autostop_minutes": 0 }));
    assert_eq!(tale.view("dev")["ends"], json!(null));
}
