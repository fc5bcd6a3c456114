//! `stead replay --step-through`, as somebody sits before it: the real program in a terminal.

use crate::stage::{Process, Terminal};

/// A pool that was full: six transitions, the fourth of which the workspace could not do without.
const BUNDLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/suite/incidents/full-pool.stead.tar.gz");
const STEP_THROUGH: [&str; 3] = ["replay", BUNDLE, "--step-through"];

#[tokio::test]
async fn a_history_is_gone_through_with_keys_in_a_window_of_any_size() {
    let mut terminal = Terminal::open(&STEP_THROUGH, 120, 40);
    terminal
        .shows("everything at once", |screen| {
            let panels = ["┌history", "┌state", "┌this transition", "┌what changed"];
            panels.iter().all(|panel| screen.contains(panel)) && screen.contains("1/6")
        })
        .await;
    terminal.press("\x1b[C\x1b[B");
    terminal.shows("the third transition", |screen| screen.contains("3/6")).await;
    terminal.press("f");
    terminal
        .shows("what failed, and why", |screen| {
            screen.contains("step-failed") && screen.contains("there is no room left")
        })
        .await;
    terminal.press("99\r");
    terminal.shows("that there is none", |screen| screen.contains("no transition 99")).await;
    terminal.press("1\r");
    terminal.shows("the first transition", |screen| screen.contains("1/6")).await;

    terminal.resize(50, 12);
    terminal
        .shows("one panel", |screen| {
            screen.contains("┌history") && !screen.contains("┌state") && screen.contains("1/6")
        })
        .await;
    terminal.press("\t");
    terminal.shows("the next one", |screen| screen.contains("┌state")).await;
    terminal.resize(4, 2);
    terminal.resize(120, 40);
    terminal.shows("all of them", |screen| screen.contains("┌what changed")).await;
    terminal.press("?");
    terminal.shows("the keys", |screen| screen.contains("the next transition")).await;
    terminal.press("q");
    terminal.shows("the history again", |screen| screen.contains("┌history")).await;
    terminal.press("q");
    assert!(terminal.ended().await.success());
}

#[tokio::test]
async fn whoever_breaks_off_has_his_terminal_back() {
    let mut terminal = Terminal::open(&STEP_THROUGH, 80, 24);
    terminal.shows("the history", |screen| screen.contains("┌history")).await;
    // Ctrl-C, which is a key like others here.
    terminal.press("\x03");
    assert!(terminal.ended().await.success());
}

#[tokio::test]
async fn without_a_terminal_it_is_said_what_shows_a_moment() {
    let told = Process::carry_out(&STEP_THROUGH, &[]).await;
    let said = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(2), "{said}");
    assert!(said.contains("needs a terminal") && said.contains("--to N"), "{said}");
}
