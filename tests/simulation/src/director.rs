//! The course of a world: unkind days with faults and commands, then kind ones in which
//! everything must come to rest, and the last judgement.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use stead_schemas::ids::RunId;
use stead_schemas::owner::Owner;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use crate::clients::Clients;
use crate::engine::{self, LOOK_EVERY, TROUBLES};
use crate::judge::{History, Judge};
use crate::network::deliver;
use crate::pages::{House, Stock};
use crate::plan::Fault;
use crate::worker;
use crate::world::World;

/// How long everything may take to come to rest once the world is kind. The longest pauses of an
/// engine are a minute, and one may follow another.
const REST_WITHIN: Duration = Duration::from_secs(600);

/// Lets a world live from beginning to end, or until a rule is broken.
pub async fn live(world: Arc<World>) {
    let judge = Rc::new(RefCell::new(Judge::default()));
    let clients = Clients::new(&world, &judge);
    spawn_local(deliver(Arc::clone(&world), Rc::clone(&judge)));
    let (engines, workers, commands) = {
        let state = world.lock();
        (state.plan.engines, state.plan.workers, state.plan.commands)
    };
    (0..engines).for_each(|_| engine::start(&world));
    (0..workers).for_each(|_| worker::start(&world));
    (0..commands).for_each(|number| clients.ask_some_day(number < 3));
    spawn_local(clients.clone().watch());
    unkind_days(&world).await;
    be_kind(&world);
    if !come_to_rest(&world, &clients, is_quiet).await {
        return;
    }
    outside_is_as_it_should_be(&world, &judge.borrow());
    raze_all(&clients).await;
    if !come_to_rest(&world, &clients, is_over).await {
        return;
    }
    outside_is_as_it_should_be(&world, &judge.borrow());
    last_judgement(&world, &judge.borrow());
}

async fn unkind_days(world: &Arc<World>) {
    let end = Instant::now() + Duration::from_millis(world.lock().plan.unkind_ms);
    while Instant::now() < end && !world.is_broken() {
        sleep(LOOK_EVERY).await;
        for fault in TROUBLES {
            trouble(world, fault);
        }
        crowd(world);
        let forgets = world.lock().strikes(Fault::ForgottenLeases);
        if forgets {
            world.leases.forget();
            let mut state = world.lock();
            state.counts.add("leases forgotten");
            state.tell(format_args!("all leases are FORGOTTEN"));
        }
    }
}

/// One engine meets a trouble, if it is its time.
fn trouble(world: &Arc<World>, fault: Fault) {
    let mut state = world.lock();
    let living = state.living_engines();
    if living.is_empty() || !state.strikes(fault) {
        return;
    }
    let engine = state.chance.one_of(&living);
    match fault {
        Fault::Crash => state.crash(engine),
        Fault::Stop => state.stop(engine),
        Fault::ClockJump => state.jump(engine),
        Fault::LostIndex => state.machines[engine].index.lose(),
        _ => {
            spawn_local(engine::freeze_for_a_while(Arc::clone(world), engine));
        }
    }
}

/// Engines and workers come and go.
fn crowd(world: &Arc<World>) {
    let (joins, hires) = {
        let mut state = world.lock();
        let (engines, workers) = (state.living_engines(), state.living_workers());
        if !workers.is_empty() && state.strikes(Fault::WorkerCrash) {
            let worker = state.chance.one_of(&workers);
            state.crash_worker(worker);
        }
        let joins = engines.len() < 4 && state.strikes(Fault::Join)
            || engines.len() < 2 && state.chance.strikes(200);
        (joins, workers.len() < 2 && state.chance.strikes(200))
    };
    if joins {
        engine::start(world);
    }
    if hires {
        worker::start(world);
    }
}

fn be_kind(world: &Arc<World>) {
    let (engines, workers) = {
        let mut state = world.lock();
        state.kind_since = Some(Instant::now());
        state.tell(format_args!("the world is KIND from now on"));
        let engines = state.living_engines();
        for engine in 0..state.machines.len() {
            state.thaw(engine);
        }
        (engines.len(), state.living_workers().len())
    };
    world.posted.notify_one();
    if engines == 0 {
        engine::start(world);
    }
    if workers == 0 {
        worker::start(world);
    }
}

/// Waits until every run is at rest. False if it takes too long, or a rule was broken.
async fn come_to_rest(
    world: &Arc<World>,
    clients: &Clients,
    at_rest: fn(&RunId, &History) -> bool,
) -> bool {
    let end = Instant::now() + REST_WITHIN;
    loop {
        sleep(Duration::from_millis(500)).await;
        if world.is_broken() {
            return false;
        }
        let judge = clients.judge.borrow();
        let restless = judge.histories.iter().find(|(run, history)| !at_rest(run, history));
        let restless = restless.map(|(run, history)| restless_words(run, history));
        drop(judge);
        let waiting = *clients.waiting.borrow();
        if restless.is_none() && waiting == 0 {
            return true;
        }
        if Instant::now() > end {
            let words = restless.unwrap_or_else(|| format!("{waiting} clients were told nothing"));
            world.lock().broken("everything comes to rest once the world is kind", words);
            return false;
        }
    }
}

fn restless_words(run: &RunId, history: &History) -> String {
    let folded = history.run.folded();
    let (phase, steps) = (history.run.phase(), folded.steps.values());
    let steps: Vec<_> = steps.map(|open| format!("{} {}", open.step.seq, open.step.step)).collect();
    format!("{run} is {phase}, open: {steps:?}, commands {:?}", folded.open_commands())
}

/// Nothing is asked of the run and it asks for nothing.
fn is_quiet(_: &RunId, history: &History) -> bool {
    let folded = history.run.folded();
    folded.ended.is_some() || folded.steps.is_empty() && folded.open_commands().is_empty()
}

fn is_over(_: &RunId, history: &History) -> bool {
    history.run.folded().ended.is_some()
}

/// What is there is what the living runs say they have; the others have left nothing.
fn outside_is_as_it_should_be(world: &Arc<World>, judge: &Judge) {
    let mut due = BTreeSet::new();
    for (run, history) in &judge.histories {
        if history.run.folded().ended.is_some() {
            continue;
        }
        let view = history.run.view().map(|view| view.clone()).unwrap_or_default();
        let things = match run.kind() {
            "house" => serde_json::from_value::<House>(view).map(|house| house.things),
            _ => serde_json::from_value::<Stock>(view).map(|stock| stock.things),
        };
        due.extend(things.unwrap_or_default().into_iter().map(|thing| (thing, run.to_string())));
    }
    let mut state = world.lock();
    let there = state.outside.all();
    // What somebody has decided by hand may be there or not.
    let unsure = |thing: &&(String, String)| !judge.decisions.either.contains(*thing);
    let left: Vec<_> = there
        .difference(&due)
        .filter(unsure)
        .map(|(thing, of)| format!("{thing} of {of}"))
        .collect();
    let missing: Vec<_> = due
        .difference(&there)
        .filter(unsure)
        .map(|(thing, of)| format!("{thing} of {of}"))
        .collect();
    if !left.is_empty() {
        state.broken("nothing is left behind", left.join(", "));
    }
    if !missing.is_empty() {
        state.broken("what a run has is there", missing.join(", "));
    }
}

async fn raze_all(clients: &Clients) {
    let standing: Vec<(Owner, String)> = {
        let judge = clients.judge.borrow();
        let living = judge.histories.values().map(|history| history.run.folded());
        let living = living.filter(|folded| folded.ended.is_none());
        let houses = living.filter_map(|folded| folded.started.as_ref());
        let houses = houses.filter(|started| started.workflow == "house");
        houses.map(|started| (started.owner.clone(), started.name.clone())).collect()
    };
    for (owner, name) in standing {
        clients.raze(&owner, &name).await;
    }
}

fn last_judgement(world: &Arc<World>, judge: &Judge) {
    let mut state = world.lock();
    if let Some(words) = state.log.lost() {
        state.broken("what was acknowledged is kept", words);
    }
    if let Err((rule, words)) = judge.replay_all(&state) {
        state.broken(rule, words);
    }
}
