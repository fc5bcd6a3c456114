//! A pool: keeps so many spare machines of a template, made before anybody wants them.
//!
//! It has spares made, proposes one to whoever creates a workspace, and has another one made once that
//! is given away. What it knows of a spare it was told; who has which is decided by the spare itself
//! (`spare.rs`). It is told what it is to be by the engines, from the site's configuration.
//! `admit.rs` is the door of both.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_core::context::{Command, Context};
use stead_core::definition::{Definition, Ending};
use stead_core::retry::doubled;
use stead_core::run::execution;
use stead_schemas::command::pool::{PoolChange, PoolOrder, PoolView, SpareView};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::limit::Priority;
use stead_schemas::site::StorageBackend;
use stead_schemas::step::Done;
use stead_schemas::step::pool::{Doubt, Gone, KIND, Make, Offer, Pick, Picked, Retire, Spare};
use stead_schemas::time::Timestamp;

use crate::as_value;

mod admit;
pub mod spare;

/// How many spares are being made at once.
const MAKING_MAX: usize = 2;
/// How long to wait after one that was not made; doubled each time it goes wrong again.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// The longest such wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: KIND,
    public: true,
    verbs: &["doubt", "drain", "gone", "keep", "offer", "pick", "resize"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit: admit::of_pool,
};

/// What a pool knows.
#[derive(Serialize, Deserialize)]
struct Pool {
    order: PoolOrder,
    /// How many are kept by hand.
    by_hand: Option<u32>,
    spares: BTreeMap<String, Known>,
    /// The number of the latest spare.
    made: u64,
    given: u64,
    /// How many in a row were not made.
    failures: u32,
    trouble: Option<String>,
    again_at: Option<Timestamp>,
}

/// What is known of a spare.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Known {
    /// It is being made from the template of this VMID.
    Making(u32),
    /// It can be had.
    Ready(Spare),
    /// It is being taken away.
    Going,
}

async fn run(cx: Context) -> Result<Ending, Failure> {
    let mut pool = cx.carried()?.unwrap_or_else(Pool::new);
    loop {
        pool.show(&cx);
        if cx.should_begin_anew() {
            return Ok(Ending::ContinueAsNew(as_value(&pool)));
        }
        if let Some(command) = next(&cx, &pool).await {
            let outcome = pool.take_in(&cx, &command);
            pool.show(&cx);
            cx.complete(&command, outcome);
        }
        // Whoever has asked does not wait for what follows, and it does not hurry because of him.
        pool.take_away(&cx).await;
        pool.fill(&cx).await;
    }
}

/// The next command; nothing when it is time to try again.
async fn next(cx: &Context, pool: &Pool) -> Option<Command> {
    match pool.again_at {
        Some(at) => {
            let reason = "before the next machine is tried: the last one was not made";
            cx.next_command_within(at.since(cx.now()), reason).await
        }
        None => Some(cx.next_command().await),
    }
}

impl Pool {
    fn new() -> Self {
        Self {
            order: PoolOrder { ready: 0, template: 0, storage: StorageBackend::Iscsi },
            by_hand: None,
            spares: BTreeMap::new(),
            made: 0,
            given: 0,
            failures: 0,
            trouble: None,
            again_at: None,
        }
    }

    fn take_in(&mut self, cx: &Context, command: &Command) -> Result<Value, Failure> {
        match command.verb.as_str() {
            "keep" => self.order = command.read()?,
            "resize" | "drain" => self.by_hand = command.read::<PoolChange>()?.ready,
            "pick" => {
                let spare = self.pick(&command.read()?);
                return Ok(as_value(&Picked { spare }));
            }
            "offer" => self.offered(command.read::<Offer>()?.spare),
            "gone" => self.gone(cx, command.read()?),
            "doubt" => {
                let Doubt { spare, trouble, .. } = command.read()?;
                let words = format!("{spare} could not be given away: {trouble}");
                cx.note("spare-doubted", words.clone(), &spare);
                self.trouble = Some(words);
                self.spares.entry(spare).and_modify(|known| *known = Known::Making(0));
            }
            _ => return Err(Failure::new(Class::Refused, "a pool knows no such command")),
        }
        if let "keep" | "resize" = command.verb.as_str() {
            // Somebody has changed something: it is tried again at once.
            (self.failures, self.again_at) = (0, None);
        }
        Ok(as_value(&Done {}))
    }

    fn offered(&mut self, spare: Spare) {
        self.failures = 0;
        self.trouble.take_if(|_| self.again_at.is_none());
        // One that is to go goes all the same.
        if let Some(known @ Known::Making(_)) = self.spares.get_mut(&spare.name) {
            *known = Known::Ready(spare);
        }
    }

    fn gone(&mut self, cx: &Context, gone: Gone) {
        let known = self.spares.remove(&gone.spare);
        self.given += u64::from(gone.taken_by.is_some());
        if let (Some(trouble), Some(Known::Making(_))) = (gone.trouble, known) {
            self.failed(cx, trouble);
        }
    }

    fn failed(&mut self, cx: &Context, trouble: String) {
        let pause = doubled(FIRST_PAUSE, self.failures, LONGEST_PAUSE);
        self.failures += 1;
        self.trouble = Some(trouble);
        self.again_at = Some(cx.now().after(pause));
    }

    /// One on the best node that has any; the one that was made first.
    fn pick(&self, ask: &Pick) -> Option<Spare> {
        let fits = |spare: &&Spare| {
            spare.template == ask.template
                && spare.storage == ask.storage
                && !ask.not.contains(&spare.vmid)
        };
        let ready = || self.ready().filter(fits);
        let on = |node: &String| {
            ready().filter(|spare| spare.node == *node).min_by_key(|spare| spare.vmid)
        };
        ask.nodes.iter().find_map(on).cloned()
    }

    fn ready(&self) -> impl Iterator<Item = &Spare> {
        self.spares.values().filter_map(|known| match known {
            Known::Ready(spare) => Some(spare),
            Known::Making(_) | Known::Going => None,
        })
    }

    fn making(&self) -> usize {
        self.spares.values().filter(|known| matches!(known, Known::Making(_))).count()
    }

    fn wanted(&self) -> u32 {
        self.by_hand.unwrap_or(self.order.ready)
    }

    /// Whether a spare is as the configuration has it now.
    fn is_good(&self, known: &Known) -> bool {
        match known {
            Known::Making(template) => *template == self.order.template,
            Known::Ready(spare) => {
                spare.template == self.order.template && spare.storage == self.order.storage
            }
            Known::Going => false,
        }
    }

    /// Has those taken away that are too many, or made from what the template was before.
    async fn take_away(&mut self, cx: &Context) {
        let wanted = usize::try_from(self.wanted()).unwrap_or(usize::MAX);
        let good = self.spares.iter().filter(|(_, known)| self.is_good(known));
        // Those that can be had first are kept first.
        let (ready, making): (Vec<_>, Vec<_>) =
            good.partition(|(_, known)| matches!(known, Known::Ready(_)));
        let kept: BTreeSet<String> =
            ready.into_iter().chain(making).take(wanted).map(|(name, _)| name.clone()).collect();
        let goes = |(name, known): &(&String, &Known)| {
            !kept.contains(*name) && !matches!(known, Known::Going)
        };
        let goes: Vec<String> =
            self.spares.iter().filter(goes).map(|(name, _)| name.clone()).collect();
        for spare in goes {
            match cx.step(Retire { spare: spare.clone() }).detached().await {
                Ok(_) => self.spares.insert(spare, Known::Going),
                // It is over already.
                Err(_) => self.spares.remove(&spare),
            };
            self.show(cx);
        }
    }

    /// Has as many made as are missing, a few at a time.
    async fn fill(&mut self, cx: &Context) {
        if self.again_at.is_some_and(|at| at > cx.now()) {
            return;
        }
        self.again_at = None;
        let wanted = usize::try_from(self.wanted()).unwrap_or(usize::MAX);
        loop {
            let good = self.spares.values().filter(|known| self.is_good(known)).count();
            if good >= wanted || self.making() >= MAKING_MAX {
                return;
            }
            self.made += 1;
            let spare = format!("{}-{}", cx.name(), self.made);
            self.spares.insert(spare.clone(), Known::Making(self.order.template));
            self.show(cx);
            let (pool, priority) = (cx.name(), Priority::Low);
            let make = Make { spare: spare.clone(), pool, priority };
            if let Err(failure) = cx.step(make).detached().await {
                self.spares.remove(&spare);
                return self.failed(cx, failure.to_string());
            }
        }
    }

    fn show(&self, cx: &Context) {
        let (wanted, ready) = (self.wanted(), u32::try_from(self.ready().count()).unwrap_or(0));
        let view = PoolView {
            wanted,
            by_hand: self.by_hand.is_some(),
            ready,
            making: u32::try_from(self.making()).unwrap_or(0),
            given: self.given,
            spares: self.spares.iter().map(|(name, known)| known.shown(name)).collect(),
            trouble: self.trouble.clone(),
            again_at: self.again_at,
        };
        let phase = match wanted {
            0 => "empty",
            wanted if ready >= wanted => "full",
            _ => "filling",
        };
        cx.show(phase, &view);
    }
}

impl Known {
    fn shown(&self, name: &str) -> SpareView {
        let (phase, spare) = match self {
            Self::Making(_) => ("making", None),
            Self::Ready(spare) => ("ready", Some(spare)),
            Self::Going => ("going", None),
        };
        SpareView {
            name: name.to_string(),
            phase: phase.to_string(),
            vmid: spare.map(|spare| spare.vmid),
            node: spare.map(|spare| spare.node.clone()),
        }
    }
}
