//! Looks every half minute at what every run waits for, and has people told of what none of them
//! can mend: paused runs, what cannot be taken back, vendors that do not answer.
//!
//! It looks at how things stand, and so misses nothing that went on while no engine was there. Every
//! engine looks; that each says the same under the same id makes it one notice.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{join_all, ready};
use futures_util::stream;
use serde_json::{Map, Value, json};
use stead_runtime::env::CurrentSite;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::command::notice::{KIND, NAME};
use stead_schemas::dispatch::{Caller, CommandReply, EntityCommand};
use stead_schemas::ids::RunId;
use stead_schemas::notice::Topic;
use stead_schemas::owner::Owner;
use stead_schemas::public::{RunState, RunSummary, RunView, Waiting};
use stead_schemas::step::system;
use stead_schemas::step::vmids::PLATFORM;
use stead_schemas::time::Timestamp;
use tokio::time::sleep;

use super::{Shutdown, shut};
use crate::client::SteadClient;
use crate::platform::Platform;

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// What waits for less long may go on by itself.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// How many runs are looked at closely at one time.
const RUNS_MAX: usize = 200;
/// How many of them are asked for at once.
const VIEWS_AT_ONCE: usize = 8;
/// As long as something lasts it is said again; whoever is told decides how often he hears it.
const AGAIN: Duration = Duration::from_secs(60 * 60);

/// Something that people may want to know of.
#[derive(Debug, PartialEq, Eq)]
struct News {
    topic: Topic,
    about: String,
    words: String,
}

/// Looks until the door is shut; not at all where nobody wants to be told of anything.
pub async fn run_watch(platform: &Platform, site: CurrentSite, mut shutdown: Shutdown) {
    let client = SteadClient::new(platform);
    loop {
        tokio::select! {
            () = shut(&mut shutdown) => return,
            () = sleep(LOOK_EVERY) => {}
        }
        if site.now().notify.is_empty() {
            continue;
        }
        // What is not seen this time is seen the next time.
        tokio::select! {
            () = shut(&mut shutdown) => return,
            () = look(&client) => {}
        }
    }
}

async fn look(client: &SteadClient) {
    let now = SystemClock.now();
    let asked = client.platform().all_partitions().map(|partition| client.held_up(partition));
    let mut lines = Vec::new();
    for held_up in join_all(asked).await {
        match held_up {
            Ok(more) => lines.extend(more),
            // The others' runs are told of all the same.
            Err(error) => tracing::debug!(%error, "a partition is not looked at"),
        }
    }
    lines.retain(|line| may_matter(line, now));
    // One dead vendor may keep hundreds of runs; those that wait for a person are looked at first.
    lines.sort_by_key(|line| !(line.state == RunState::Paused || line.waiting.contains("(human)")));
    lines.truncate(RUNS_MAX);
    let asked = stream::iter(lines).map(|line| view(client, line.run));
    let views: Vec<_> = asked.buffered(VIEWS_AT_ONCE).filter_map(ready).collect().await;
    for news in news(&views, now) {
        tell(client, news, now).await;
    }
}

/// What a run shows. Of one that cannot be looked at nothing is told; the others are told of all the
/// same.
async fn view(client: &SteadClient, run: RunId) -> Option<RunView> {
    match client.view(&run).await {
        Ok(view) => view,
        Err(error) => {
            tracing::warn!(%run, %error, "cannot look at what it waits for");
            None
        }
    }
}

/// Whether the run does not go on; most wait for a timer or for nothing but their next command.
fn may_matter(line: &RunSummary, now: Timestamp) -> bool {
    let waits = !line.waiting.is_empty() && !line.waiting.starts_with("timer");
    let is_alive = line.state.lives();
    is_alive && waits && line.kind != KIND && now.since(line.updated) >= PATIENCE
}

/// What there is to say: of each run that waits for a person, and of each vendor once.
fn news(views: &[RunView], now: Timestamp) -> Vec<News> {
    let mut all = Vec::new();
    let mut down: BTreeMap<&str, Vec<(&RunView, &Waiting)>> = BTreeMap::new();
    for view in views {
        let old = |waiting: &&Waiting| now.since(waiting.since) >= PATIENCE;
        for waiting in view.waiting.iter().filter(old) {
            match waiting.reason.as_str() {
                "retrying" | "no-worker" => {
                    down.entry(system(&waiting.what)).or_default().push((view, waiting));
                }
                "human" | "paused" if waiting.what != "the run" => {
                    all.push(of_run(Topic::UndoStuck, view, waiting));
                }
                "human" | "paused" => all.push(of_run(Topic::Paused, view, waiting)),
                _ => {}
            }
        }
    }
    all.retain(|news| is_first_word(news, views));
    all.extend(down.into_iter().map(|(vendor, waiting)| of_vendor(vendor, &waiting)));
    all
}

/// A step of a paused run is held with it: that the run is paused says it.
fn is_first_word(news: &News, views: &[RunView]) -> bool {
    let is_paused = |view: &RunView| {
        named(view) == news.about && view.waiting.iter().any(|waiting| waiting.what == "the run")
    };
    news.topic == Topic::Paused || !views.iter().any(is_paused)
}

fn named(view: &RunView) -> String {
    let RunSummary { kind, owner, name, .. } = &view.summary;
    format!("{kind} {owner}/{name}")
}

fn of_run(topic: Topic, view: &RunView, waiting: &Waiting) -> News {
    let run = &view.summary.run;
    let words = format!(
        "{}: {}. `stead run why {run}` says who must act.",
        waiting.what,
        waiting.words.trim_end_matches('.')
    );
    News { topic, about: named(view), words }
}

fn of_vendor(vendor: &str, waiting: &[(&RunView, &Waiting)]) -> News {
    let (example, first) = waiting[0];
    let runs = match waiting.len() {
        1 => format!("{} waits", named(example)),
        many => format!("{many} steps wait, among them that of {}", named(example)),
    };
    let words = format!("{runs} for {}: {}", first.what, first.words);
    News { topic: Topic::VendorDown, about: vendor.to_owned(), words }
}

async fn tell(client: &SteadClient, news: News, now: Timestamp) {
    let Ok(owner) = Owner::new(PLATFORM) else { return };
    let hour = now.as_millis() / i64::try_from(AGAIN.as_millis()).unwrap_or(i64::MAX);
    let News { topic, about, words } = news;
    let id = format!("watch:{}:{about}:{hour}", topic.word());
    let words: String = words.chars().take(1_000).collect();
    let fields = json!({ "topic": topic, "about": about, "words": words });
    let fields: Map<String, Value> = fields.as_object().cloned().unwrap_or_default();
    let command = EntityCommand {
        kind: KIND.to_owned(),
        owner,
        name: NAME.to_owned(),
        verb: "tell".to_owned(),
        fields,
        id,
        by: Caller::Engine,
    };
    let partition = command.key().partition(client.platform().partitions);
    match client.forward(partition, &command).await {
        CommandReply::Accepted(_) => {}
        reply => tracing::debug!(?reply, "a notice is not taken in; it is given again"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use stead_schemas::ids::EntityKey;
    use stead_schemas::notice::Topic;
    use stead_schemas::owner::Owner;
    use stead_schemas::public::{RunState, RunSummary, RunView, Waiting};
    use stead_schemas::time::Timestamp;

    use super::{PATIENCE, may_matter, news};

    const THEN: Timestamp = Timestamp::from_millis(0);

    /// A run of this name that waits for these since then.
    fn view(name: &str, waiting: &[(&str, &str)]) -> RunView {
        let owner = Owner::new("john").expect("a name");
        let summary = RunSummary {
            run: EntityKey::of("workspace", &owner, name).run(1),
            kind: "workspace".to_owned(),
            owner,
            name: name.to_owned(),
            state: RunState::Running,
            phase: "creating".to_owned(),
            waiting: waiting.first().map_or("", |(what, _)| what).to_owned(),
            started: THEN,
            updated: THEN,
            transitions: 3,
        };
        let waits = |(what, reason): &(&str, &str)| Waiting {
            seq: 1,
            what: (*what).to_owned(),
            reason: (*reason).to_owned(),
            words: "it cannot be reached".to_owned(),
            since: THEN,
            attempts: 4,
            cause: String::new(),
        };
        let waiting = waiting.iter().map(waits).collect();
        RunView {
            summary,
            view: Value::Null,
            waiting,
            commands: Vec::new(),
            outcome: None,
            left: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn told(views: &[RunView]) -> Vec<(Topic, String)> {
        let late = THEN.after(PATIENCE);
        news(views, late).into_iter().map(|news| (news.topic, news.about)).collect()
    }

    #[test]
    fn of_one_dead_vendor_there_is_one_word() {
        let down = [("proxmox.clone-vm", "retrying")];
        let gone = [("truenas.ensure-dataset", "no-worker")];
        let views = [view("a", &down), view("b", &down), view("c", &gone)];
        let expected =
            [(Topic::VendorDown, "proxmox".into()), (Topic::VendorDown, "truenas".into())];
        assert_eq!(told(&views), expected);
        assert_eq!(news(&views, THEN), [], "it may go on by itself");
    }

    #[test]
    fn a_run_that_waits_for_a_person_is_named_once() {
        let paused = view("a", &[("the run", "paused"), ("proxmox.clone-vm", "paused")]);
        let stuck = view("b", &[("proxmox.destroy-vm", "human")]);
        let busy = view("c", &[("proxmox.clone-vm", "running"), ("timer", "timer")]);
        let expected = [
            (Topic::Paused, "workspace john/a".into()),
            (Topic::UndoStuck, "workspace john/b".into()),
        ];
        assert_eq!(told(&[paused, stuck, busy]), expected);
    }

    #[test]
    fn what_only_waits_for_its_time_is_not_looked_at() {
        let late = THEN.after(PATIENCE);
        let waits = |what: &str| may_matter(&view("a", &[(what, "")]).summary, late);
        assert!(waits("proxmox.clone-vm (retrying)") && !waits("timer (timer)") && !waits(""));
        assert!(!may_matter(&view("a", &[("x", "")]).summary, THEN));
    }
}
