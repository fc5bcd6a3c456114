//! `stead audit export`: JSON lines, at least once each; `run`, `n` and `place` tell a repetition.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::Path;

use stead_nats::SteadClient;

use super::source;
use crate::audit::{Entry, Reader, Stored, Told};
use crate::exit::Ended;
use crate::output;

/// How far each partition was exported.
type Position = BTreeMap<u16, Told>;

pub async fn print(client: &SteadClient, file: Option<&Path>) -> Result<(), Ended> {
    let mut before = match file {
        Some(file) => remembered(file)?,
        None => Position::new(),
    };
    let mut position = Position::new();
    for partition in client.platform().all_partitions() {
        let known = before.remove(&partition.0).unwrap_or_default();
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
        position.insert(partition.0, told.up_to(place.epoch, place.seq));
    }
    match file {
        Some(file) => remember(file, &position),
        None => Ok(()),
    }
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
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Position::new()),
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
