//! Whether an answer is one to the attempt that is under way, and from whom it says that it is.

use stead_schemas::dispatch::{StepAddress, StepReply};
use stead_schemas::event::Seq;
use stead_schemas::ids::RunId;
use stead_schemas::proof::Proof;

use super::Owner;
use super::attempts::Attempt;
use crate::metric;

impl Owner {
    /// Whether an answer is to the attempt that is under way. Others are counted: those that come
    /// late, which may still say that a worker is at the step, and those of somebody who was not
    /// asked.
    pub(super) fn is_meant(
        &mut self,
        address: &StepAddress,
        asked: u32,
        proof: Option<&Proof>,
        reply: &StepReply,
    ) -> bool {
        let (run, seq, epoch) = (&address.run, address.seq, self.epoch);
        let Some((attempt, _)) = self.open_step(run, seq) else { return false };
        if asked != 0 && asked != ticket(epoch, attempt.sendings) {
            if attempt.may_be_late(epoch, asked, proof) {
                metric::LATE_ANSWERS.count([]);
                let is_the_one_before = asked == ticket(epoch, attempt.sendings.wrapping_sub(1));
                if is_the_one_before && reply.is_end() {
                    attempt.has_answered_late();
                }
                self.heard_late(address, reply);
            } else {
                refuse(run, seq);
            }
            return false;
        }
        if !attempt.is_shown_by(proof) {
            refuse(run, seq);
            return false;
        }
        true
    }
}

fn refuse(run: &RunId, seq: Seq) {
    metric::FORGED_ANSWERS.count([]);
    tracing::warn!(%run, seq, "refused an answer of somebody who was not asked");
}

impl Attempt {
    /// Whether an answer that is not to this attempt may be to one before it: to one that this owner
    /// made, or to one of the owner before, where a worker may still be at that. What it had to show
    /// nobody remembers; whoever shows nothing was never asked.
    fn may_be_late(&self, epoch: u64, asked: u32, proof: Option<&Proof>) -> bool {
        let number = asked.wrapping_sub(spread(epoch));
        let is_ours = number <= self.sendings;
        proof.is_none_or(|proof| !proof.is_none() && (is_ours || self.loose))
    }

    /// Whether this proves that the attempt is meant: a worker shows what it was sent, and the
    /// owner of another entity, which nobody else can speak for, shows nothing.
    pub(super) fn is_shown_by(&self, proof: Option<&Proof>) -> bool {
        self.proof.as_ref() == proof
    }
}

/// What an answer has to show: no two attempts at a step share it, by whichever owner they were
/// made. A failure that was meant for the owner before must not end an attempt of ours: a worker
/// may still be at it while what it makes is taken back. Never 0, which is any attempt.
pub(super) fn ticket(epoch: u64, number: u32) -> u32 {
    spread(epoch).wrapping_add(number).max(1)
}

/// However often a step is sent, its numbers do not run into those of the epochs that follow: the
/// golden ratio of 2^32 spreads them.
fn spread(epoch: u64) -> u32 {
    let epoch = u32::try_from(epoch % u64::from(u32::MAX)).unwrap_or(0);
    epoch.wrapping_mul(0x9E37_79B1)
}
