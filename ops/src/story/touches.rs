//! What steps do to things at the vendors', as far as a history shows it: made, changed, used,
//! taken away.
//!
//! Told from the steps' names and requests. A step that is open, or whose end nobody knows, may
//! have had its effect: what it makes is held `perhaps`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use stead_schemas::event::{Event, Seq, StepScheduled};
use stead_schemas::failure::{Class, Kind};
use stead_schemas::step::system;
use stead_schemas::transition::Transition;

/// Something that a run holds outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Whose it is at: `proxmox`.
    pub system: String,
    /// Which one: `machine 10000`.
    pub what: String,
    /// How it stands: `made`, `on`, `off`, `exported`.
    pub state: String,
    /// The step that last said so.
    pub step: Seq,
    /// Nobody knows whether that step had its effect.
    pub perhaps: bool,
}

/// What a step does to a thing.
enum Effect {
    /// It is there from now on, in this state.
    There(&'static str),
    /// It is in another state, if it is there.
    State(&'static str),
    /// It is gone, and so is what lies within.
    Gone,
}

/// What runs hold, while their histories are gone through.
#[derive(Default)]
pub struct Holdings {
    held: BTreeMap<(String, String), Held>,
    open: BTreeMap<Seq, StepScheduled>,
}

/// What a run holds after these transitions.
pub fn held(history: &[Transition]) -> Vec<Held> {
    let mut holdings = Holdings::default();
    for event in history.iter().flat_map(|transition| &transition.events) {
        holdings.take(event);
    }
    holdings.conclude()
}

impl Holdings {
    /// Takes the next event in.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::StepScheduled(step) => {
                self.open.insert(step.seq, step.clone());
            }
            Event::StepEdited(edited) => {
                if let Some(step) = self.open.get_mut(&edited.seq) {
                    step.request = edited.request.clone();
                }
            }
            Event::StepCompleted(done) => self.settle(done.seq, Some(&done.answer), true),
            Event::StepSkipped(skipped) => self.settle(skipped.seq, Some(&skipped.answer), false),
            Event::StepFailed(failed) => {
                let class = failed.failure.class;
                let unknown = class.kind() == Kind::Unknown
                    || matches!(class, Class::TimedOut | Class::Cancelled);
                match unknown {
                    true => self.settle(failed.seq, None, false),
                    false => drop(self.open.remove(&failed.seq)),
                }
            }
            Event::StepCancelled(step) => self.settle(step.seq, None, false),
            Event::StepDropped(step) => self.settle(step.seq, None, false),
            Event::UndoAbandoned(step) => drop(self.open.remove(&step.seq)),
            _ => {}
        }
    }

    /// What is held, with what open steps may have made.
    pub fn conclude(mut self) -> Vec<Held> {
        for seq in self.open.keys().copied().collect::<Vec<_>>() {
            self.settle(seq, None, false);
        }
        self.held.into_values().collect()
    }

    fn settle(&mut self, seq: Seq, answer: Option<&Value>, certain: bool) {
        let Some(step) = self.open.remove(&seq) else { return };
        let Some((what, effect)) = touch(&step, answer) else { return };
        let key = (system(&step.step).to_owned(), what.clone());
        match effect {
            Effect::There(state) => {
                let known = self.held.get(&key).is_some_and(|held| !held.perhaps);
                let perhaps = !certain && !known;
                let (system, state) = (key.0.clone(), state.to_owned());
                self.held.insert(key, Held { system, what, state, step: seq, perhaps });
            }
            Effect::State(state) if certain => {
                if let Some(held) = self.held.get_mut(&key) {
                    (held.state, held.step) = (state.to_owned(), seq);
                }
            }
            Effect::Gone if certain => {
                self.held.remove(&key);
                let within = format!("snapshot {}@", what.trim_start_matches("dataset "));
                self.held.retain(|(of, name), _| *of != key.0 || !name.starts_with(&within));
            }
            Effect::State(_) | Effect::Gone => {}
        }
    }
}

/// What a step is about, and what it does to it.
fn touch(step: &StepScheduled, answer: Option<&Value>) -> Option<(String, Effect)> {
    let ask = &step.request;
    let text = |pointer: &str| said(ask, pointer);
    let machine = || format!("machine {}", text("/machine/vmid"));
    let coder = || format!("workspace {}/{}", text("/user"), text("/name"));
    Some(match step.step.as_str() {
        "truenas.ensure-dataset" => {
            (format!("dataset {}", text("/dataset")), Effect::There("made"))
        }
        "truenas.destroy-dataset" => (format!("dataset {}", text("/dataset")), Effect::Gone),
        "truenas.ensure-share" => (format!("share {}", text("/path")), Effect::There("exported")),
        "truenas.remove-share" => (format!("share {}", text("/path")), Effect::Gone),
        "truenas.snapshot-dataset" => {
            let what = format!("snapshot {}@{}", text("/dataset"), text("/snapshot"));
            (what, Effect::There("made"))
        }
        "proxmox.clone-vm" => (machine(), Effect::There("off")),
        "proxmox.start-vm" => (machine(), Effect::State("on")),
        "proxmox.shutdown-vm" => (machine(), Effect::State("off")),
        "proxmox.destroy-vm" => (machine(), Effect::Gone),
        "coder.start-workspace" => (coder(), Effect::There("started")),
        "coder.delete-workspace" => (coder(), Effect::Gone),
        "s3.ensure-key" => (format!("key of bucket {}", text("/place/bucket")), made()),
        "s3.delete-key" => (format!("key of bucket {}", text("/place/bucket")), Effect::Gone),
        "s3.ensure-bucket" => (format!("bucket {}", text("/place/bucket")), made()),
        "s3.delete-bucket" => (format!("bucket {}", text("/place/bucket")), Effect::Gone),
        "s3.delete-if-empty" if answer.is_some_and(|answer| answer["gone"] == true) => {
            (format!("bucket {}", text("/place/bucket")), Effect::Gone)
        }
        "home.attach" => (format!("home of {}", text("/owner")), Effect::There("used")),
        "home.detach" => (format!("home of {}", text("/owner")), Effect::Gone),
        "vmids.reserve" => (format!("number of {}", text("/workspace")), Effect::There("reserved")),
        "vmids.release" => (format!("number of {}", text("/workspace")), Effect::Gone),
        _ => return None,
    })
}

const fn made() -> Effect {
    Effect::There("made")
}

fn said(request: &Value, pointer: &str) -> String {
    match request.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "?".to_owned(),
    }
}
