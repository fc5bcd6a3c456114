//! What an owner must know of runs that are over, for ever: how many lives each entity has had,
//! which commands it took in, and which step of which run asked last.
//!
//! Digests cannot be made smaller, so they are kept as they are: three lists, each with its length
//! before it, all numbers big-endian.

use alloc::vec::Vec;

use super::Altered;
use crate::event::Seq;
use crate::glance::Glance;
use crate::ids::{EntityKey, RunId, Tag};

/// The digests of some histories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    /// Entities, and a life that each has had.
    pub lives: Vec<(Tag, u32)>,
    /// Commands that were taken in.
    pub commands: Vec<CommandDigest>,
    /// Entities with a run that asked them for something, and its step.
    pub asked: Vec<(Tag, Seq)>,
}

/// A command that was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandDigest {
    /// Which entity took in which id; see [`command_tag`].
    pub tag: Tag,
    /// What it said.
    pub said: Tag,
    /// Which life took it in.
    pub life: u32,
}

/// The tag by which an entity's lives are known.
#[must_use]
pub fn life_tag(key: &EntityKey) -> Tag {
    Tag::of(&[key.as_str()])
}

/// The tag by which a command of an entity is known.
#[must_use]
pub fn command_tag(key: &EntityKey, id: &str) -> Tag {
    Tag::of(&[key.as_str(), id])
}

/// The tag by which is known that a run asked an entity for something.
#[must_use]
pub fn asked_tag(key: &EntityKey, run: &RunId) -> Tag {
    Tag::of(&[key.as_str(), run.as_str()])
}

impl Digests {
    /// Takes a message of a history in.
    pub fn add(&mut self, run: &RunId, glance: &Glance) {
        let key = run.key();
        if glance.n == 1 {
            self.lives.push((life_tag(&key), run.life()));
        }
        for command in &glance.accepted {
            let (tag, said) = (command_tag(&key, &command.id), Tag::of(&[&command.digest]));
            self.commands.push(CommandDigest { tag, said, life: run.life() });
            if let Some(step) = &command.reply {
                self.asked.push((asked_tag(&key, &step.run), step.seq));
            }
        }
    }

    /// The bytes that are kept.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_number(&mut bytes, self.lives.len());
        for (tag, life) in &self.lives {
            bytes.extend(tag.bytes());
            bytes.extend(life.to_be_bytes());
        }
        write_number(&mut bytes, self.commands.len());
        for CommandDigest { tag, said, life } in &self.commands {
            bytes.extend(tag.bytes());
            bytes.extend(said.bytes());
            bytes.extend(life.to_be_bytes());
        }
        write_number(&mut bytes, self.asked.len());
        for (tag, seq) in &self.asked {
            bytes.extend(tag.bytes());
            bytes.extend(seq.to_be_bytes());
        }
        bytes
    }

    /// Reads them back.
    ///
    /// # Errors
    /// If the bytes are no digests.
    pub fn decode(bytes: &[u8]) -> Result<Self, Altered> {
        let mut reader = Reader(bytes);
        let digests = reader.digests().filter(|_| reader.0.is_empty());
        digests.ok_or_else(|| "the digests cannot be read: they are not as long as they say".into())
    }
}

fn write_number(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn digests(&mut self) -> Option<Digests> {
        let lives = self.list(|reader| Some((reader.tag()?, reader.number()?)))?;
        let commands = self.list(|reader| {
            let (tag, said) = (reader.tag()?, reader.tag()?);
            Some(CommandDigest { tag, said, life: reader.number()? })
        })?;
        let asked = self.list(|reader| Some((reader.tag()?, reader.number()?)))?;
        Some(Digests { lives, commands, asked })
    }

    fn list<T>(&mut self, one: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        // What is said of the length is not believed before it is seen.
        (0..count).map(|_| one(self)).collect()
    }

    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    fn tag(&mut self) -> Option<Tag> {
        let (tag, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(Tag::from_bytes(*tag))
    }
}
