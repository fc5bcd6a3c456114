//! A site that lets one machine be cloned at a time: who waits is told its place in the line, and
//! the limit is kept though the engines are killed that keep it.

use std::collections::BTreeSet;

use serde_json::json;
use stead_schemas::dispatch::Accepted;
use stead_schemas::event::Outcome;
use stead_schemas::public::Waiting;

use crate::engines::both_own;
use crate::stage::{Desk, Setting, Stage, check_whole, effects::check_once, until};

const ONE_CLONE: &str = "\n[[limits]]\nname = \"clones per node\"\n\
                         steps = [\"proxmox.clone-vm\"]\nper = \"node\"\nat_once = 1\n";
/// Workspaces made at once.
const CROWD: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_clone_at_a_time_whichever_engine_is_killed() {
    let setting = Setting { engines: 2, site: ONE_CLONE, ..Setting::default() };
    let mut stage = Stage::with(setting).await;
    both_own(&stage).await;
    stage.lab.break_("proxmox", "task-stuck").expect("a fault");
    let mut all = Vec::new();
    for number in 0..CROWD {
        let desk = stage.desk(&format!("john-{number}")).await;
        let accepted = desk.order("create", json!({})).await;
        all.push((desk, accepted));
    }
    line_stands(&stage, &all).await;
    line_is_shown(&stage).await;
    for victim in [0, 1] {
        stage.kill_engine(victim);
        line_stands(&stage, &all).await;
        stage.start_engine(victim);
        both_own(&stage).await;
    }
    line_stands(&stage, &all).await;
    stage.lab.mend();
    for (desk, accepted) in &all {
        let outcome = desk.outcome(accepted).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{}: {outcome:?}", desk.owner);
        check_whole(&stage.lab, desk.owner.as_str());
    }
    check_once(&stage.lab.effects(), "creates");
    one_after_the_other(&stage);
    stage.finish().await;
}

/// Waits until one run is at its clone and the others know their places behind it.
async fn line_stands(stage: &Stage, all: &[(Desk, Accepted)]) {
    until("three wait for the one that clones", || async {
        let mut words = BTreeSet::new();
        for (desk, accepted) in all {
            let view = desk.client.view(&accepted.run).await.ok().flatten()?;
            let waits = |waiting: &&Waiting| waiting.what == "proxmox.clone-vm";
            let waiting = view.waiting.iter().find(waits)?.clone();
            words.insert(if waiting.reason == "limit" { waiting.words } else { waiting.reason });
        }
        let stands = |place: &str| {
            let line =
                format!("its turn at \"clones per node\" on pve1: {place} of 3, 1 at once; at");
            words.iter().any(|words| words.starts_with(&line))
        };
        (["first", "second", "third"].into_iter().all(stands) && words.contains("running"))
            .then_some(())
    })
    .await;
    assert_eq!(clones(stage).len(), 1, "the others wait");
}

async fn line_is_shown(stage: &Stage) {
    let shown = stage.verb(&["limits"]).await;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let first = "clones per node: 1 at once for each node, of proxmox.clone-vm";
    assert!(shown.starts_with(first), "{shown}");
    assert!(shown.contains("on pve1: 1 at work, 3 waiting"), "{shown}");
    let why = stage.verb(&["run", "list"]).await;
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("proxmox.clone-vm (limit)"), "{why}");
}

/// The machines that Proxmox was asked to clone, each once.
fn clones(stage: &Stage) -> BTreeSet<String> {
    let requests = stage.lab.requests().into_iter();
    let asked = requests.filter(|request| request.path.ends_with("/clone"));
    asked.map(|request| request.body["newid"].to_string()).collect()
}

/// Nobody looked at a clone any more when the next one was asked for.
fn one_after_the_other(stage: &Stage) {
    let (mut over, mut under_way, mut count) = (BTreeSet::new(), BTreeSet::new(), 0);
    for request in stage.lab.requests() {
        if request.path.ends_with("/clone") {
            over.append(&mut under_way);
            count += 1;
        } else if request.path.contains(":qmclone:") {
            assert!(!over.contains(&request.path), "{} goes on beside the next", request.path);
            under_way.insert(request.path);
        }
    }
    assert!(count >= CROWD, "every clone was asked for");
}
