//! Time on the stage: it passes when whoever tests says so, and timers fire when they are due.

use alloc::vec;
use core::time::Duration;

use stead_schemas::event::{Event, TimerFired};
use stead_schemas::time::Timestamp;

use crate::stage::Stage;
use crate::world::World;

impl<W: World> Stage<W> {
    /// What time it is. A moment passes with each transition.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Sets the clock.
    ///
    /// # Panics
    /// If something has begun already: time does not go back, and does not leave timers out.
    pub fn set_clock(&mut self, now: Timestamp) {
        assert!(self.transitions == 0, "the clock is set before anything begins");
        self.now = now;
    }

    /// Carries out whatever is open, and lets as much time pass as anybody waits for.
    pub fn settle(&mut self) {
        self.work();
        while self.fire_next(Timestamp::from_millis(i64::MAX)) {
            self.work();
        }
    }

    /// Carries out whatever is open, and lets this much time pass.
    pub fn pass(&mut self, span: Duration) {
        self.pass_until(self.now.after(span));
    }

    /// Carries out whatever is open, and lets time pass until then: each timer fires when it is
    /// due.
    pub fn pass_until(&mut self, then: Timestamp) {
        self.work();
        while self.fire_next(then) {
            self.work();
        }
        self.wait_until(then);
    }

    /// It is so late now, or later.
    pub(crate) fn wait_until(&mut self, then: Timestamp) {
        self.now = self.now.max(then);
    }

    /// No engine is there until then; afterwards one is, and everything that has become due
    /// fires, too late.
    pub fn be_away_until(&mut self, then: Timestamp) {
        self.now = self.now.max(then);
        self.pass_until(then);
    }

    /// Fires the timer that is due first, if that is not after `until`. False if there is none.
    pub fn fire_next(&mut self, until: Timestamp) -> bool {
        let going_on = self.runs.iter().filter(|(id, _)| !self.is_paused(id));
        let timers = going_on.flat_map(|(id, actor)| {
            let open = actor.run.folded().timers.values();
            open.map(move |open| (open.timer.due, id.clone(), open.timer.seq))
        });
        let Some((due, run, seq)) = timers.min().filter(|(due, ..)| *due <= until) else {
            return false;
        };
        self.now = self.now.max(due);
        let fired = self.take(&run, vec![Event::TimerFired(TimerFired { seq })]);
        self.press_cancels();
        fired
    }
}
