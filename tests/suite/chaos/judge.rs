//! What must hold once all is quiet.

use std::collections::BTreeSet;

use stead_schemas::event::Event;

use super::load::Book;
use super::{Play, rest, wishes};
use crate::secrets;
use crate::stage::ledger::{check_ledger_of, ledger};
use crate::stage::until;

/// Nothing is lost, every history is whole, and the ledger is what the lab holds.
pub async fn check(play: &Play, book: &Book) {
    let histories = play.stage.check_histories().await;
    let (taken, done) = commands(play).await;
    let open: Vec<_> = taken.difference(&done).collect();
    assert!(open.is_empty(), "commands that were let in and have not ended: {open:?}");
    for (given, run) in book.accepted() {
        assert!(taken.contains(&given.id), "{run} has lost {given}");
    }
    check_inbox(play, book, &taken).await;
    check_pushes(play);
    let mut there = play.stage.lab.inventory();
    // What its developer made in Coder is ours to account for only once it was handed over.
    let held: BTreeSet<_> =
        ledger(&play.stage).await.iter().map(|held| held.resource.path()).collect();
    there.coder_workspaces.retain(|shown| {
        let path = format!("coder/workspace/{}/{}", shown.owner, shown.name);
        shown.name != wishes::PRESSED || held.contains(&path)
    });
    check_ledger_of(&play.stage, &there, "after chaos").await;
    let verified = play.stage.verb(&["archive", "verify"]).await;
    assert!(verified.status.success(), "{verified:?}");
    let told = String::from_utf8_lossy(&verified.stdout).trim().to_owned();
    let commands = taken.len();
    play.story.tell(&format!(
        "{commands} commands in {histories} histories are whole and over; in the archive, {told}"
    ));
}

/// The ids of all commands that were let in, and of those that have ended.
async fn commands(play: &Play) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut taken, mut done) = (BTreeSet::new(), BTreeSet::new());
    let lines = until("a list", || async { play.stage.client.list_all().await.ok() }).await;
    for line in &lines {
        let desk = play.stage.desk(line.owner.as_str()).await;
        let history = until("a history", || desk.history(&line.run)).await;
        assert!(!history.is_empty(), "{} is listed and has no history", line.run);
        for event in history.into_iter().flat_map(|transition| transition.events) {
            match event {
                Event::CommandAccepted(accepted) => taken.insert(accepted.id),
                Event::CommandCompleted(completed) => done.insert(completed.id),
                _ => false,
            };
        }
    }
    (taken, done)
}

/// What was left in the inbox was let in or refused, each.
async fn check_inbox(play: &Play, book: &Book, taken: &BTreeSet<String>) {
    let mut streams = play.stage.streams().await;
    let refused = streams.messages("STEAD_REFUSALS").await;
    let refused: Vec<String> =
        refused.iter().map(|kept| String::from_utf8_lossy(&kept.body).into_owned()).collect();
    for given in book.published() {
        let id = format!("\"{}\"", given.id);
        let is_refused = || refused.iter().any(|notice| notice.contains(&id));
        let is_known = taken.contains(&given.id) || is_refused();
        assert!(is_known, "lost in the inbox: {given}");
    }
}

/// What was pushed last is deployed or rejected, though its webhook was lost.
fn check_pushes(play: &Play) {
    let lab = &play.stage.lab;
    let head = lab.head(wishes::REPOSITORY, "main").expect("a branch");
    for template in wishes::TEMPLATES {
        let said =
            lab.commit_status(wishes::REPOSITORY, &head, &format!("stead/template/{template}"));
        let is_told = matches!(said.as_deref(), Some("success" | "failure"));
        assert!(is_told, "{head} of {template} is {said:?}");
    }
}

/// Everything was deleted: no vendor and no line of the ledger has anything left.
pub async fn check_nothing_left(play: &Play) {
    let inventory = rest::left(play);
    assert!(inventory.is_empty(), "{inventory:#?}");
    let mut held = ledger(&play.stage).await;
    held.retain(|held| !held.resource.path().starts_with("coder/template-version/"));
    assert!(held.is_empty(), "{held:#?}");
    play.stage.check_histories().await;
}

/// No secret is in any stream, event, answer, log or index.
pub async fn check_no_secret(mut play: Play) {
    let mut places = secrets::places(&play.stage).await;
    for number in [0, 1] {
        // What an engine keeps in memory, it writes down when it ends.
        play.stage.stop_engine(number).await;
        secrets::files(&play.stage.index(number), &mut places);
    }
    secrets::check_none(&play.stage.lab.secrets(), &places);
}
