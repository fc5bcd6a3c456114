//! Histories as they are packed: to the byte as they were in the log, each message behind a line
//! that says where it was, how long it is and how its digest begins.
//!
//! ```text
//! workspace-27ytv97dprxd6njw-1 2
//! 4711 212 9f86d081
//! {"v":1,"run":"workspace-27ytv97dprxd6njw-1","n":1,...}
//! 4718 190 60303ae2
//! {"v":1,"run":"workspace-27ytv97dprxd6njw-1","n":2,...}
//! ```

use alloc::format;
use alloc::vec::Vec;
use core::str;

use super::Altered;
use super::pack::{pack, unpack};
use crate::ids::RunId;
use crate::transition::link;

/// How many characters of a message's digest stand before it: enough to find what was altered by
/// accident. What was altered on purpose shows in the chain and in the record's checksum.
const SHOWN: usize = 8;

/// The whole history of a run that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The run.
    pub run: RunId,
    /// Its messages, oldest first.
    pub messages: Vec<Kept>,
}

/// A message as it was in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its sequence in the log.
    pub seq: u64,
    /// The encoded transition.
    pub bytes: Vec<u8>,
}

/// Packs histories.
#[must_use]
pub fn pack_histories(histories: &[History]) -> Vec<u8> {
    let mut text = Vec::new();
    for History { run, messages } in histories {
        text.extend(format!("{run} {}\n", messages.len()).as_bytes());
        for Kept { seq, bytes } in messages {
            let head = format!("{seq} {} {}\n", bytes.len(), &link(bytes)[..SHOWN]);
            text.extend(head.as_bytes());
            text.extend(bytes);
            text.push(b'\n');
        }
    }
    pack(&text)
}

/// Unpacks them, as far as they can be read; with why not further, if there should be more.
#[must_use]
pub fn histories(packed: &[u8]) -> (Vec<History>, Option<Altered>) {
    let unpacked = unpack(packed);
    let (mut reader, mut histories) = (Reader(&unpacked.bytes), Vec::new());
    let altered = loop {
        if reader.0.is_empty() {
            break unpacked.altered;
        }
        match reader.history() {
            Ok(history) => histories.push(history),
            Err(altered) => break Some(altered),
        }
    };
    (histories, altered)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn history(&mut self) -> Result<History, Altered> {
        let line = self.line().unwrap_or_default();
        let head = line.split_once(' ');
        let head = head.and_then(|(run, count)| Some((run.parse().ok()?, count.parse().ok()?)));
        let Some((run, count)) = head else {
            let words = format!("`{line}` stands where a run and the length of its history should");
            return Err(Altered(words));
        };
        let messages = (1..=count).map(|n| self.message(&run, n));
        let messages = messages.collect::<Result<_, _>>()?;
        Ok(History { run, messages })
    }

    fn message(&mut self, run: &RunId, n: u64) -> Result<Kept, Altered> {
        let altered = |words: &str| Altered(format!("transition {n} of {run} {words}"));
        let line = self.line().unwrap_or_default();
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap_or_default();
        let (seq, length, shown) = (word().parse(), word().parse(), word());
        let (Ok(seq), Ok(length)) = (seq, length) else {
            return Err(altered("is missing or altered: what stands before it cannot be read"));
        };
        let Some((bytes, rest)) = self.0.split_at_checked(length) else {
            return Err(altered("is cut off"));
        };
        if link(bytes)[..SHOWN] != *shown {
            let words = format!("(sequence {seq}) is altered: its digest differs");
            return Err(altered(&words));
        }
        self.0 = rest.strip_prefix(b"\n").ok_or_else(|| altered("does not end where it should"))?;
        Ok(Kept { seq, bytes: bytes.to_vec() })
    }

    fn line(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        str::from_utf8(line).ok()
    }
}
