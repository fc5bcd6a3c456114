//! What an open index is, and how it begins anew when it has been lost.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::path::PathBuf;

use stead_schemas::ids::{Partition, RunId};
use stead_schemas::public::RunSummary;

use crate::place::Place;
use crate::store::{Entry, Store};
use crate::{codec, key, read_line};

/// How often files may fail before there are none any more. Deleting them is no failure.
const BREAKS_MAX: u32 = 3;

/// The files, and which partitions they can speak for.
#[derive(Debug)]
pub(crate) struct State {
    /// Where the files are wanted.
    path: PathBuf,
    /// Where they are; nothing while the lines are in memory.
    place: Option<Place>,
    /// Where they were. Our name may lie there, and nobody else may have it while we live.
    left: Vec<Place>,
    pub(crate) store: Store,
    /// Who has cleared its part since the index began, and so knows that it did.
    filled: BTreeSet<Partition>,
    /// How often the files have failed.
    breaks: u32,
}

impl State {
    /// Begins an empty index in the directory `path`.
    pub(crate) fn open(path: PathBuf) -> Self {
        let mut state = Self {
            path,
            place: None,
            left: Vec::new(),
            store: Store::in_memory(),
            filled: BTreeSet::new(),
            breaks: 0,
        };
        state.begin();
        state
    }

    /// See [`Place::name`].
    pub(crate) fn name(&self, new: String) -> String {
        let Some(place) = &self.place else { return new };
        place.name(new.clone()).unwrap_or_else(|error| {
            tracing::debug!(%error, "whoever is started here again is not known again");
            new
        })
    }

    /// Keeps lines; false if the index cannot speak for the partition.
    pub(crate) fn put(&mut self, partition: Partition, lines: &[RunSummary]) -> bool {
        self.look();
        let entries: Vec<Entry> = lines.iter().filter_map(|line| entry(partition, line)).collect();
        // Ends: memory takes everything.
        while let Err(error) = self.store.put(&entries) {
            self.broken(&error);
        }
        self.filled.contains(&partition)
    }

    /// Lines of a partition; nothing if the index cannot speak for it.
    pub(crate) fn list(
        &mut self,
        partition: Partition,
        after: Option<&RunId>,
        most: usize,
    ) -> Option<Vec<RunSummary>> {
        self.look();
        if !self.filled.contains(&partition) {
            return None;
        }
        match self.read(partition, after, most) {
            Ok(lines) => Some(lines),
            Err(error) => {
                self.broken(&*error);
                None
            }
        }
    }

    /// Empties a partition; from now on the index speaks for it.
    pub(crate) fn clear(&mut self, partition: Partition) {
        self.look();
        if let Err(error) = self.store.remove(&key::prefix(partition)) {
            self.broken(&error);
        }
        self.filled.insert(partition);
    }

    fn read(
        &self,
        partition: Partition,
        after: Option<&RunId>,
        most: usize,
    ) -> Result<Vec<RunSummary>, Box<dyn Error>> {
        let after = after.map(|run| key::key(partition, run));
        let values = self.store.values(&key::prefix(partition), after.as_deref(), most)?;
        Ok(values.iter().map(|value| read_line(value)).collect::<Result<_, _>>()?)
    }

    /// Notices that the files have been deleted or exchanged.
    fn look(&mut self) {
        if !self.store.is_there() {
            self.lose(&io::Error::from(io::ErrorKind::NotFound));
        }
    }

    /// Begins anew where files have failed us, until that has happened too often: a full or dying
    /// disk would have the log read again and again.
    fn broken(&mut self, why: &dyn Error) {
        self.breaks += 1;
        self.lose(why);
        if self.breaks >= BREAKS_MAX {
            self.stay_in_memory(why);
        }
    }

    /// Begins anew. Every partition will be told, until it is cleared.
    fn lose(&mut self, why: &dyn Error) {
        tracing::warn!(
            path = %self.path.display(), cause = why.source().map(tracing::field::display),
            "the index is lost ({why}); it is filled again from the log"
        );
        self.filled.clear();
        self.begin();
    }

    /// An empty store, on disk if at all possible.
    fn begin(&mut self) {
        // What is left of the old files is let go before anything is made in their place.
        self.store = Store::in_memory();
        match self.create() {
            Ok(store) => self.store = store,
            Err(error) => self.stay_in_memory(&error),
        }
    }

    fn create(&mut self) -> io::Result<Store> {
        if !self.place.as_ref().is_some_and(Place::is_ours) {
            self.left.extend(self.place.take());
        }
        let place = match self.place.take() {
            Some(place) => place,
            None => Place::claim(&self.path)?,
        };
        let fresh = self.place.insert(place).fresh()?;
        Store::create(&fresh)
    }

    fn stay_in_memory(&mut self, why: &dyn Error) {
        tracing::warn!(
            path = %self.path.display(), cause = why.source().map(tracing::field::display),
            "no index can be kept here ({why}); until the next start it is in memory"
        );
        self.store = Store::in_memory();
        self.left.extend(self.place.take());
    }
}

/// The line as it is stored. One that cannot be is left out of lists: nothing else depends on it.
fn entry(partition: Partition, line: &RunSummary) -> Option<Entry> {
    match codec::encode(line) {
        Ok(value) => Some((key::key(partition, &line.run), value)),
        Err(error) => {
            tracing::error!(run = %line.run, %error, "a run cannot be shown in lists");
            None
        }
    }
}
