//! What a cancel must achieve, as the histories tell: whatever was open when it came is asked for by
//! no owner that comes after, and no command ends as cancelled but one that somebody has cancelled.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::run::Run;
use stead_schemas::dispatch::{Caller, Route, StepAddress};
use stead_schemas::event::{Event, Outcome, Seq};
use stead_schemas::failure::Class;
use stead_schemas::ids::RunId;
use stead_schemas::transition::Transition;

use crate::judge::History;

/// What was cancelled.
#[derive(Default)]
pub struct Cancels {
    /// The commands of each run that a cancel was for.
    meant: BTreeSet<(RunId, String)>,
    /// Runs that have heard, since they last ended a command, that one which they gave ended as
    /// cancelled, or that an undo was given up: they may pass that on.
    told: BTreeSet<RunId>,
}

impl Cancels {
    /// Judges a transition before its run has followed it. Returns the steps that it cancels.
    ///
    /// # Errors
    /// With the command that nobody has cancelled.
    pub fn judge(
        &mut self,
        run: &Run,
        transition: &Transition,
    ) -> Result<Vec<StepAddress>, String> {
        let id = &transition.run;
        let (mut open, mut cancelled) = (open_steps(run), BTreeSet::new());
        for event in &transition.events {
            match event {
                Event::StepScheduled(step) if !step.undo => {
                    open.insert(step.seq, is_command(&step.route));
                }
                Event::StepFailed(failed) => {
                    let was_command = open.remove(&failed.seq) == Some(true);
                    if was_command && failed.failure.class == Class::Cancelled {
                        self.told.insert(id.clone());
                    }
                }
                Event::UndoAbandoned(_) => {
                    self.told.insert(id.clone());
                }
                Event::CancelRequested(cancel) => {
                    self.meant.extend(cancel.command.iter().map(|of| (id.clone(), of.clone())));
                    cancelled.extend(open.keys().copied());
                }
                Event::CommandCompleted(completed) => {
                    let may = self.told.remove(id)
                        || self.meant.contains(&(id.clone(), completed.id.clone()));
                    if is_cancelled(&completed.outcome) && !may {
                        return Err(format!("{} of {id}", completed.id));
                    }
                }
                _ => {}
            }
        }
        Ok(cancelled.into_iter().map(|seq| StepAddress { run: id.clone(), seq }).collect())
    }
}

/// The steps of a run that a cancel would stop, and whether each is a command to another one.
fn open_steps(run: &Run) -> BTreeMap<Seq, bool> {
    let open = run.folded().steps.values().filter(|open| !open.step.undo);
    open.map(|open| (open.step.seq, is_command(&open.step.route))).collect()
}

const fn is_command(route: &Route) -> bool {
    matches!(route, Route::Entity { .. })
}

fn is_cancelled(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(failure) if failure.class == Class::Cancelled)
}

/// Whether each cancel that a run has asked for is for the command that this run wanted cancelled.
///
/// # Errors
/// With both commands.
pub fn are_meant(
    histories: &BTreeMap<RunId, History>,
    transition: &Transition,
) -> Result<(), String> {
    for event in &transition.events {
        let Event::CancelRequested(cancel) = event else { continue };
        let Caller::Run(asker) = &cancel.by else { continue };
        let open = histories.get(&asker.run).and_then(|it| it.run.folded().steps.get(&asker.seq));
        let wanted = open.and_then(|open| open.step.request["command"].as_str());
        if wanted.is_some_and(|wanted| cancel.command.as_deref() != Some(wanted)) {
            return Err(format!("{:?} in place of {wanted:?}", cancel.command));
        }
    }
    Ok(())
}
