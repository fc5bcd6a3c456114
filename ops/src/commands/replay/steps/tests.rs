//! A history that is gone through: what keys do, and what stands on the screen, wide and narrow.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::json;
use stead_schemas::event::{Event, StepCompleted, StepFailed};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::transition::Transition;

use super::place::{Panel, Place};
use super::screen::draw;
use crate::commands::replay::tests::recorded_with;

/// The probe's history, in which the third step fails.
fn place() -> Place {
    let failure = Failure::new(Class::Permanent, "no room").at("probe.echo");
    let failed = Event::StepFailed(StepFailed { seq: 3, failure, attempts: 2 });
    let lines = recorded_with(&[(3, failed)]);
    let history = lines.iter().map(|line| Transition::decode(line).expect("a transition"));
    Place::new(history.collect(), Vec::new())
}

fn press(place: &mut Place, keys: &[KeyCode]) {
    for key in keys {
        place.press(KeyEvent::new(*key, KeyModifiers::NONE));
    }
}

fn screen(place: &Place, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(place, frame)).expect("it is drawn");
    terminal.backend().to_string()
}

fn check(keys: &[KeyCode], at: usize) {
    let mut place = place();
    press(&mut place, keys);
    assert_eq!(place.at() + 1, at, "{keys:?}");
}

#[test]
fn keys_go_forward_and_back_and_to_what_failed() {
    check(&[], 1);
    check(&[KeyCode::Right, KeyCode::Down, KeyCode::Char(' ')], 4);
    check(&[KeyCode::Right, KeyCode::Right, KeyCode::Left], 2);
    check(&[KeyCode::Left], 1);
    check(&[KeyCode::Char('f')], 4);
    check(&[KeyCode::Char('G'), KeyCode::Right], 4);
    check(&[KeyCode::End, KeyCode::Char('g')], 1);
    check(&[KeyCode::Char('3'), KeyCode::Enter], 3);
    check(&[KeyCode::Char('3'), KeyCode::Esc, KeyCode::Enter], 1);
    check(&[KeyCode::Char('9'), KeyCode::Enter], 1);
}

#[test]
fn a_number_that_is_none_is_named() {
    let mut place = place();
    press(&mut place, &[KeyCode::Char('9')]);
    assert!(place.footer().contains("go to transition 9"), "{}", place.footer());
    press(&mut place, &[KeyCode::Enter]);
    assert_eq!(place.footer(), "there is no transition 9; there are 1 to 4");
    press(&mut place, &[KeyCode::Char('F')]);
    assert_eq!(place.footer(), "nothing else failed there");
}

#[test]
fn it_ends_when_it_is_told_to() {
    for (key, modifiers) in [
        (KeyCode::Char('q'), KeyModifiers::NONE),
        (KeyCode::Esc, KeyModifiers::NONE),
        (KeyCode::Char('c'), KeyModifiers::CONTROL),
    ] {
        let mut place = place();
        place.press(KeyEvent::new(key, modifiers));
        assert!(place.is_over(), "{key:?}");
    }
    let mut place = place();
    press(&mut place, &[KeyCode::Char('?'), KeyCode::Char('q')]);
    assert!(!place.is_over(), "any key leaves the help");
}

#[test]
fn a_wide_terminal_shows_everything_at_once() {
    let mut place = place();
    press(&mut place, &[KeyCode::Char('f')]);
    let shown = screen(&place, 120, 40);
    for part in [
        "history",
        "state",
        "this transition",
        "what changed",
        "step-failed",
        "no room",
        "of: probe.",
        "transition 4 of 4",
        "failed",
        "4/4",
    ] {
        assert!(shown.contains(part), "{part} is missing\n{shown}");
    }
}

#[test]
fn a_narrow_terminal_shows_a_panel_at_a_time() {
    let mut place = place();
    press(&mut place, &[KeyCode::Char('f')]);
    for panel in Panel::ALL {
        let shown = screen(&place, 50, 12);
        assert!(shown.contains(panel.title()), "{panel:?}\n{shown}");
        let others = Panel::ALL.iter().filter(|other| **other != panel);
        let border = |title: &str| format!("┌{title}");
        assert!(others.clone().all(|other| !shown.contains(&border(other.title()))), "{shown}");
        press(&mut place, &[KeyCode::Tab]);
    }
    // Nothing panics where there is hardly room for anything.
    for (width, height) in [(1, 1), (3, 2), (20, 3)] {
        screen(&place, width, height);
    }
}

#[test]
fn what_a_transition_says_is_shown_to_its_end() {
    let answer = json!({ "text": format!("{} the very end", "x ".repeat(500)) });
    let done = Event::StepCompleted(StepCompleted { seq: 3, answer, attempts: 1, met: None });
    let lines = recorded_with(&[(3, done)]);
    let history = lines.iter().map(|line| Transition::decode(line).expect("a transition"));
    let mut place = Place::new(history.collect(), Vec::new());
    press(&mut place, &[KeyCode::End]);
    for panel in [Panel::Events, Panel::Changed] {
        let text = place.text(panel, 80);
        assert!(text.contains("the very end"), "{panel:?}: {text}");
    }
}
