//! Those who ask from outside: they give commands until they are told what became of them, some
//! of them twice; they look, they report. What they do by hand is in `by_hand.rs`.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use stead_runtime::inbound::{Inbound, QueryReply};
use stead_runtime::ports::ReplyTo;
use stead_schemas::dispatch::{
    Caller, CommandReply, EntityCommand, ListRuns, OutsideAnswer, Route, RunOrder, RunQuery,
    StepReply,
};
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::public::RunView;
use tokio::sync::oneshot;

use crate::chance::Chance;
use crate::judge::Judge;
use crate::network::{Kind, Parcel};
use crate::world::World;

/// What is ordered with a command.
fn order_of(chance: &mut Chance, verb: &str) -> Value {
    let mut order = match verb {
        "build" => json!({
            "rooms": chance.between(0, 3),
            "dry_ms": chance.between(1, 3_000),
            "stands_ms": chance.between(2_000, 40_000),
            "inspected": chance.strikes(250),
            "painted": chance.strikes(250),
            "garden_ms": chance.strikes(400)
                .then(|| (chance.between(1, 3_000), chance.between(1, 12_000))),
        }),
        "start" if chance.strikes(500) => json!({ "wait_seconds": chance.between(1, 20) }),
        _ => json!({}),
    };
    order["priority"] = json!(chance.one_of(&["high", "normal", "low"]));
    order
}

/// Those who ask, and what they share.
#[derive(Clone)]
pub struct Clients {
    /// The world.
    pub world: Arc<World>,
    /// What they can know of the histories.
    pub judge: Rc<RefCell<Judge>>,
    /// How many still wait to be told.
    pub waiting: Rc<RefCell<u32>>,
    /// The number of the next one.
    pub number: Rc<RefCell<u64>>,
}

impl Clients {
    /// Nobody asks yet.
    #[must_use]
    pub fn new(world: &Arc<World>, judge: &Rc<RefCell<Judge>>) -> Self {
        let (world, judge) = (Arc::clone(world), Rc::clone(judge));
        Self { world, judge, waiting: Rc::default(), number: Rc::default() }
    }

    /// Asks something at a time of the unkind days.
    pub fn ask_some_day(&self, first: bool) {
        let clients = self.clone();
        *clients.waiting.borrow_mut() += 1;
        tokio::task::spawn_local(async move {
            let latest = clients.world.lock().plan.unkind_ms;
            clients.world.pause(1, if first { 2_000 } else { latest }).await;
            clients.ask_something(first).await;
            *clients.waiting.borrow_mut() -= 1;
        });
    }

    async fn ask_something(&self, first: bool) {
        let kind = self.world.lock().chance.between(0, 99);
        match kind {
            _ if first => self.command("house", "build").await,
            0..25 => self.command("house", "build").await,
            25..40 => self.command("house", "extend").await,
            40..50 => self.command("house", "touch").await,
            50..60 => self.command("house", "raze").await,
            60..72 => self.command("probe", "start").await,
            72..76 => self.command("probe", "finish").await,
            _ => self.order().await,
        }
    }

    async fn command(&self, kind: &str, verb: &str) {
        let (owner, name, order) = {
            let mut state = self.world.lock();
            let owner = state.chance.one_of(&["ann", "bob"]);
            let name = state.chance.one_of(&["a", "b", "c"]);
            (owner, name, order_of(&mut state.chance, verb))
        };
        let command = self.command_of(kind, owner, name, verb, order);
        let (twice, once) = {
            let mut state = self.world.lock();
            (state.chance.strikes(200), state.chance.strikes(150))
        };
        if once {
            self.world.lock().counts.add("commands given up");
            self.ask_once(&command).await;
        } else if twice {
            self.world.lock().counts.add("commands given twice");
            futures_util::future::join(self.give(&command), self.give(&command)).await;
        } else {
            self.give(&command).await;
        }
    }

    fn command_of(
        &self,
        kind: &str,
        owner: &str,
        name: &str,
        verb: &str,
        order: Value,
    ) -> EntityCommand {
        let fields: Map<String, Value> = order.as_object().cloned().unwrap_or_default();
        let owner = Owner::new(owner).unwrap_or_else(|_| unreachable!("a short plain word"));
        EntityCommand {
            kind: kind.into(),
            owner,
            name: name.into(),
            verb: verb.into(),
            fields,
            id: format!("id-{}", self.next()),
            by: Caller::Api,
        }
    }

    /// Takes a house down that stands.
    pub async fn raze(&self, owner: &Owner, name: &str) {
        let command = self.command_of("house", owner.as_str(), name, "raze", json!({}));
        self.give(&command).await;
    }

    /// Gives a command and does not wait for long: what is in the log is carried out all the same.
    async fn ask_once(&self, command: &EntityCommand) -> Option<Vec<u8>> {
        let partition = command.key().partition(self.world.lock().log.partitions());
        let to = format!("command {} - {}", command.id, self.next());
        self.ask(partition, to, |to| Inbound::Command(command.clone(), to)).await
    }

    /// Gives a command until somebody says what became of it.
    async fn give(&self, command: &EntityCommand) {
        loop {
            let reply = self.ask_once(command).await;
            match reply.map(|bytes| serde_json::from_slice(&bytes)) {
                Some(Ok(CommandReply::Accepted(_) | CommandReply::Refused(_))) => return,
                Some(Ok(CommandReply::Unavailable { .. }) | Err(_)) | None => {}
            }
            self.world.pause(50, 1_500).await;
        }
    }

    /// What a run shows of itself; nothing if nobody answers.
    async fn look(&self, run: &RunId) -> Option<RunView> {
        let to = format!("query {run} - {}", self.next());
        let query = RunQuery { run: run.clone() };
        let make = |to| Inbound::Query(query.clone(), to);
        let bytes = self.ask(self.partition(run), to, make).await?;
        serde_json::from_slice::<QueryReply>(&bytes).ok().flatten()
    }

    /// Looks at every living run: each must say what it waits for.
    pub async fn look_at_all(&self) {
        for run in self.living() {
            let Some(view) = self.look(&run).await else { continue };
            let open = view.commands.iter().any(|command| command.outcome.is_none());
            if open && view.waiting.is_empty() && view.outcome.is_none() {
                let words = format!("{run} says nothing");
                self.world.lock().broken("every run that waits says what for", words);
            }
            match view.waiting.iter().find(|waiting| waiting.what == "the run") {
                // Whoever paused it may not have been heard when he wanted it resumed.
                Some(paused) if paused.reason == "paused" => {
                    let why = format!("why-{}", self.next());
                    self.by_hand(&run, &why, RunOrder::Resume).await;
                }
                // It has not heard yet, and asks again.
                Some(untaken) if untaken.reason == "log" => {}
                Some(parked) => {
                    let words = format!("{run}: {}", parked.words);
                    self.world.lock().broken("no run is parked", words);
                }
                None => {}
            }
        }
    }

    /// Looks now and then, for ever, and reports where somebody waits for a report.
    pub async fn watch(self) {
        loop {
            self.world.pause(500, 2_500).await;
            self.look_at_all().await;
            self.list().await;
            for (run, report) in self.reports_wanted() {
                let answer = OutsideAnswer {
                    run: run.clone(),
                    step: "outside.inspect".into(),
                    reply: StepReply::Done(json!({ "report": report })),
                };
                let to = format!("report {run} {report} {}", self.next());
                let make = |to| Inbound::Outside(answer.clone(), to);
                self.ask(self.partition(&run), to, make).await;
            }
        }
    }

    async fn list(&self) {
        let (partition, to) = {
            let mut state = self.world.lock();
            let last = u64::from(state.log.partitions()) - 1;
            let partition = u16::try_from(state.chance.between(0, last)).unwrap_or(0);
            (Partition(partition), format!("list {partition} - {}", self.next()))
        };
        self.ask(partition, to, |to| Inbound::List(ListRuns::default(), to)).await;
    }

    fn reports_wanted(&self) -> Vec<(RunId, u64)> {
        let judge = self.judge.borrow();
        let wanted = judge.histories.iter().filter(|(_, history)| {
            let mut open = history.run.folded().steps.values();
            open.any(|open| open.step.route == Route::Outside)
        });
        wanted.map(|(run, _)| (run.clone(), self.next())).collect()
    }

    pub(crate) fn living(&self) -> Vec<RunId> {
        let judge = self.judge.borrow();
        let living = judge.histories.iter();
        let living = living.filter(|(_, history)| history.run.folded().ended.is_none());
        living.map(|(run, _)| run.clone()).collect()
    }

    pub(crate) fn partition(&self, run: &RunId) -> Partition {
        run.partition(self.world.lock().log.partitions())
    }

    pub(crate) fn next(&self) -> u64 {
        *self.number.borrow_mut() += 1;
        *self.number.borrow()
    }

    /// Asks whoever listens for a partition and waits a little for the reply.
    pub(crate) async fn ask(
        &self,
        partition: Partition,
        to: String,
        make: impl Fn(ReplyTo) -> Inbound,
    ) -> Option<Vec<u8>> {
        let (reply, heard) = oneshot::channel();
        {
            let mut state = self.world.lock();
            state.network.clients.insert(to.clone(), reply);
            let message = || Parcel::Partition(partition, make(ReplyTo(to.clone())));
            state.send(None, Kind::Other, message);
        }
        self.world.posted.notify_one();
        tokio::time::timeout(Duration::from_secs(2), heard).await.ok()?.ok()
    }
}
