//! `stead audit log`.

use std::collections::BTreeMap;

use stead_nats::SteadClient;
use stead_schemas::time::Timestamp;

use super::source;
use crate::audit::{Entry, Filter, Key, Reader};
use crate::cli::Global;
use crate::cli::audit::Log;
use crate::exit::Ended;
use crate::output;
use crate::story::words::{caller, hanging, moment, outcome};

/// How wide the column of what commands were for may be.
const SUBJECT_MAX: usize = 40;

/// The newest entries that somebody wants to see, and no more of them than that.
struct Newest {
    filter: Filter,
    limit: usize,
    entries: BTreeMap<Key, Entry>,
    left_out: bool,
}

pub async fn print(global: &Global, client: &SteadClient, options: &Log) -> Result<(), Ended> {
    let filter = Filter::of(options).map_err(Ended::Usage)?;
    let limit = options.limit.max(1);
    let mut newest = Newest { filter, limit, entries: BTreeMap::new(), left_out: false };
    for partition in client.platform().all_partitions() {
        // Whose a run is must be known from the start, so nothing is skipped.
        let mut reader = Reader::default();
        let mut seen = |stored: &_| reader.read(stored).into_iter().for_each(|e| newest.take(e));
        source::read(client, partition, &mut seen).await?;
    }
    let entries: Vec<&Entry> = newest.entries.values().collect();
    if global.json {
        output::json(&entries);
        return Ok(());
    }
    let width = output::width_or(usize::MAX);
    let subjects = entries.iter().map(|entry| subject(entry).chars().count()).max();
    let subjects = subjects.unwrap_or(0).min(SUBJECT_MAX);
    entries.iter().for_each(|entry| output::line(&line(entry, subjects, width)));
    if entries.is_empty() {
        output::note("nobody commanded anything of the kind");
    }
    if let (true, Some(oldest)) = (newest.left_out, entries.first()) {
        let next = Timestamp::from_millis(oldest.at.as_millis() + 1);
        output::note(&format!("there are older ones: --until {next} lists them"));
    }
    Ok(())
}

impl Newest {
    fn take(&mut self, entry: Entry) {
        if entry.outcome.is_some() {
            // The command stands where it was given.
            let given = self.entries.values_mut().find(|given| {
                given.run == entry.run && given.id == entry.id && given.verb == entry.verb
            });
            if let Some(given) = given {
                given.outcome = entry.outcome;
            }
            return;
        }
        if !self.filter.wants(&entry) {
            return;
        }
        self.entries.insert(entry.key(), entry);
        if self.entries.len() > self.limit {
            self.entries.pop_first();
            self.left_out = true;
        }
    }
}

/// What a command was for: whose, and which entity.
fn subject(entry: &Entry) -> String {
    let owner = entry.owner.as_ref().map_or("?", |owner| owner.as_str());
    format!("{owner}  {} {}", entry.kind, entry.name)
}

fn line(entry: &Entry, subjects: usize, width: usize) -> String {
    let head = format!("{}  {:<subjects$}  {:<9}", moment(entry.at), subject(entry), entry.verb);
    let ended = entry.outcome.as_ref().map(|ended| format!("{}; ", outcome(ended)));
    let why = entry.why.as_ref().map(|why| format!("because `{why}`; "));
    let body = format!(
        "{}{}{}; {}",
        ended.unwrap_or_default(),
        why.unwrap_or_default(),
        caller(&entry.by),
        entry.run
    );
    hanging(&head, &body, width, 4)
}
