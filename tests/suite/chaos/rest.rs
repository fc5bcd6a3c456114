//! How it all comes to rest: what was broken is mended, and then nothing is waited for any more
//! but for timers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use stead_lab::{Inventory, LabClient};
use stead_schemas::ids::RunId;
use stead_schemas::owner::Owner;
use stead_schemas::public::{RunState, RunSummary, RunView};
use tokio::time::Instant;

use super::{Play, wishes};
use crate::stage::{Desk, until};

/// How long it may take after everything was mended.
const QUIET_WITHIN: Duration = Duration::from_secs(240);
/// How often one looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a create that waits is gone on with, before it is given up: what it needs may be gone.
const RETRIES: u32 = 5;

/// Vendors are well, and every process starts anew: what was tried in vain is tried at once.
pub async fn mend(play: &mut Play) {
    play.story.tell("everything is mended, and every process starts anew");
    play.stage.lab.mend();
    play.chat.comes_back();
    for number in [0, 1] {
        play.stage.stop_engine(number).await;
        play.start_engine(number);
    }
    // What a lost webhook was about is found by whoever looks at the branch, and who was held by
    // whoever looks at the people.
    play.stage.lab.break_times("forgejo", "hook-lost", 1).expect("a fault");
    play.stage.lab.commit(wishes::REPOSITORY, "main", &[("README", "the last push")]);
    let looks = wishes::TEMPLATES.map(|name| ("platform", "template", "check", name));
    for (owner, kind, verb, name) in [("stead", "people", "look", "site")].into_iter().chain(looks)
    {
        let desk = play.stage.desk(owner).await;
        desk.ask(kind, verb, json!({ "name": name })).await.expect("it is let in");
    }
}

/// Nothing goes on.
pub async fn until_quiet(play: &mut Play) {
    let (began, mut tried) = (Instant::now(), BTreeMap::new());
    loop {
        let Some(busy) = busy(play).await else {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        };
        if busy.is_empty() && !builds(play) {
            let took = began.elapsed().as_secs_f64();
            return play.story.tell(&format!("all is quiet after {took:.1} s"));
        }
        let told: Vec<String> = busy.iter().map(told).collect();
        assert!(began.elapsed() < QUIET_WITHIN, "it does not come to rest:\n{}", told.join("\n"));
        go_on(play, &busy, &mut tried).await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether Coder builds something, which may give commands.
fn builds(play: &Play) -> bool {
    let all = play.stage.lab.inventory().coder_workspaces;
    let builds = ["pending", "starting", "stopping", "deleting", "canceling"];
    all.iter().any(|shown| builds.contains(&shown.status.as_str()))
}

/// The runs that are not at rest; nothing while that cannot be told.
async fn busy(play: &Play) -> Option<Vec<RunView>> {
    let lines = play.stage.client.list_all().await.ok()?;
    let mut busy = Vec::new();
    for line in lines.iter().filter(|line| lives(line)) {
        let view = play.stage.client.view(&line.run).await.ok()??;
        let is_open = view.commands.iter().any(|command| command.outcome.is_none());
        let waits = view.waiting.iter().any(|waiting| waiting.what != "timer");
        if is_open || waits || view.summary.state == RunState::Paused {
            busy.push(view);
        }
    }
    Some(busy)
}

fn lives(line: &RunSummary) -> bool {
    line.state.lives()
}

fn told(view: &RunView) -> String {
    let waiting = view.waiting.iter().map(|waiting| {
        let (what, reason, words) = (&waiting.what, &waiting.reason, &waiting.words);
        format!("{what} ({reason}, {} attempts): {words}", waiting.attempts)
    });
    let (run, phase) = (&view.summary.run, &view.summary.phase);
    let owner = format!("{}/{}", view.summary.owner, view.summary.name);
    let waiting = waiting.collect::<Vec<_>>().join("; ");
    format!("{run} {owner} {phase} {:?}: {waiting}", view.summary.state)
}

/// What a person does: lets go on what somebody has paused, and what waits after a failure; what fails
/// again and again is deleted.
async fn go_on(play: &Play, busy: &[RunView], tried: &mut BTreeMap<RunId, u32>) {
    for view in busy {
        let RunSummary { run, owner, name, phase, state, .. } = &view.summary;
        let desk = desk(play, owner).await;
        // Either may go on already.
        if *state == RunState::Paused {
            play.story.tell(&format!("{run} is resumed"));
            let why = json!({ "run": run, "why": "everything is mended" });
            desk.ask("run", "resume", why).await.ok();
        } else if phase == "stuck" && is_left_alone(view) {
            let times = tried.entry(run.clone()).or_default();
            *times += 1;
            let (verb, fields) = match *times {
                ..=RETRIES => ("retry", json!({ "name": name })),
                _ => ("delete", json!({ "name": name, "now": true })),
            };
            play.story.tell(&format!("{run} waits, and is asked for {verb}"));
            desk.ask("workspace", verb, fields).await.ok();
        }
    }
}

/// Nobody has asked that it goes on.
fn is_left_alone(view: &RunView) -> bool {
    let mut open = view.commands.iter().filter(|command| command.outcome.is_none());
    !open.any(|command| command.verb == "retry")
}

async fn desk(play: &Play, owner: &Owner) -> Desk {
    play.stage.desk(owner.as_str()).await
}

/// Everything that is there is deleted by whoever has it.
pub async fn clear_away(play: &mut Play) {
    play.story.tell("everything is deleted");
    let lines = until("a list", || async { play.stage.client.list_all().await.ok() }).await;
    for line in lines.iter().filter(|line| lives(line)) {
        let fields: Value = match line.kind.as_str() {
            "workspace" => json!({ "name": line.name, "now": true }),
            "bucket" => json!({ "name": line.name, "confirm": line.name }),
            "mcp" | "pool" | "schedule" | "template" | "token" => json!({ "name": line.name }),
            _ => continue,
        };
        let verb = match line.kind.as_str() {
            "mcp" => "remove",
            "pool" => "drain",
            "template" => "forget",
            _ => "delete",
        };
        let desk = desk(play, &line.owner).await;
        if line.kind == "bucket" {
            let used = json!({ "name": line.name, "workspace": line.name });
            desk.ask("bucket", "detach", used).await.ok();
        }
        // It may be over meanwhile.
        desk.ask(&line.kind, verb, fields).await.ok();
    }
    until_quiet(play).await;
    // What its developer has made in Coder, and Stead has given up or never heard of.
    let coder = LabClient::new(&play.stage.lab.addresses().control_url);
    for shown in play.stage.lab.inventory().coder_workspaces {
        let whose = (shown.owner.as_str(), shown.name.as_str());
        assert_eq!(shown.name, wishes::PRESSED, "it is nobody's");
        // It may be on its way already.
        coder.press("delete", whose, wishes::TEMPLATES[0], &[]).await.ok();
    }
    let nothing = || async { left(play).is_empty().then_some(()) };
    until("the last grace is over, and nothing is there", nothing).await;
    until_quiet(play).await;
}

/// What is left of what people had. Coder keeps the versions of its templates.
pub fn left(play: &Play) -> Inventory {
    Inventory { template_versions: Vec::new(), ..play.stage.lab.inventory() }
}
