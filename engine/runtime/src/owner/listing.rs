//! Lists the runs of a partition, a page at a time: all of them may be more than one message
//! holds.

use std::rc::Rc;

use futures_util::FutureExt;
use stead_schemas::dispatch::ListRuns;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::public::{RunPage, RunSummary};

use super::live::Live;
use super::queries::line;
use super::{Finished, Owner, reading};
use crate::inbound::encoded;
use crate::page::{PAGE_LINES_MAX, page};
use crate::ports::{Outgoing, ReplyTo};

impl Owner {
    /// Lists runs of the partition, from the index. One that has been lost is filled again from
    /// the archive and the log first, once for all who ask meanwhile; so is one that was begun
    /// anew with the log alone, so that an owner need not read the lines of the archive.
    pub(super) fn list(&mut self, query: ListRuns, to: ReplyTo) {
        if query.held_up {
            return self.list_held_up(query.after.as_ref(), to);
        }
        if let Some(lines) = self.latest_known(&query) {
            return self.send(Outgoing::Reply { to, bytes: encoded(&page(lines)) });
        }
        if !self.refilling.is_empty() {
            return self.refilling.push((query, to));
        }
        self.flush_index();
        if let Some(page) = self.page_of(&query).filter(|_| !self.lacks_lines) {
            return self.send(Outgoing::Reply { to, bytes: encoded(&page) });
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

    /// The line of an entity's latest life, as far as the lines of the archive are not needed.
    fn latest_known(&mut self, query: &ListRuns) -> Option<Vec<RunSummary>> {
        let key = query.entity.as_ref().filter(|_| query.latest)?;
        let life = self.entities.latest(key);
        let run = match life {
            0 => return Some(Vec::new()),
            life => key.run(life),
        };
        if let Some(live) = self.runs.get(&run) {
            return Some(vec![line(live)]);
        }
        self.flush_index();
        let most = usize::try_from(life).map_or(PAGE_LINES_MAX, |lives| lives.min(PAGE_LINES_MAX));
        let lines = self.env.ports.index.list(self.partition, Some(&key.run(0)), most)?;
        lines.into_iter().find(|line| line.run == run).map(|line| vec![line])
    }

    /// A page from the index, for which no more lines are looked at than a page may have: however
    /// many others there are, nobody waits for long. Nothing if the index is lost.
    fn page_of(&self, query: &ListRuns) -> Option<RunPage> {
        let kind = || Some(EntityKey::before_all_of(query.kind.as_ref()?));
        let first = query.entity.clone().or_else(kind).map(|key| key.run(0));
        // One more than a page has tells whether there is another page.
        let after = query.after.as_ref().max(first.as_ref());
        let mut lines = self.env.ports.index.list(self.partition, after, PAGE_LINES_MAX + 1)?;
        let more = lines.get(PAGE_LINES_MAX).is_some_and(|next| may_go_on_at(query, &next.run));
        lines.truncate(PAGE_LINES_MAX);
        let seen = lines.last().map(|line| line.run.clone());
        lines.retain(|line| query.wants(line));
        let page = page(lines);
        if page.more || !more {
            return Some(page);
        }
        let upto = seen.filter(|seen| page.lines.last().is_none_or(|line| line.run != *seen));
        Some(RunPage { more, upto, ..page })
    }

    /// Lists the runs that something is being done about, or that need a person. All of them are in
    /// memory, so that it costs nothing how many others there are and were.
    fn list_held_up(&self, after: Option<&RunId>, to: ReplyTo) {
        let is_held_up = |live: &Live| {
            !live.attempts.is_empty() || live.needs_a_person() || live.untaken().is_some()
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

/// Whether some of those that are asked for may come behind this one: what begins alike stands
/// together, another kind whose name goes on with a hyphen among it.
fn may_go_on_at(query: &ListRuns, run: &RunId) -> bool {
    let goes_on = |key: &EntityKey| run.as_str().starts_with(key.as_str());
    query.entity.as_ref().is_none_or(goes_on)
        && query
            .kind
            .as_ref()
            .map(|kind| EntityKey::before_all_of(kind))
            .as_ref()
            .is_none_or(goes_on)
}

#[cfg(test)]
mod tests {
    use stead_schemas::owner::Owner as Person;

    use super::*;

    #[test]
    fn a_kind_goes_on_behind_another_whose_name_begins_with_its_own() {
        let of = |kind: &str| EntityKey::of(kind, &Person::new("john").unwrap(), "dev").run(1);
        let kind = Some("backup".into());
        let query = ListRuns {
            after: None,
            held_up: false,
            owner: None,
            kind,
            entity: None,
            latest: false,
        };
        assert!(may_go_on_at(&query, &of("backup")));
        assert!(may_go_on_at(&query, &of("backup-schedule")));
        assert!(!may_go_on_at(&query, &of("bucket")));
    }
}
