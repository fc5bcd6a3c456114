//! The world that steps change, as whoever tests a workflow writes it down.

use alloc::collections::BTreeSet;
use alloc::string::String;

use serde_json::Value;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::RunId;
use stead_schemas::step::Step;

/// Everything outside, simulated: one value holds what all workers together would change.
pub trait World: Default {
    /// Carries one step out as its worker would: looks, acts, marks. It will be asked for the
    /// same step twice, and must then find what it made before.
    ///
    /// # Errors
    /// As a worker fails: the class of the failure decides whether the step is asked for again.
    fn carry_out(&mut self, asked: &Asked<'_>) -> Result<Value, Failure>;

    /// What there is, by names that are the same in every play: whatever a run that fails must
    /// not leave behind.
    fn things(&self) -> BTreeSet<String>;
}

/// A step that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The run that asks; its id is the marker on what the step makes.
    pub run: &'a RunId,
    /// What is asked: `proxmox.clone-vm`.
    pub step: &'a str,
    /// The step's own request.
    pub request: &'a Value,
}

impl Asked<'_> {
    /// The request, as its type.
    ///
    /// # Panics
    /// If it is another step's request.
    #[must_use]
    pub fn read<S: Step>(&self) -> S {
        match serde_json::from_value(self.request.clone()) {
            Ok(request) => request,
            Err(error) => panic!("{} asks for {} with {error}", self.run, self.step),
        }
    }
}

/// The answer to the step `S`, as [`World::carry_out`] returns it.
///
/// # Errors
/// If JSON cannot hold it.
pub fn answer<S: Step>(answer: S::Answer) -> Result<Value, Failure> {
    serde_json::to_value(answer).map_err(|error| {
        Failure::new(Class::Permanent, alloc::format!("unprintable answer: {error}"))
    })
}
