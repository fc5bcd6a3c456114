//! Properties of folding and deciding that hold for any events in any order.
//!
//! `legality.rs` is the table of what may stand where, `facts.rs` what a run makes of facts.

mod by_hand;
mod combining;
mod desk;
mod drift;
mod facts;
mod golden;
mod ledger;
mod legality;
mod sizes;
mod trace;
mod undos;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::sample::select;
use proptest::{prop_assert, prop_assert_eq};
use serde_json::Value;
use stead_core::context::Context;
use stead_core::definition::{Admission, Admitted, Definition, Ending};
use stead_core::fold::Folded;
use stead_core::run::{Run, execution, is_fact};
use stead_core::size::{CARRIED_BYTES_MAX, NOTE_BYTES_MAX};
use stead_schemas::dispatch::{Caller, Route};
use stead_schemas::event::{
    ByHand, CommandAccepted, CommandCompleted, Event, Outcome, RunStarted, Seq, StepScheduled,
    TimerStarted,
};
use stead_schemas::failure::Failure;
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::{Owner, decode_token, encode_token};
use stead_schemas::policy::StepPolicy;
use stead_schemas::refusal::Refusal;
use stead_schemas::step::probe::Noop;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION};

use legality::each_event;

fn started() -> Event {
    Event::RunStarted(RunStarted {
        workflow: "pages".into(),
        owner: Owner::new("john").unwrap(),
        name: "x".into(),
        build: "test".into(),
    })
}

fn accepted(id: u8) -> Event {
    accepted_with(id, Value::Null)
}

fn accepted_with(id: u8, payload: Value) -> Event {
    Event::CommandAccepted(CommandAccepted {
        id: id.to_string(),
        verb: "go".into(),
        payload,
        digest: String::new(),
        by: Caller::Api,
        reply: None,
        priority: stead_schemas::limit::Priority::Normal,
    })
}

fn command_completed(id: u8) -> Event {
    let outcome = Outcome::Done(Value::Null);
    Event::CommandCompleted(CommandCompleted { id: id.to_string(), outcome })
}

fn step_scheduled(seq: Seq) -> Event {
    Event::StepScheduled(StepScheduled {
        seq,
        step: "probe.noop".into(),
        route: Route::Worker,
        request: Value::Null,
        within_ms: 0,
        undo: false,
        detached: false,
        policy: StepPolicy::default(),
    })
}

fn timer_started(seq: Seq) -> Event {
    Event::TimerStarted(TimerStarted {
        seq,
        due: Timestamp::from_millis(9),
        after_ms: 9,
        reason: "a test".into(),
        for_person: false,
    })
}

/// An event of any kind, with small numbers so that events often fit together. What ends a run is
/// rare, since nothing follows it.
fn event() -> impl Strategy<Value = Event> {
    drawn().prop_map(|drawn| drawn.event(drawn.number))
}

/// An event that is drawn before it is known what is open.
#[derive(Clone, Debug)]
struct Drawn {
    /// Its place among all kinds.
    kind: usize,
    /// The number of a step or timer, or its place among those that are open.
    number: Seq,
    /// The id of an order, which acts once.
    order: u16,
}

impl Drawn {
    /// As it is about the step or timer of this number.
    fn event(&self, seq: Seq) -> Event {
        let id = Some(self.order.to_string());
        let order = ByHand { by: Caller::Api, why: "a test".into(), id };
        each_event((self.order % 8) as u8, seq, seq, &order).swap_remove(self.kind)
    }

    /// As it is about what is open, where there is something at this place.
    fn aimed(&self, folded: &Folded) -> Event {
        let mut open = folded.steps.keys().chain(folded.timers.keys());
        self.event(open.nth(self.number as usize).copied().unwrap_or(self.number))
    }
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let each = each_event(1, 1, 1, &desk::by_hand("a test"));
    let is_end = |event: &Event| event.is_last() || matches!(event, Event::TerminateRequested(_));
    let (ends, others): (Vec<_>, Vec<_>) = (0..each.len()).partition(|kind| is_end(&each[*kind]));
    let kind = prop_oneof![40 => select(others), 1 => select(ends)];
    (kind, 0..5u32, any::<u16>()).prop_map(|(kind, number, order)| Drawn { kind, number, order })
}

/// Takes commands for ever; each is two steps, of which the first can be taken back.
static PAGES: Definition = Definition {
    kind: "pages",
    public: true,
    verbs: &["go"],
    signals: &[],
    execute: |cx| execution(pages(cx)),
    admit: |_: &Admission<'_>| -> Result<Admitted, Refusal> {
        Ok(Admitted { payload: Value::Null, begins: true, interrupts: false })
    },
};

async fn pages(cx: Context) -> Result<Ending, Failure> {
    loop {
        let command = cx.next_command().await;
        let both = cx.operation(async {
            cx.step(Noop { number: 1 }).undo(Noop { number: 3 }).await?;
            cx.step(Noop { number: 2 }).await
        });
        let outcome = both.await.map(|_| Value::Null);
        cx.complete(&command, outcome);
        if cx.transitions() > 8 && !cx.has_command() {
            return Ok(Ending::ContinueAsNew(Value::Null));
        }
    }
}

/// Notes and carries over texts as long as it is told.
const HOARDER: Definition = Definition { execute: |cx| execution(hoarder(cx)), ..PAGES };

async fn hoarder(cx: Context) -> Result<Ending, Failure> {
    let command = cx.next_command().await;
    let (noted, carried): (usize, usize) = command.read()?;
    cx.complete(&command, Ok(Value::Null));
    cx.note("hoard", "so much", &"x".repeat(noted - 2));
    Ok(Ending::ContinueAsNew("x".repeat(carried - 2).into()))
}

#[test]
fn what_a_run_says_has_a_limit_that_no_history_is_measured_by() {
    let (note, carry) = (NOTE_BYTES_MAX, CARRIED_BYTES_MAX);
    let run =
        || Run::new(HOARDER, EntityKey::of("pages", &Owner::new("john").unwrap(), "x").run(1));
    let facts = |sizes: (usize, usize)| {
        let Event::CommandAccepted(accepted) = accepted(1) else { panic!("it is a command") };
        let payload = serde_json::json!(sizes);
        vec![started(), Event::CommandAccepted(CommandAccepted { payload, ..accepted })]
    };
    let decide = |sizes| run().decide(Timestamp::from_millis(1), facts(sizes));
    let mut events = decide((note, carry)).expect("it just fits").events;
    let words = |sizes| decide(sizes).map(drop).expect_err("it does not fit").to_string();
    assert!(words((note + 1, carry)).contains("the note is about has more than 512 KiB"));
    assert!(words((note, carry + 1)).contains("carried over has more than 768 KiB"));
    // An older build may have written more.
    events.splice(..2, facts((note, carry + 1)));
    let Some(Event::ContinuedAsNew(anew)) = events.last_mut() else { panic!("it begins anew") };
    anew.carried = "x".repeat(carry - 1).into();
    let history = Transition {
        v: VERSION,
        run: run().id().clone(),
        n: 1,
        at: Timestamp::from_millis(1),
        engine: "e".into(),
        prev: String::new(),
        events,
    };
    run().replay(&history).expect("it replays");
}

proptest! {
    #[test]
    fn an_illegal_event_changes_nothing(events in vec(event(), 0..40)) {
        let mut folded = Folded::default();
        for event in &events {
            let before = folded.clone();
            if folded.apply(event, Timestamp::from_millis(1)).is_err() {
                prop_assert_eq!(&folded, &before);
            }
        }
    }

    #[test]
    fn nothing_follows_the_end(events in vec(event(), 0..40)) {
        let mut folded = Folded::default();
        let mut over = false;
        for event in &events {
            let applied = folded.apply(event, Timestamp::from_millis(1)).is_ok();
            prop_assert!(!(over && applied));
            over = folded.ended.is_some();
        }
    }

    #[test]
    fn whatever_facts_come_the_history_replays(batches in vec(vec(event(), 0..4), 1..40)) {
        let id = EntityKey::of("pages", &Owner::new("john").unwrap(), "x").run(1);
        let mut run = Run::new(PAGES, id.clone());
        let mut history = Vec::new();
        let first = vec![started(), accepted(9)];
        for (n, batch) in std::iter::once(first).chain(batches).enumerate() {
            let at = Timestamp::from_millis(n as i64);
            let facts = batch.into_iter().filter(is_fact).collect();
            let decided = run.decide(at, facts).unwrap();
            if !decided.events.is_empty() {
                history.push(Transition {
                    v: VERSION,
                    run: id.clone(),
                    n: run.transitions(),
                    at,
                    engine: "e".into(),
                    prev: String::new(),
                    events: decided.events,
                });
            }
        }
        let mut again = Run::new(PAGES, id);
        for transition in &history {
            let decoded = Transition::decode(&transition.encode()).unwrap();
            prop_assert_eq!(&decoded, transition);
            prop_assert_eq!(again.replay(&decoded), Ok(()));
        }
        prop_assert_eq!(again.folded(), run.folded());
        prop_assert_eq!(again.phase(), run.phase());
    }

    #[test]
    fn every_text_survives_a_subject(text in any::<String>()) {
        let token = encode_token(&text);
        prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_%".contains(&b)));
        prop_assert_eq!(decode_token(&token), Some(text));
    }
}
