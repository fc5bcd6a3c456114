//! `stead audit export`: JSON lines, at least once each; `run`, `n` and `place` tell a repetition, and
//! `at` and `seq` that of a refusal.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use stead_nats::SteadClient;

use super::source;
use crate::audit::{Entry, Reader, Refused, Stored, Told};
use crate::exit::Ended;
use crate::output;

/// How far somebody has exported.
#[derive(Default, Serialize, Deserialize)]
struct Position {
    /// The last refusal that was told.
    #[serde(default)]
    refusals: u64,
    /// How far each partition was.
    #[serde(flatten)]
    partitions: BTreeMap<String, Told>,
}

pub async fn print(client: &SteadClient, file: Option<&Path>) -> Result<(), Ended> {
    let mut before = match file {
        Some(file) => remembered(file)?,
        None => Position::default(),
    };
    let refusals = tell_refusals(client, before.refusals).await?;
    let mut position = Position { refusals, ..Position::default() };
    for partition in client.platform().all_partitions() {
        let key = partition.0.to_string();
        let known = before.partitions.remove(&key).unwrap_or_default();
        let (mut reader, mut told) = (Reader::default(), Told::default());
        // Whose a run is stands in its first transition: that is read again, and not told again.
        let mut seen = |stored: &Stored| {
            for entry in reader.read(stored).iter().filter(|entry| entry.is_from_outside()) {
                if !known.has(entry) {
                    tell(entry);
                }
                told.note(entry);
            }
        };
        let place = source::read(client, partition, &mut seen).await?;
        position.partitions.insert(key, told.up_to(place.epoch, place.seq));
    }
    match file {
        Some(file) => remember(file, &position),
        None => Ok(()),
    }
}

/// Tells what was refused behind `after`; returns which was the last.
async fn tell_refusals(client: &SteadClient, after: u64) -> Result<u64, Ended> {
    let kept = client.refusals().await?;
    let last = kept.last().map_or(after, |(seq, _)| *seq);
    // A stream that was lost is made anew, and begins at the beginning.
    let after = if last < after { 0 } else { after };
    let new = kept.into_iter().filter(|(seq, _)| *seq > after).map(Refused::from);
    new.for_each(|refused| output::json_line(&refused));
    Ok(last)
}

fn tell(entry: &Entry) {
    output::json_line(entry);
}

fn remembered(file: &Path) -> Result<Position, Ended> {
    let unreadable = |words: String| {
        Ended::Failed(format!("{}: {words}; remove it to begin anew", file.display()))
    };
    match std::fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Position::default()),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// Only once everything is written out, and in one piece.
fn remember(file: &Path, position: &Position) -> Result<(), Ended> {
    let failed = |words: String| Ended::Failed(format!("cannot write {}: {words}", file.display()));
    std::io::stdout().flush().map_err(|error| failed(error.to_string()))?;
    let bytes = serde_json::to_vec(position).map_err(|error| failed(error.to_string()))?;
    let draft = file.with_extension("draft");
    let written = std::fs::write(&draft, bytes).and_then(|()| std::fs::rename(&draft, file));
    written.map_err(|error| failed(error.to_string()))
}
