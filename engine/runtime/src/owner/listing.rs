//! Lists the runs of a partition, a page at a time: all of them may be more than one message
//! holds.

use std::rc::Rc;

use futures_util::FutureExt;
use stead_schemas::dispatch::ListRuns;
use stead_schemas::ids::RunId;
use stead_schemas::public::{RunPage, RunSummary};

use super::live::Live;
use super::queries::line;
use super::{Finished, Owner, reading};
use crate::inbound::encoded;
use crate::ports::{Outgoing, ReplyTo};

/// The most bytes of lines in one page: half of what the server lets a message have.
const PAGE_BYTES_MAX: usize = 512 * 1024;
/// The most lines in one page; as many are read at once.
const PAGE_LINES_MAX: usize = 1_000;

impl Owner {
    /// Lists runs of the partition, from the index. One that has been lost is filled again from
    /// the archive and the log first, once for all who ask meanwhile; so is one that was begun
    /// anew with the log alone, so that an owner need not read the lines of the archive.
    pub(super) fn list(&mut self, query: ListRuns, to: ReplyTo) {
        if query.held_up {
            return self.list_held_up(query.after.as_ref(), to);
        }
        if !self.refilling.is_empty() {
            return self.refilling.push((query, to));
        }
        self.flush_index();
        // One more than a page has tells whether there is another page.
        let (index, after) = (&self.env.ports.index, query.after.as_ref());
        let lines = index.list(self.partition, after, PAGE_LINES_MAX + 1);
        if let Some(lines) = lines.filter(|_| !self.lacks_lines) {
            let bytes = encoded(&page(lines));
            return self.send(Outgoing::Reply { to, bytes });
        }
        let (env, partition, epoch) = (Rc::clone(&self.env), self.partition, self.log_epoch);
        let job = async move {
            let filled = reading::refill(&env, partition, epoch).await;
            let filled =
                filled.inspect_err(|error| tracing::warn!(%partition, %error, "cannot list"));
            Finished::Refill { is_whole: filled.is_ok() }
        };
        // Until it is full, whatever comes in between.
        self.lacks_lines = true;
        self.refilling.push((query, to));
        self.jobs.push(job.boxed_local());
    }

    /// Lists the runs that something is being done about, or that need a person. All of them are in
    /// memory, so that it costs nothing how many others there are and were.
    fn list_held_up(&self, after: Option<&RunId>, to: ReplyTo) {
        let is_held_up = |live: &Live| {
            let needs_somebody = live.is_paused() || live.parked.is_some();
            !live.attempts.is_empty() || needs_somebody || live.untaken().is_some()
        };
        let behind = self.runs.iter().filter(|(run, _)| after.is_none_or(|after| *run > after));
        let mut found: Vec<_> = behind.filter(|(_, live)| is_held_up(live)).collect();
        found.sort_unstable_by_key(|(run, _)| *run);
        let lines = found.into_iter().take(PAGE_LINES_MAX + 1).map(|(_, live)| line(live));
        self.send(Outgoing::Reply { to, bytes: encoded(&page(lines.collect())) });
    }

    /// The lost index has been filled from the log. What has changed since goes on top.
    pub(super) fn refilled(&mut self, is_whole: bool) {
        let askers = std::mem::take(&mut self.refilling);
        if !is_whole {
            return;
        }
        self.lacks_lines = false;
        self.dirty.extend(self.runs.keys().cloned());
        self.flush_index();
        for (query, to) in askers {
            self.list(query, to);
        }
    }
}

/// The page that begins with these lines, at least one line long if there is one.
fn page(mut lines: Vec<RunSummary>) -> RunPage {
    let (mut bytes, all) = (0, lines.len());
    let fits = lines.iter().take(PAGE_LINES_MAX).take_while(|line| {
        let first = bytes == 0;
        bytes += encoded(line).len() + 1;
        first || bytes <= PAGE_BYTES_MAX
    });
    let fits = fits.count();
    lines.truncate(fits);
    RunPage { lines, more: fits < all }
}

#[cfg(test)]
mod tests {
    use stead_schemas::ids::EntityKey;
    use stead_schemas::owner::Owner;
    use stead_schemas::public::{RunState, RunSummary};
    use stead_schemas::time::Timestamp;

    use super::{PAGE_BYTES_MAX, PAGE_LINES_MAX, page};
    use crate::inbound::encoded;

    fn line(number: usize, waiting: usize) -> RunSummary {
        let owner = Owner::new("john").expect("a name");
        let name = format!("w{number}");
        RunSummary {
            run: EntityKey::of("workspace", &owner, &name).run(1),
            kind: "workspace".into(),
            owner,
            name,
            state: RunState::Running,
            phase: "ready".into(),
            waiting: "x".repeat(waiting),
            started: Timestamp::from_millis(1),
            updated: Timestamp::from_millis(2),
            transitions: 3,
        }
    }

    fn check(lines: &[RunSummary]) {
        let mut all = lines.to_vec();
        all.sort_by(|one, other| one.run.cmp(&other.run));
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let behind = all.iter().filter(|line| after.as_ref().is_none_or(|id| line.run > *id));
            let page = page(behind.take(PAGE_LINES_MAX + 1).cloned().collect());
            assert!(page.lines.len() <= PAGE_LINES_MAX);
            assert!(page.lines.len() <= 1 || encoded(&page).len() <= PAGE_BYTES_MAX + 100);
            after = page.lines.last().map(|line| line.run.clone());
            seen.extend(page.lines);
            if !page.more {
                break;
            }
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn the_pages_together_are_the_list_and_each_fits_into_a_message() {
        check(&[]);
        check(&[line(1, 0)]);
        check(&(0..5_000).map(|number| line(number, 10)).collect::<Vec<_>>());
        // One line alone that is larger than a page is still told.
        check(&[line(1, PAGE_BYTES_MAX + 1), line(2, PAGE_BYTES_MAX + 1), line(3, 0)]);
    }
}
