//! What a run holds outside, by its history alone: a pure fold over its events, beside `fold.rs`.
//!
//! A resource enters when a step is asked to make it, before anybody knows whether that works, and
//! leaves only when a step that removes it is done. Whatever happens in between, a lost answer, a
//! cancel, an undo that is given up, it stays, and says how sure it is.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Value;
use stead_schemas::event::{Event, RunStarted, Seq, StepEdited, StepScheduled};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::RunId;
use stead_schemas::ledger::{Held, Standing};
use stead_schemas::step::touch::{self, Deed, Touch};
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;

/// What one run holds outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    run: RunId,
    started: Option<RunStarted>,
    held: Vec<Held>,
    open: BTreeMap<Seq, StepScheduled>,
    unread: BTreeSet<String>,
    cleared: BTreeSet<(String, String)>,
}

impl Ledger {
    /// Of a run that has not begun.
    #[must_use]
    pub const fn new(run: RunId) -> Self {
        let held = Vec::new();
        let open = BTreeMap::new();
        let unread = BTreeSet::new();
        Self { run, started: None, held, open, unread, cleared: BTreeSet::new() }
    }

    /// Of a whole history.
    #[must_use]
    pub fn of<'a>(run: &RunId, history: impl IntoIterator<Item = &'a Transition>) -> Self {
        let mut ledger = Self::new(run.clone());
        for transition in history {
            ledger.take(transition);
        }
        ledger
    }

    /// What it holds, in the order in which it was asked for.
    #[must_use]
    pub fn held(&self) -> &[Held] {
        &self.held
    }

    /// The steps of which this build does not know what they touch: of a newer build, or unreadable.
    #[must_use]
    pub const fn unread(&self) -> &BTreeSet<String> {
        &self.unread
    }

    /// What it has taken away that another run had left: the path and the mark of each.
    #[must_use]
    pub const fn cleared(&self) -> &BTreeSet<(String, String)> {
        &self.cleared
    }

    /// Takes the next transition of the history.
    pub fn take(&mut self, transition: &Transition) {
        for event in &transition.events {
            self.apply(event, transition.at);
        }
    }

    /// Takes the next event of the history. What a run asks of entities of ours and of the outside
    /// touches nothing itself: what they hold stands in their own histories.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::RunStarted(started) => self.started = Some(started.clone()),
            Event::StepScheduled(step) if step.route.is_worker() => self.schedule(step, at),
            Event::StepEdited(edited) => self.edit(edited, at),
            Event::StepCompleted(done) => self.done(done.seq, &done.answer, "", at),
            Event::StepSkipped(skipped) => {
                let why = format!("done by hand: {}", skipped.order.why);
                self.done(skipped.seq, &skipped.answer, &why, at);
            }
            Event::StepFailed(failed) => self.failed(failed.seq, &failed.failure),
            Event::StepCancelled(cancelled) => {
                self.doubt(cancelled.seq, "it was stopped half-way");
            }
            Event::StepDropped(dropped) => self.doubt(dropped.seq, "nobody waited for its end"),
            Event::UndoAbandoned(given_up) => self.give_up(given_up.seq, &given_up.order.why),
            Event::RunCompleted(_) | Event::RunFailed(_) => self.end("its run is over"),
            Event::RunTerminated(terminated) => {
                self.end(&format!("its run was ended by hand: {}", terminated.why));
            }
            _ => {}
        }
    }

    fn schedule(&mut self, step: &StepScheduled, at: Timestamp) {
        for touch in self.touches(step, None) {
            match touch.deed {
                Deed::Makes => self.enter(&step.step, &touch, at),
                Deed::Uses => {}
                Deed::Removes => {
                    self.each(&touch, |held| held.stand(Standing::Debt, &step.step, ""));
                }
            }
            if touch.quota_gb.is_some() {
                self.each(&touch, |held| held.quota_bytes = None);
            }
        }
        self.open.insert(step.seq, step.clone());
    }

    /// What was asked before may have been done already.
    fn edit(&mut self, edited: &StepEdited, at: Timestamp) {
        if let Some(mut step) = self.open.remove(&edited.seq) {
            step.request = edited.request.clone();
            self.schedule(&step, at);
        }
    }

    fn done(&mut self, seq: Seq, answer: &Value, why: &str, at: Timestamp) {
        let Some(step) = self.open.remove(&seq) else { return };
        for touch in self.touches(&step, Some(answer)) {
            if touch.deed == Deed::Removes {
                self.held.retain(|held| !is_meant(held, &touch));
                if !touch.marker.is_empty() && touch.marker != self.run.as_str() {
                    self.cleared.insert((touch.resource.path(), touch.marker));
                }
                continue;
            }
            self.each(&touch, |held| {
                held.stand(Standing::Wanted, &step.step, why);
                held.seen = Some(at);
                held.quota_bytes = touch.quota_gb.map(bytes).or(held.quota_bytes);
                if touch.resource.vendor_id.is_some() {
                    held.resource.vendor_id.clone_from(&touch.resource.vendor_id);
                }
            });
        }
    }

    /// A step that failed may have had its effect, unless something was there that is not ours.
    fn failed(&mut self, seq: Seq, failure: &Failure) {
        let Some(step) = self.open.get(&seq).cloned() else { return };
        if failure.class != Class::Conflict {
            return self.doubt(seq, &failure.words);
        }
        self.open.remove(&seq);
        for touch in self.touches(&step, None) {
            match touch.deed {
                Deed::Makes => self
                    .held
                    .retain(|held| held.seen.is_some() || !held.resource.is(&touch.resource)),
                Deed::Uses => {}
                Deed::Removes => self.each(&touch, |held| {
                    held.stand(Standing::Unknown, &step.step, &failure.words);
                }),
            }
        }
    }

    /// Nobody knows what became of a step.
    fn doubt(&mut self, seq: Seq, why: &str) {
        let Some(step) = self.open.remove(&seq) else { return };
        for touch in self.touches(&step, None) {
            match touch.deed {
                Deed::Makes | Deed::Uses => self.each(&touch, |held| {
                    // What was there before such a step is there after it.
                    if held.standing == Standing::Unknown {
                        held.stand(Standing::Unknown, &step.step, why);
                    }
                }),
                Deed::Removes => {
                    self.each(&touch, |held| held.stand(Standing::Unknown, &step.step, why));
                }
            }
        }
    }

    fn give_up(&mut self, seq: Seq, why: &str) {
        let Some(step) = self.open.remove(&seq) else { return };
        let why = format!("given up by hand: {why}");
        for touch in self.touches(&step, None) {
            self.each(&touch, |held| held.stand(Standing::Left, &step.step, &why));
        }
    }

    fn end(&mut self, why: &str) {
        for held in &mut self.held {
            if held.standing != Standing::Left {
                held.standing = Standing::Left;
                why.clone_into(&mut held.why);
            }
        }
        self.open.clear();
    }

    fn enter(&mut self, step: &str, touch: &Touch, at: Timestamp) {
        if let Some(held) = self.held.iter_mut().find(|held| held.resource.is(&touch.resource)) {
            // It may have been gone, or be going.
            if held.standing != Standing::Wanted {
                held.stand(Standing::Unknown, step, "");
            }
            return;
        }
        let Some(started) = &self.started else { return };
        self.held.push(Held {
            resource: touch.resource.clone(),
            marker: touch.marker.clone(),
            standing: Standing::Unknown,
            owner: started.owner.clone(),
            entity: started.workflow.clone(),
            name: started.name.clone(),
            run: self.run.clone(),
            since: at,
            seen: None,
            quota_bytes: None,
            step: step.to_string(),
            why: String::new(),
        });
    }

    fn each(&mut self, touch: &Touch, mut act: impl FnMut(&mut Held)) {
        self.held.iter_mut().filter(|held| is_meant(held, touch)).for_each(&mut act);
    }

    fn touches(&mut self, step: &StepScheduled, answer: Option<&Value>) -> Vec<Touch> {
        let touches = touch::touches(&step.step, &step.request, answer);
        if touches.is_none() {
            self.unread.insert(step.step.clone());
        }
        touches.unwrap_or_default()
    }
}

/// What is part of something goes with it, and is touched in no other way.
fn is_meant(held: &Held, touch: &Touch) -> bool {
    let goes_along = touch.deed == Deed::Removes && held.resource.is_part_of(&touch.resource);
    goes_along || held.resource.is(&touch.resource)
}

fn bytes(gib: u32) -> u64 {
    u64::from(gib) << 30
}

trait Stand {
    fn stand(&mut self, standing: Standing, step: &str, why: &str);
}

impl Stand for Held {
    fn stand(&mut self, standing: Standing, step: &str, why: &str) {
        self.standing = standing;
        step.clone_into(&mut self.step);
        why.clone_into(&mut self.why);
    }
}
