//! How it all comes to rest: what was broken is mended, and then nothing is waited for any more
//! but for timers.

use std::time::Duration;

use serde_json::{Value, json};
use stead_schemas::owner::Owner;
use stead_schemas::public::{RunState, RunSummary, RunView};
use tokio::time::Instant;

use super::Play;
use crate::stage::{Desk, until};

/// How long it may take after everything was mended.
const QUIET_WITHIN: Duration = Duration::from_secs(240);
/// How often one looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Vendors are well, and every process starts anew: what was tried in vain is tried at once.
pub async fn mend(play: &mut Play) {
    play.story.tell("everything is mended, and every process starts anew");
    play.stage.lab.mend();
    for number in [0, 1] {
        play.stage.stop_engine(number).await;
        play.stage.start_engine(number);
    }
}

/// Nothing goes on.
pub async fn until_quiet(play: &mut Play) {
    let began = Instant::now();
    loop {
        let Some(busy) = busy(play).await else {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        };
        if busy.is_empty() {
            let took = began.elapsed().as_secs_f64();
            return play.story.tell(&format!("all is quiet after {took:.1} s"));
        }
        let told: Vec<String> = busy.iter().map(told).collect();
        assert!(began.elapsed() < QUIET_WITHIN, "it does not come to rest:\n{}", told.join("\n"));
        resume(play, &busy).await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
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

/// What a person does: lets go on what somebody has paused.
async fn resume(play: &Play, busy: &[RunView]) {
    for view in busy.iter().filter(|view| view.summary.state == RunState::Paused) {
        play.story.tell(&format!("{} is resumed", view.summary.run));
        let why = json!({ "run": view.summary.run, "why": "everything is mended" });
        let desk = desk(play, &view.summary.owner).await;
        // It may be resumed already.
        desk.ask("run", "resume", why).await.ok();
    }
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
            "schedule" => json!({ "name": line.name }),
            _ => continue,
        };
        let desk = desk(play, &line.owner).await;
        if line.kind == "bucket" {
            let used = json!({ "name": line.name, "workspace": line.name });
            desk.ask("bucket", "detach", used).await.ok();
        }
        // It may be over meanwhile.
        desk.ask(&line.kind, "delete", fields).await.ok();
    }
    until_quiet(play).await;
    let nothing = || async { play.stage.lab.inventory().is_empty().then_some(()) };
    until("the last grace is over, and nothing is there", nothing).await;
    until_quiet(play).await;
}
