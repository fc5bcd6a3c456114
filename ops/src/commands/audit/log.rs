//! `stead audit log`.

use std::collections::BTreeMap;

use serde::Serialize;
use stead_nats::SteadClient;
use stead_schemas::time::Timestamp;

use super::source;
use crate::audit::{Entry, Filter, Key, Reader, Refused};
use crate::cli::Global;
use crate::cli::audit::Log;
use crate::exit::Ended;
use crate::output;
use crate::story::words::{caller, hanging, moment, outcome};

/// How wide the column of what commands were for may be.
const SUBJECT_MAX: usize = 40;

/// What somebody asked for, let in or not.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    LetIn(Entry),
    Refused(Refused),
}

impl Line {
    fn at(&self) -> Timestamp {
        match self {
            Self::LetIn(entry) => entry.at,
            Self::Refused(refused) => refused.at,
        }
    }

    /// Whose it was, and for which entity.
    fn subject(&self) -> String {
        let (owner, kind, name) = match self {
            Self::LetIn(entry) => (&entry.owner, &entry.kind, &entry.name),
            Self::Refused(refused) => (&refused.owner, &refused.kind, &refused.name),
        };
        let owner = owner.as_ref().map_or("?", |owner| owner.as_str());
        format!("{owner}  {kind} {name}").trim_end().to_owned()
    }
}

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
    let refused = client.refusals().await?.into_iter().map(Refused::from);
    let (lines, left_out) = newest.lines(refused);
    if global.json {
        output::json(&lines);
        return Ok(());
    }
    let width = output::width_or(usize::MAX);
    let subjects = lines.iter().map(|line| line.subject().chars().count()).max();
    let subjects = subjects.unwrap_or(0).min(SUBJECT_MAX);
    lines.iter().for_each(|line| output::line(&told(line, subjects, width)));
    if lines.is_empty() {
        output::note("nobody commanded anything of the kind");
    }
    if let (true, Some(oldest)) = (left_out, lines.first()) {
        let next = Timestamp::from_millis(oldest.at().as_millis() + 1);
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

    /// All of them and what was refused, by time, and whether some were left out.
    fn lines(self, refused: impl Iterator<Item = Refused>) -> (Vec<Line>, bool) {
        let refused = refused.filter(|refused| self.filter.wants_refused(refused));
        let mut lines: Vec<Line> = refused.map(Line::Refused).collect();
        lines.extend(self.entries.into_values().map(Line::LetIn));
        lines.sort_by_key(Line::at);
        let surplus = lines.len().saturating_sub(self.limit);
        lines.drain(..surplus);
        (lines, self.left_out || surplus > 0)
    }
}

fn told(line: &Line, subjects: usize, width: usize) -> String {
    let (verb, body) = match line {
        Line::LetIn(entry) => (&entry.verb, of_entry(entry)),
        Line::Refused(refused) => (&refused.verb, of_refused(refused)),
    };
    let head = format!("{}  {:<subjects$}  {verb:<9}", moment(line.at()), line.subject());
    hanging(&head, &body, width, 4)
}

fn of_refused(refused: &Refused) -> String {
    let by = refused.by.as_ref().map(|by| format!("; {}", caller(by)));
    format!("refused: {}{}", refused.refused, by.unwrap_or_default())
}

fn of_entry(entry: &Entry) -> String {
    let ended = entry.outcome.as_ref().map(|ended| format!("{}; ", outcome(ended)));
    let why = entry.why.as_ref().map(|why| format!("because `{why}`; "));
    format!(
        "{}{}{}; {}",
        ended.unwrap_or_default(),
        why.unwrap_or_default(),
        caller(&entry.by),
        entry.run
    )
}
