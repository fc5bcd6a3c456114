//! A run is fed with facts in any order: what it decides is legal, lasts, and is the same again.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{Strategy, TestCaseError, proptest};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use proptest::{prop_assert, prop_assert_eq};
use serde_json::{Value, json};
use stead_core::combine::{Either, all, both, race};
use stead_core::context::{Command, Context};
use stead_core::definition::{Admission, Admitted, Definition, Ending};
use stead_core::fold::Folded;
use stead_core::run::{Run, execution, is_fact};
use stead_schemas::event::Event;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;
use stead_schemas::step::Done;
use stead_schemas::step::probe::Noop;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION};

use crate::legality::every_kind;
use crate::{Drawn, PAGES, accepted, drawn, started};

/// Does everything that a workflow can ask for.
const BUSY: Definition = Definition {
    kind: "busy",
    public: true,
    verbs: &["go"],
    signals: &["go"],
    execute: |cx| execution(busy(cx)),
    admit: |_: &Admission<'_>| -> Result<Admitted, Refusal> {
        Ok(Admitted { payload: Value::Null, begins: true, interrupts: false })
    },
};

async fn busy(cx: Context) -> Result<Ending, Failure> {
    let rounds: u32 = cx.carried()?.unwrap_or_default();
    cx.show("waiting", &rounds);
    let Some(command) = cx.next_command_within(Duration::from_secs(60), "a command").await else {
        return Ok(Ending::Completed(Value::Null));
    };
    let outcome = cx.operation(work(&cx, &command)).await;
    cx.complete(&command, outcome.map(|()| json!(rounds)));
    while let Some(late) = cx.waiting_command() {
        cx.complete(&late, Err(Failure::new(Class::Refused, "too late")));
    }
    match rounds {
        0 => Ok(Ending::ContinueAsNew(json!(rounds + 1))),
        _ => Err(Failure::new(Class::Permanent, "enough")),
    }
}

async fn work(cx: &Context, command: &Command) -> Result<(), Failure> {
    cx.show("working", &command.id);
    if cx.changed("joins") {
        several(cx).await?;
    }
    cx.step(Noop { number: 1 }).undo(Noop { number: 11 }).undo(Noop { number: 12 }).await?;
    let inner = cx.operation(async {
        cx.step(Noop { number: 2 }).undo(Noop { number: 13 }).await?;
        cx.sleep(Duration::from_secs(5), "some rest").await;
        cx.step(Noop { number: 3 }).await
    });
    if inner.await.is_err() {
        cx.take_back(Noop { number: 14 }).await?;
    }
    cx.step(Noop { number: 4 }).await?;
    Ok(())
}

/// Several things at once, of which some are dropped.
async fn several(cx: &Context) -> Result<(), Failure> {
    let told = race(cx.signal::<u32>("go"), asked(cx, 5));
    if let Either::First(said) = told.await {
        cx.note("told", "somebody said it", &said?);
    }
    let rest = cx.sleep(Duration::from_secs(3), "a rest");
    let (third, ()) = both(asked(cx, 6), rest).await;
    third?;
    let late = cx.within(Duration::from_secs(9), "not for ever", asked(cx, 7));
    late.await.transpose()?;
    let many = [8, 9, 10].map(|number| asked(cx, number));
    all(2, many).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(())
}

/// A step that can be taken back.
async fn asked(cx: &Context, number: u32) -> Result<Done, Failure> {
    cx.step(Noop { number }).undo(Noop { number: number + 10 }).await
}

/// Facts of any kind, mostly about what is open when they come.
fn facts() -> impl Strategy<Value = Vec<Drawn>> {
    let is_drawn_fact = |drawn: &Drawn| is_fact(&drawn.event(1));
    vec(drawn().prop_filter("a decision", is_drawn_fact), 1..60)
}

/// What happens to a run of these facts, each about what is open when it comes.
fn aimed(definition: Definition, drawn: &[Drawn]) -> (Vec<Event>, Play) {
    let mut play = Play::new(definition);
    let mut facts = Vec::new();
    for drawn in drawn {
        let fact = drawn.aimed(play.run.folded());
        play.feed(vec![fact.clone()]);
        facts.push(fact);
    }
    (facts, play)
}

fn id(definition: &Definition) -> RunId {
    EntityKey::of(definition.kind, &Owner::new("john").unwrap(), "x").run(1)
}

/// A run with what is in its log.
struct Play {
    definition: Definition,
    run: Run,
    history: Vec<Transition>,
}

impl Play {
    fn new(definition: Definition) -> Self {
        let run = Run::new(definition, id(&definition));
        let mut play = Self { definition, run, history: Vec::new() };
        play.feed(vec![started(), accepted(9)]);
        play
    }

    /// Feeds facts and appends what follows. Which of them were taken, and what was decided.
    fn feed(&mut self, facts: Vec<Event>) -> (Vec<bool>, Vec<Event>) {
        let at = Timestamp::from_millis(self.history.len() as i64 * 1000);
        let decided = self.run.decide(at, facts).expect("it decides legally");
        if !decided.events.is_empty() {
            let transition = Transition {
                v: VERSION,
                run: self.run.id().clone(),
                n: self.run.transitions(),
                at,
                engine: "e".into(),
                prev: String::new(),
                events: decided.events.clone(),
            };
            let bytes = transition.encode();
            self.history.push(Transition::decode(&bytes).expect("it can be read"));
        }
        (decided.taken, decided.events)
    }

    fn replayed(&self) -> Run {
        let mut run = Run::new(self.definition, id(&self.definition));
        for transition in &self.history {
            assert_eq!(run.replay(transition), Ok(()));
        }
        run
    }
}

/// Everything that can be seen of a run.
fn seen(run: &Run) -> (Folded, u64, String, Option<Value>, bool) {
    let view = run.view().map(|view| view.clone());
    (run.folded().clone(), run.transitions(), run.phase(), view, run.can_cancel())
}

fn just_what_is_legal_is_taken(of: Definition, drawn: Vec<Drawn>) -> Result<(), TestCaseError> {
    let mut play = Play::new(of);
    for drawn in drawn {
        let fact = drawn.aimed(play.run.folded());
        let before = seen(&play.run);
        let legal = before.0.clone().apply(&fact, Timestamp::default()).is_ok();
        let (taken, events) = play.feed(vec![fact.clone()]);
        prop_assert_eq!(taken, [legal]);
        prop_assert_eq!(events.first(), legal.then_some(&fact));
        prop_assert!(events.iter().skip(1).all(|decision| !is_fact(decision)));
        if !legal {
            prop_assert_eq!(seen(&play.run), before);
        }
    }
    Ok(())
}

fn a_repetition_changes_nothing(of: Definition, drawn: Vec<Drawn>) -> Result<(), TestCaseError> {
    let mut play = Play::new(of);
    for drawn in drawn {
        let fact = drawn.aimed(play.run.folded());
        play.feed(vec![fact.clone()]);
        let (folded, _, phase, view, can_cancel) = seen(&play.run);
        let (_, events) = play.feed(vec![fact.clone()]);
        // A second cancel is written down, since somebody asked; it stops nothing that goes on.
        if let Event::CancelRequested(_) = fact {
            prop_assert!(events.is_empty() || events == [fact]);
        } else {
            prop_assert_eq!(events, []);
        }
        let after = seen(&play.run);
        prop_assert_eq!((after.0, after.2, after.3, after.4), (folded, phase, view, can_cancel));
    }
    Ok(())
}

fn a_crash_anywhere_costs_nothing(of: Definition, drawn: Vec<Drawn>) -> Result<(), TestCaseError> {
    let (mut steady, mut unlucky) = (Play::new(of), Play::new(of));
    for drawn in drawn {
        let fact = drawn.aimed(steady.run.folded());
        let decided = steady.feed(vec![fact.clone()]);
        // The first decision is lost before it is appended, and made again.
        let at = Timestamp::from_millis(unlucky.history.len() as i64 * 1000);
        unlucky.run.decide(at, vec![fact.clone()]).expect("it decides legally");
        unlucky.run = unlucky.replayed();
        prop_assert_eq!(unlucky.feed(vec![fact]), decided);
        unlucky.run = unlucky.replayed();
        prop_assert_eq!(seen(&unlucky.run), seen(&steady.run));
    }
    prop_assert_eq!(unlucky.history, steady.history);
    Ok(())
}

proptest! {
    #[test]
    fn just_what_is_legal_is_taken_by_pages(facts in facts()) {
        just_what_is_legal_is_taken(PAGES, facts)?;
    }

    #[test]
    fn just_what_is_legal_is_taken_by_busy(facts in facts()) {
        just_what_is_legal_is_taken(BUSY, facts)?;
    }

    #[test]
    fn a_fact_fed_twice_to_pages_changes_nothing(facts in facts()) {
        a_repetition_changes_nothing(PAGES, facts)?;
    }

    #[test]
    fn a_fact_fed_twice_to_busy_changes_nothing(facts in facts()) {
        a_repetition_changes_nothing(BUSY, facts)?;
    }

    #[test]
    fn a_crash_anywhere_costs_pages_nothing(facts in facts()) {
        a_crash_anywhere_costs_nothing(PAGES, facts)?;
    }

    #[test]
    fn a_crash_anywhere_costs_busy_nothing(facts in facts()) {
        a_crash_anywhere_costs_nothing(BUSY, facts)?;
    }

    #[test]
    fn facts_that_come_together_are_decided_one_by_one(facts in facts()) {
        let facts = aimed(BUSY, &facts).0;
        let (mut together, mut alone) = (Play::new(BUSY), Play::new(BUSY));
        let at = Timestamp::from_millis(7);
        let decided = together.run.decide(at, facts.clone()).expect("it decides legally");
        let one_by_one = facts.into_iter().flat_map(|fact| {
            alone.run.decide(at, vec![fact]).expect("it decides legally").events
        });
        prop_assert_eq!(decided.events, one_by_one.collect::<Vec<_>>());
    }
}

/// What is drawn reaches what it is to reach: every kind of event is taken in or decided by one of
/// the two.
#[test]
fn facts_that_are_drawn_lead_to_events_of_every_kind() {
    let mut runner = TestRunner::deterministic();
    let mut missing: BTreeSet<String> = every_kind().into_iter().collect();
    for _ in 0..1_000 {
        let facts = facts().new_tree(&mut runner).expect("facts").current();
        for definition in [PAGES, BUSY] {
            let (_, play) = aimed(definition, &facts);
            let events = play.history.iter().flat_map(|transition| &transition.events);
            for event in events {
                missing.remove(event.name());
            }
        }
        if missing.is_empty() {
            return;
        }
    }
    panic!("never: {missing:?}");
}
