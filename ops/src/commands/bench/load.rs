//! A load of probes: a fixed number of them under way at any time, each asked for through the
//! service interface and over when its end is published.
//!
//! One thread carries it, and few connections, so that it takes little from what it measures.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt};
use serde_json::{Map, Value, json};
use stead_nats::SteadClient;
use stead_schemas::command::probe::KIND;
use stead_schemas::dispatch::CommandReply;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::assemble;
use crate::config::NatsConfig;
use crate::exit::{Ended, with_causes};

/// The name of their owner.
const OWNER: &str = "bench";
/// The connections that ask, beside the one that listens.
const ASKING: usize = 2;
/// A load that stands still this long is broken.
const STILL: Duration = Duration::from_secs(15);

/// How much is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the server is.
    pub url: String,
    /// What the runs' names begin with.
    pub prefix: String,
    /// What each run is to do.
    pub order: Order,
    /// How many are under way at once.
    pub in_flight: usize,
    /// When no more are begun.
    pub until: Until,
}

/// What a run is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// How many steps it makes.
    pub steps: u32,
    /// Whether it then waits for longer than any measurement takes. It is through when it waits.
    pub waits: bool,
}

/// Six steps that do nothing.
pub const SIX_STEPS: Order = Order { steps: 6, waits: false };

/// A day.
const WAIT_SECONDS: u32 = 24 * 60 * 60;

impl Order {
    fn fields(self, name: &str) -> Map<String, Value> {
        let mut fields = Map::from_iter([("name".to_owned(), json!(name))]);
        if self.steps != SIX_STEPS.steps {
            fields.insert("steps".to_owned(), json!(self.steps));
        }
        if self.waits {
            fields.insert("wait_seconds".to_owned(), json!(WAIT_SECONDS));
        }
        fields
    }

    /// The event that says that a run is through.
    const fn end(self) -> &'static str {
        if self.waits { "timer-started" } else { "run-completed" }
    }
}

/// When no more runs are begun.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so many.
    Runs(usize),
    /// After so long.
    Elapsed(Duration),
}

/// What came of it.
pub struct Measured {
    /// How long each run took, from before it was asked for until its end was heard of.
    pub spans: Vec<Duration>,
    /// How many came through while others were begun, so that the end of the load, when fewer
    /// are under way, does not count.
    pub counted: usize,
    /// How long that took.
    pub took: Duration,
    /// One of the runs.
    pub sample: RunId,
}

/// Carries the load on a thread of its own.
pub async fn carry(plan: Plan) -> Result<Measured, Ended> {
    let (mut tell, told) = oneshot::channel();
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let measured = match runtime {
            // Nobody waits for it any more once the measurement is interrupted.
            Ok(runtime) => runtime.block_on(async {
                tokio::select! {
                    measured = drive(&plan) => measured,
                    () = tell.closed() => Err(Ended::Interrupted),
                }
            }),
            Err(error) => Err(Ended::Failed(format!("cannot start a load: {error}"))),
        };
        tell.send(measured).ok();
    };
    let started = std::thread::Builder::new().name("load".to_owned()).spawn(work);
    started.map_err(|error| Ended::Failed(format!("cannot start a thread: {error}")))?;
    told.await
        .unwrap_or_else(|_| Err(Ended::Failed("the load ended with a bug of ours".to_owned())))
}

async fn drive(plan: &Plan) -> Result<Measured, Ended> {
    let owner = owner()?;
    let mut clients = Vec::new();
    for _ in 0..=ASKING {
        let nats = NatsConfig { url: plan.url.clone(), ..NatsConfig::default() };
        clients.push(assemble::client(&nats).await?);
    }
    let filter = format!("stead.evt.{}.{KIND}.*.{}", owner.token(), plan.order.end());
    let ends = clients[ASKING].watch(&filter).await;
    let ends = ends.map_err(|error| Ended::Unavailable(with_causes(&error)))?;
    Load { plan, owner: &owner, clients: &clients[..ASKING] }.run(ends).await
}

struct Load<'a> {
    plan: &'a Plan,
    owner: &'a Owner,
    clients: &'a [SteadClient],
}

impl Load<'_> {
    async fn run(
        &self,
        mut ends: impl Stream<Item = (String, Value)> + Unpin,
    ) -> Result<Measured, Ended> {
        let mut under_way: HashMap<RunId, Instant> = HashMap::new();
        let mut asking = FuturesUnordered::new();
        let began = Instant::now();
        let (mut begun, mut spans, mut counted) = (0, Vec::new(), None);
        loop {
            while under_way.len() < self.plan.in_flight && !self.is_enough(begun, began) {
                let name = format!("{}-{begun}", self.plan.prefix);
                under_way.insert(self.id(&name), Instant::now());
                let fields = self.plan.order.fields(&name);
                asking.push(ask(&self.clients[begun % ASKING], self.owner, "start", fields));
                begun += 1;
            }
            if counted.is_none() && self.is_enough(begun, began) {
                counted = Some((spans.len(), began.elapsed()));
            }
            if under_way.is_empty() {
                break;
            }
            tokio::select! {
                Some(asked) = asking.next(), if !asking.is_empty() => asked?,
                end = timeout(STILL, ends.next()) => {
                    let Ok(Some((subject, _))) = end else {
                        return Err(self.still(&spans, begun, under_way.keys()).await);
                    };
                    let span = run_of(&subject).and_then(|run| under_way.remove(&run));
                    spans.extend(span.map(|began| began.elapsed()));
                }
            }
        }
        let (counted, took) = match (self.plan.until, counted) {
            (Until::Elapsed(_), Some(counted)) => counted,
            _ => (spans.len(), began.elapsed()),
        };
        let sample = self.id(&format!("{}-0", self.plan.prefix));
        Ok(Measured { spans, counted, took, sample })
    }

    /// The load does not go on: says what became of a run that is missed.
    async fn still(
        &self,
        spans: &[Duration],
        begun: usize,
        mut missed: impl Iterator<Item = &RunId>,
    ) -> Ended {
        let told = match missed.next() {
            None => String::new(),
            Some(run) => match self.clients[0].view(run).await {
                // What is published is kept nowhere: an engine that has just lost its lease
                // does not publish what it wrote last.
                Ok(Some(view)) if view.outcome.is_some() => {
                    format!("; {run} is over, and its end was not published; see engine.log")
                }
                Ok(Some(view)) => format!(
                    "; {run} is {} after {} transitions and waits for `{}`",
                    view.summary.state.word(),
                    view.summary.transitions,
                    view.summary.waiting
                ),
                Ok(None) => format!("; no engine knows of {run}"),
                Err(error) => format!("; {run} cannot be asked for: {error}"),
            },
        };
        let (done, seconds) = (spans.len(), STILL.as_secs());
        Ended::Failed(format!(
            "the load stands still for {seconds} s: {done} of {begun} runs came through{told}"
        ))
    }

    fn is_enough(&self, begun: usize, since: Instant) -> bool {
        match self.plan.until {
            Until::Runs(runs) => begun >= runs,
            Until::Elapsed(limit) => since.elapsed() >= limit,
        }
    }

    fn id(&self, name: &str) -> RunId {
        id(self.owner, name)
    }
}

/// Whose runs these are.
pub fn owner() -> Result<Owner, Ended> {
    Owner::new(OWNER).map_err(|error| Ended::Usage(error.to_string()))
}

/// The run of this name.
pub fn id(owner: &Owner, name: &str) -> RunId {
    EntityKey::of(KIND, owner, name).run(1)
}

fn run_of(subject: &str) -> Option<RunId> {
    subject.split('.').nth(4)?.parse().ok()
}

/// Gives a command to a probe.
pub async fn ask(
    client: &SteadClient,
    owner: &Owner,
    verb: &str,
    fields: Map<String, Value>,
) -> Result<(), Ended> {
    match client.command(owner, KIND, verb, &fields).await? {
        CommandReply::Accepted(_) => Ok(()),
        CommandReply::Refused(refusal) => Err(Ended::Refused(refusal)),
        CommandReply::Unavailable { words } => Err(Ended::Unavailable(words)),
    }
}
