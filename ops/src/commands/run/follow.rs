//! Follows a run while it happens.
//!
//! What is watched is published and kept nowhere, so it is only a hint: the log is asked where
//! something is missing, and the run itself is looked at from time to time.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use stead_nats::SteadClient;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::event::{Event, Outcome, Seq};
use stead_schemas::ids::RunId;
use stead_schemas::owner::{Owner, encode_token};
use stead_schemas::public::RunView;
use stead_schemas::step::coder::AWAITING_BUILDS;
use stead_schemas::time::{Timestamp, spoken};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::screen::Screen;
use crate::exit::{Ended, with_causes};
use crate::output;
use crate::signals;
use crate::story::operations::{End, operations};
use crate::story::{Moment, moments_of};

/// How often the run itself is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long what is already published may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_millis(500);

/// What is published, as subject and JSON.
pub type Published = Pin<Box<dyn Stream<Item = (String, Value)> + Send>>;

/// Until when a run is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until this command has an outcome.
    Command(String),
    /// The same, or until the run is at a step that may wait for a build in Coder: whoever is a
    /// part of one must not wait any longer.
    Build(String),
    /// Until the run is over.
    Over,
}

/// Listens to everything that is published of an owner's entities of one kind. Whoever wants to
/// miss nothing listens before he asks.
pub async fn listen(client: &SteadClient, owner: &Owner, kind: &str) -> Result<Published, Ended> {
    let filter = format!("stead.evt.{}.{}.>", owner.token(), encode_token(kind));
    let published = client.watch(&filter).await;
    Ok(Box::pin(published.map_err(|error| Ended::Unavailable(with_causes(&error)))?))
}

/// An event as it is published.
#[derive(Deserialize)]
struct Notice {
    run: RunId,
    at: Timestamp,
    #[serde(default)]
    n: u64,
    #[serde(default)]
    event: Option<Event>,
    #[serde(default)]
    seq: Seq,
    #[serde(default)]
    words: Option<String>,
    #[serde(default)]
    pause_ms: Option<u64>,
    #[serde(default)]
    attempt: Option<u32>,
    #[serde(default)]
    failure: Option<stead_schemas::failure::Failure>,
}

/// Follows one run.
pub struct Follower<'a> {
    client: &'a SteadClient,
    run: RunId,
    published: Published,
    screen: Screen,
    /// Whether each message is printed as it came, for machines.
    as_json: bool,
    /// What has been seen, by transition.
    seen: BTreeMap<u64, Vec<Moment>>,
    /// Up to here nothing is missing.
    whole_to: u64,
    /// Whether what is missing is read from the log.
    reads_log: bool,
}

impl<'a> Follower<'a> {
    /// A follower of this run, which hears of it by `published`.
    pub fn new(client: &'a SteadClient, run: RunId, published: Published, screen: Screen) -> Self {
        let seen = BTreeMap::new();
        let (as_json, whole_to, reads_log) = (false, 0, true);
        Self { client, run, published, screen, as_json, seen, whole_to, reads_log }
    }

    /// Prints each message as a line of JSON, too.
    pub const fn printing_json(mut self) -> Self {
        self.as_json = true;
        self
    }

    /// Leaves the log alone, for whoever may not read it: what is missed is not shown.
    pub const fn without_log(mut self) -> Self {
        self.reads_log = false;
        self
    }

    /// What has been seen so far, oldest first.
    pub fn seen(&self) -> Vec<Moment> {
        self.seen.values().flatten().cloned().collect()
    }

    /// Shows what has happened before, as the log has it.
    pub async fn catch_up(&mut self) -> Result<(), Ended> {
        for transition in super::find::history(self.client, &self.run).await? {
            // A transition is published in the order of its events: what is known is its head.
            let known = self.seen.get(&transition.n).map_or(0, Vec::len);
            for moment in moments_of(&transition).skip(known) {
                self.show(moment);
            }
            self.whole_to = transition.n;
        }
        Ok(())
    }

    fn show(&mut self, moment: Moment) {
        if self.as_json {
            let Moment { n, at, event } = &moment;
            output::json_line(&json!({ "run": self.run, "n": n, "at": at, "event": event }));
        }
        self.screen.show(&moment);
        self.seen.entry(moment.n).or_default().push(moment);
    }

    /// Follows until then, or until somebody wants to stop.
    pub async fn follow(&mut self, until: &Until) -> Result<Outcome, Ended> {
        let mut stop = signals::stop()
            .map_err(|error| Ended::Failed(format!("cannot listen for signals: {error}")))?;
        let followed = tokio::select! {
            biased;
            () = signals::stopped(&mut stop) => Err(Ended::Interrupted),
            followed = self.follow_until(until) => followed,
        };
        self.screen.finish();
        followed
    }

    async fn follow_until(&mut self, until: &Until) -> Result<Outcome, Ended> {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Some(outcome) = self.outcome(until) {
                return Ok(outcome);
            }
            tokio::select! {
                message = self.published.next() => match message {
                    Some((_, body)) => self.take(body).await,
                    None => return Err(Ended::Unavailable("the connection is closed".to_owned())),
                },
                _ = looks.tick() => {
                    if let Some(outcome) = self.look(until).await {
                        return Ok(outcome);
                    }
                }
            }
        }
    }

    async fn take(&mut self, body: Value) {
        let Ok(notice) = serde_json::from_value::<Notice>(body.clone()) else { return };
        if notice.run != self.run {
            return;
        }
        let Some(event) = notice.event else {
            if self.as_json {
                output::json_line(&body);
            }
            return self.remark(&notice);
        };
        let last = self.seen.keys().next_back().copied();
        if last.is_some_and(|last| notice.n > last + 1) {
            self.fill_gap().await;
        }
        let moment = Moment { n: notice.n, at: notice.at, event };
        // Whoever takes a partition over tells again what may not have been told.
        let is_known = self.seen.get(&moment.n).is_some_and(|known| known.contains(&moment));
        if moment.n > self.whole_to && !is_known {
            self.show(moment);
        }
    }

    /// Reads what was missed. Whoever may not read the log goes without.
    async fn fill_gap(&mut self) {
        if !self.reads_log {
            return;
        }
        if let Err(error) = self.catch_up().await {
            tracing::debug!(%error, "the log cannot be read; something may be missing");
        }
    }

    fn remark(&mut self, notice: &Notice) {
        let (seq, at) = (notice.seq, notice.at);
        if let Some(words) = &notice.words {
            return self.screen.remark(seq, at, "so far", words);
        }
        if let Some(failure) = &notice.failure {
            let pause = spoken(Duration::from_millis(notice.pause_ms.unwrap_or_default()));
            let attempt = notice.attempt.unwrap_or_default();
            let mut failure = failure.clone();
            failure.step = None;
            let words = format!("attempt {attempt} met: {failure}; again in {pause}");
            self.screen.remark(seq, at, "again", &words);
        }
    }

    /// Looks at the run itself: a message may be lost, and some waits are not published.
    async fn look(&mut self, until: &Until) -> Option<Outcome> {
        // An engine that is just being replaced is no reason to stop following.
        let view = self.client.view(&self.run).await.ok()??;
        self.screen.look(&view, SystemClock.now());
        let outcome = outcome_of(&view, until)?;
        while let Ok(Some((_, body))) = timeout(ARRIVES_WITHIN, self.published.next()).await {
            self.take(body).await;
            if self.outcome(until).is_some() {
                return Some(outcome);
            }
        }
        self.fill_gap().await;
        Some(outcome)
    }

    /// The step that is going on, as far as was seen, which may wait for a build.
    fn at_build(&self) -> Option<String> {
        let steps = operations(&self.seen()).into_iter().flat_map(|operation| operation.steps);
        let mut open = steps.filter(|step| step.end == End::Open).map(|step| step.name);
        open.find(|step| AWAITING_BUILDS.contains(&step.as_str()))
    }

    fn outcome(&self, until: &Until) -> Option<Outcome> {
        if let (Until::Build(_), Some(step)) = (until, self.at_build()) {
            return Some(left_at(&step));
        }
        self.seen.values().rev().flatten().rev().find_map(|moment| match (&moment.event, until) {
            (Event::CommandCompleted(done), Until::Command(id) | Until::Build(id))
                if done.id == *id =>
            {
                Some(done.outcome.clone())
            }
            (Event::RunCompleted(run), Until::Over) => Some(Outcome::Done(run.result.clone())),
            (Event::RunFailed(run), Until::Over) => Some(Outcome::Failed(run.failure.clone())),
            _ => None,
        })
    }
}

/// Where whoever is a part of a build stops following.
fn left_at(step: &str) -> Outcome {
    Outcome::Done(json!({ "left_at": step }))
}

/// The step that a run is at which may wait for a build in Coder.
pub fn awaited_build(view: &RunView) -> Option<&str> {
    let mut steps = view.waiting.iter().map(|waiting| waiting.what.as_str());
    steps.find(|step| AWAITING_BUILDS.contains(step))
}

fn outcome_of(view: &RunView, until: &Until) -> Option<Outcome> {
    let of = |id: &String| view.commands.iter().find(|command| command.id == *id)?.outcome.clone();
    match until {
        Until::Command(id) => of(id),
        Until::Build(id) => awaited_build(view).map(left_at).or_else(|| of(id)),
        Until::Over => view.outcome.clone(),
    }
}
