//! A start: whether there is room for it, and what is said of a guest that does not come up.

use std::time::Duration;

use serde_json::json;
use stead_schemas::failure::Class;
use stead_schemas::ids::EntityKey;
use stead_schemas::step::proxmox::GuestSeen;
use stead_schemas::transition::Transition;
use stead_testkit::Trouble;

use crate::kits::john;
use crate::tale::{Tale, done, failed};

/// John's workspace, made.
fn made() -> Tale {
    let mut tale = Tale::new(Trouble::default());
    done(tale.workspace("create", "dev", json!({})));
    tale
}

#[test]
fn what_has_no_room_to_run_is_not_started_and_says_so() {
    let mut tale = made();
    let starts = |tale: &Tale| {
        tale.stage.world.log.iter().filter(|step| *step == "proxmox.start-vm").count()
    };
    done(tale.workspace("stop", "dev", json!({})));
    tale.stage.world.nodes.insert("pve1".into(), 7);
    let failure = failed(tale.workspace("start", "dev", json!({})));
    let words = "there is no room for it to run: pve1 has 7 GiB of memory free, and 8 are wanted";
    assert_eq!((failure.class, failure.words.as_str()), (Class::Permanent, words));
    assert_eq!((&tale.view("dev")["phase"], starts(&tale)), (&json!("stopped"), 1));
    // Whoever has just gone is in the cluster's list a little longer.
    tale.give("start", "dev", json!({}));
    tale.stage.work();
    assert_eq!(tale.view("dev")["phase"], "starting");
    tale.stage.world.nodes.insert("pve1".into(), 8);
    tale.stage.pass(Duration::from_secs(16));
    assert_eq!((&tale.view("dev")["phase"], starts(&tale)), (&json!("ready"), 2));
    // Whose machine was started by hand, and whose node does not answer, is not kept from it.
    for (nodes, is_on) in [(vec![("pve1".to_owned(), 0)], true), (Vec::new(), false)] {
        done(tale.workspace("stop", "dev", json!({})));
        tale.stage.world.nodes = nodes.into_iter().collect();
        tale.stage.world.running.extend(is_on.then_some((10_000, true)));
        done(tale.workspace("start", "dev", json!({})));
    }
    tale.stage.everything_replays();
}

#[test]
fn of_a_guest_that_is_late_it_is_said_whether_it_lives() {
    for (seen, words) in [
        (GuestSeen::Answers, "the machine runs, and its QEMU guest agent answers"),
        (GuestSeen::Silent, "the machine runs, and its QEMU guest agent does not answer"),
        (GuestSeen::Off, "the machine is off"),
    ] {
        for step in ["guest.await-home", "coder.await-agent"] {
            let mut tale = made();
            done(tale.workspace("stop", "dev", json!({})));
            tale.stage.world.guest = seen;
            tale.stage.world.late_next = Some(step.to_owned());
            let failure = failed(tale.workspace("start", "dev", json!({})));
            assert_eq!((failure.class, failure.step.as_deref()), (Class::TimedOut, Some(step)));
            assert_eq!(failure.words, format!("not done within 15 min; {words}"));
            assert_eq!(tale.view("dev")["phase"], "stopped");
            tale.stage.everything_replays();
        }
    }
}

#[test]
fn a_guest_that_nobody_can_ask_about_is_late_all_the_same() {
    let mut tale = made();
    done(tale.workspace("stop", "dev", json!({})));
    tale.stage.world.late_next = Some("coder.await-agent".to_owned());
    tale.stage.world.fails_next = Some("proxmox.ping-guest".to_owned());
    let failure = failed(tale.workspace("start", "dev", json!({})));
    let words = "not done within 15 min; whether the guest lives is not known: it was made to fail";
    assert_eq!((failure.class, failure.words.as_str()), (Class::TimedOut, words));
}

/// A start finds no room, and the next one does when it has looked again.
pub fn without_room() -> Vec<Transition> {
    let mut tale = Tale::new(Trouble::default());
    for (verb, free) in [("create", 64), ("stop", 7), ("start", 7)] {
        tale.stage.world.nodes.insert("pve1".to_owned(), free);
        let _told = tale.workspace(verb, "dev", json!({}));
    }
    let run = tale.give("start", "dev", json!({}));
    tale.stage.work();
    tale.stage.world.nodes.insert("pve1".to_owned(), 8);
    tale.stage.settle();
    tale.stage.history(&run).to_vec()
}

/// A start whose guest is late.
pub fn late() -> Vec<Transition> {
    let mut tale = made();
    done(tale.workspace("stop", "dev", json!({})));
    tale.stage.world.late_next = Some("coder.await-agent".to_owned());
    failed(tale.workspace("start", "dev", json!({})));
    let run = tale.stage.latest(&EntityKey::of("workspace", &john(), "dev")).expect("a run");
    tale.stage.history(&run).to_vec()
}
