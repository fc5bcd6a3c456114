//! What is usual, and how it stands beside what a step took, in a timeline and in a picture.

use std::collections::BTreeMap;
use std::time::Duration;

use stead_schemas::time::{Timestamp, spoken};
use stead_schemas::transition::{Transition, VERSION};

use super::{golden, home, run, workspace};
use crate::story::operations::operations;
use crate::story::svg::{Drawn, picture};
use crate::story::timeline::{Below, timeline};
use crate::story::usual::{Usual, kind};
use crate::story::{Moment, moments};

/// A history in which everything took so many times as long.
fn stretched(history: &[Transition], times: i64) -> Vec<Transition> {
    let first = history[0].at.as_millis();
    let later = |at: Timestamp| Timestamp::from_millis(first + (at.as_millis() - first) * times);
    history.iter().map(|one| Transition { at: later(one.at), ..one.clone() }).collect()
}

#[test]
fn a_step_is_compared_with_the_median_of_others_of_its_kind() {
    let life = golden();
    let told = moments(&life);
    let create = operations(&told).remove(0);
    let of = kind(&told, &create);
    assert_eq!(of, ("create".to_owned(), "debian-12".to_owned()));
    let others = [&life[..], &life[..], &life[..]];
    let usual = Usual::of(&of, others.into_iter());
    assert_eq!(usual.operations, 3);
    let clone = create.steps.iter().find(|step| step.name == "proxmox.clone-vm").expect("a clone");
    let took = clone.until.expect("it is done").since(clone.from);
    assert_eq!(usual.of_step(&clone.name), Some(took));
    let words = |usual: &Usual, took| usual.beside(&clone.name, took).map(|beside| beside.words);
    let at = spoken(took);
    assert_eq!(words(&usual, took), Some(format!("usual {at}")));
    let slow = took * 3 + Duration::from_secs(1);
    let beside = usual.beside(&clone.name, slow).expect("it is known");
    assert!(beside.is_slow && beside.words.ends_with(&format!("x the usual {at}")), "{beside:?}");
    let none = BTreeMap::new();
    let drawn = timeline(&create, &none, &usual, Timestamp::from_millis(0), 100);
    let row = drawn.lines().find(|line| line.starts_with(&clone.name)).expect("its row");
    assert!(row.ends_with(&format!("usual {at}")), "{row}");
    // What does not fit beside the bars stands beneath them.
    let mut tried = create.clone();
    tried.steps.iter_mut().for_each(|step| step.attempts = 1_000);
    let drawn = timeline(&tried, &none, &usual, Timestamp::from_millis(0), 60);
    assert!(drawn.contains("\n    1000 attempts, usual "), "{drawn}");
    assert!(drawn.lines().all(|line| line.chars().count() <= 60), "{drawn}");
    let few = Usual::of(&of, others[..2].iter().copied());
    assert_eq!(words(&few, slow), None, "two say nothing");
    let other_kind = ("create".to_owned(), "windows".to_owned());
    assert_eq!(Usual::of(&other_kind, others.into_iter()).operations, 0);
}

#[test]
fn what_is_usual_is_the_median_of_the_latest_thirty() {
    let life = golden();
    let (slow, told) = (stretched(&life, 3), moments(&life));
    let create = operations(&told).remove(0);
    let clone = create.steps.iter().find(|step| step.name == "proxmox.clone-vm").expect("a clone");
    let took = clone.until.expect("it is done").since(clone.from);
    // Fifteen of each are the latest; one more of the slow ones would tip the scale.
    let latest = [vec![&life[..]; 15], vec![&slow[..]; 16]].concat();
    let usual = Usual::of(&kind(&told, &create), latest.into_iter());
    assert_eq!(usual.of_step(&clone.name), Some(took * 2));
    assert_eq!(usual.legend(), "usual: the median of the latest 30 others");
}

#[test]
fn a_picture_shows_each_step_beside_what_is_usual() {
    let life = golden();
    let create = operations(&moments(&life)).remove(0);
    let of = kind(&moments(&life), &create);
    let usual = Usual::of(&of, [&life[..]; 3].into_iter());
    let clone = create.steps.iter().find(|step| step.name == "proxmox.clone-vm").expect("a clone");
    let at = spoken(clone.until.expect("it is done").since(clone.from));
    let slow = operations(&moments(&stretched(&life, 1_000))).remove(0);
    let beneath = BTreeMap::new();
    for (operation, class, words) in [
        (&create, "soft", format!("usual {at}")),
        (&slow, "slow", format!("1000.0x the usual {at}")),
    ] {
        let drawn = [Drawn { operation, beneath: &beneath, usual: &usual }];
        let picture = picture("a life", &drawn, Timestamp::from_millis(0));
        let row = picture.lines().find(|line| line.ends_with(&format!(">{words}</text>")));
        let row = row.unwrap_or_else(|| panic!("{words}: {picture}"));
        assert!(row.starts_with(&format!("<text class=\"{class}\"")), "{row}");
        assert!(picture.contains(">usual: the median of the latest 3 others</text>"), "{picture}");
    }
}

#[test]
fn what_an_entity_beneath_did_is_compared_with_what_is_usual_there() {
    let create = operations(&workspace()).remove(0);
    let of_home = home();
    let attach = operations(&of_home).remove(0);
    let seq = attach.reply.as_ref().expect("it was asked for").seq;
    let (engine, prev) = (String::new(), String::new());
    let history = of_home.iter().map(|moment| {
        let Moment { n, at, event } = moment.clone();
        let (engine, prev) = (engine.clone(), prev.clone());
        Transition { v: VERSION, run: run(), n, at, engine, prev, events: vec![event] }
    });
    let history: Vec<Transition> = history.collect();
    let usual = Usual::of(&kind(&of_home, &attach), [&history[..]; 3].into_iter());
    let beneath = BTreeMap::from([(seq, Below { operation: attach, usual })]);
    let none = Usual::default();
    let drawn = timeline(&create, &beneath, &none, Timestamp::from_millis(0), 100);
    let rows = |name: &str| drawn.lines().filter(|line| line.trim().starts_with(name)).count();
    assert_eq!((rows("truenas."), rows("proxmox.")), (2, 1), "{drawn}");
    for line in drawn.lines().filter(|line| line.contains("truenas.")) {
        assert!(line.contains("usual "), "{line} in {drawn}");
    }
    assert_eq!(drawn.matches("usual ").count(), 2, "{drawn}");
}
