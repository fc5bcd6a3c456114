//! A run's history as a person reads it: a story (`teller.rs`), a waterfall (`timeline.rs`,
//! `svg.rs`), where it stood at a moment (`standing.rs`), why it went wrong (`explain/`), where it
//! parts from another one (`apart.rs`), what this build makes of it (`again.rs`), and the tables of lists (`table.rs`).
//!
//! Everything here is pure: moments in, text out. Reading histories and printing happen in
//! `commands/`.

use stead_schemas::event::Event;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;

pub mod again;
pub mod apart;
pub mod explain;
pub mod instant;
pub mod operations;
pub mod standing;
pub mod svg;
pub mod table;
pub mod teller;
pub mod timeline;
pub mod usual;
pub mod words;

#[cfg(test)]
pub mod played;
#[cfg(test)]
mod tests;

pub use teller::Teller;

/// An event, with the place and the time of the transition it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// The transition's place in the history.
    pub n: u64,
    /// When the engine decided.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// The events of a history, one by one.
pub fn moments(history: &[Transition]) -> Vec<Moment> {
    history.iter().flat_map(moments_of).collect()
}

/// The events of one transition.
pub fn moments_of(transition: &Transition) -> impl Iterator<Item = Moment> + '_ {
    let (n, at) = (transition.n, transition.at);
    transition.events.iter().map(move |event| Moment { n, at, event: event.clone() })
}

/// The whole story, a line for each event, in lines of at most `width` characters.
pub fn story(moments: &[Moment], width: usize) -> String {
    let mut teller = Teller::new(width);
    let lines: Vec<String> = moments.iter().map(|moment| teller.tell(moment)).collect();
    lines.join("\n")
}
