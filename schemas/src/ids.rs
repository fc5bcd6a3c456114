//! The names of runs and where they live.
//!
//! An entity (the workspace `dev` of `john`) has a key; each of its lives is a run. A run's id is
//! the key and the number of the life: `workspace-k3j5x7q2m4n6p8r9-1`. All lives of one entity
//! share a partition, so that one engine can tell whether the name is free.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::owner::Owner;

/// Which entity: its kind and a digest of kind, owner and name.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct EntityKey(String);

impl EntityKey {
    /// The key of the entity `name` of this kind and owner. The digest is 80 bits of SHA-256:
    /// nobody can aim at another owner's entity, and a million names do not collide.
    #[must_use]
    pub fn of(kind: &str, owner: &Owner, name: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [kind, owner.as_str(), name] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self(format!("{kind}-{}", base32(&hash.finalize()[..10])))
    }

    /// What sorts before the keys of all entities of this kind, and behind those of the kinds
    /// before it.
    #[must_use]
    pub fn before_all_of(kind: &str) -> Self {
        Self(format!("{kind}-"))
    }

    /// The entity's kind: `workspace`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.rsplit_once('-').map_or(&self.0, |(kind, _)| kind)
    }

    /// The run that is this entity's `life`-th, counted from 1.
    #[must_use]
    pub fn run(&self, life: u32) -> RunId {
        RunId(format!("{}-{life}", self.0))
    }

    /// The partition that all runs of this entity live in: FNV-1a (32 bit) modulo `partitions`.
    #[must_use]
    pub fn partition(&self, partitions: u16) -> Partition {
        let share = fnv1a(self.0.as_bytes()) % u32::from(partitions.max(1));
        Partition(u16::try_from(share).unwrap_or(0))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntityKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// One execution of a workflow.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// The text is not `<kind>-<16 characters>-<number>`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a run id; one looks like `workspace-k3j5x7q2m4n6p8r9-1`")]
pub struct RunIdError {
    /// The text as it came.
    pub text: String,
}

impl RunId {
    /// The entity of which this run is a life.
    #[must_use]
    pub fn key(&self) -> EntityKey {
        EntityKey(self.0.rsplit_once('-').map_or("", |(key, _)| key).into())
    }

    /// The kind of the entity: `workspace`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.rsplitn(3, '-').last().unwrap_or_default()
    }

    /// Which life of the entity this is, counted from 1.
    #[must_use]
    pub fn life(&self) -> u32 {
        self.0.rsplit_once('-').and_then(|(_, life)| life.parse().ok()).unwrap_or(0)
    }

    /// The partition that holds this run's history.
    #[must_use]
    pub fn partition(&self, partitions: u16) -> Partition {
        self.key().partition(partitions)
    }

    /// The id as text; it is also the run's token in subjects and the marker on its resources.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = RunIdError;
    fn from_str(text: &str) -> Result<Self, RunIdError> {
        let error = || RunIdError { text: text.chars().take(100).collect() };
        let parts: Vec<&str> = text.rsplitn(3, '-').collect();
        let [life, digest, kind] = parts[..] else { return Err(error()) };
        let life_is_number = life.parse::<u32>().is_ok_and(|n| n > 0 && n.to_string() == life);
        let plain = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if life_is_number && digest.len() == 16 && plain(digest) && !kind.is_empty() && plain(kind)
        {
            return Ok(Self(text.into()));
        }
        Err(error())
    }
}

impl TryFrom<String> for RunId {
    type Error = RunIdError;
    fn try_from(text: String) -> Result<Self, RunIdError> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(run: RunId) -> Self {
        run.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A digest of some texts, short enough to be kept by the million: 96 bits of SHA-256. The archive
/// holds some, so that what is digested how is the same for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag([u8; 12]);

impl Tag {
    /// The tag of these texts, in this order.
    #[must_use]
    pub fn of(texts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for text in texts {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        let mut tag = [0; 12];
        tag.copy_from_slice(&hash.finalize()[..12]);
        Self(tag)
    }

    /// The tag as it is kept.
    #[must_use]
    pub const fn bytes(self) -> [u8; 12] {
        self.0
    }

    /// A tag that was kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }
}

/// A share of all runs: one log stream, one owner engine at a time. Counted from 0.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Partition(pub u16);

impl fmt::Display for Partition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

/// FNV-1a, 32 bit: the hash by which nats-server itself partitions subjects.
#[must_use]
pub fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Lower-case base 32 without look-alikes (no i, l, o, u), five bits a character.
fn base32(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut text = String::new();
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            text.push(char::from(DIGITS[(bits >> held & 31) as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{EntityKey, RunId, fnv1a};
    use crate::owner::Owner;

    fn key(owner: &str, name: &str) -> EntityKey {
        EntityKey::of("workspace", &Owner::new(owner).unwrap(), name)
    }

    #[test]
    fn a_run_id_is_its_key_and_its_life() {
        let run = key("john.doe", "dev").run(3);
        assert_eq!(run.as_str().parse::<RunId>().as_ref(), Ok(&run));
        assert_eq!((run.key(), run.life()), (key("john.doe", "dev"), 3));
        assert_eq!((run.kind(), run.key().kind()), ("workspace", "workspace"));
    }

    #[test]
    fn keys_are_stable_for_ever() {
        assert_eq!(key("john.doe", "dev").as_str(), "workspace-27ytv97dprxd6njw");
    }

    #[test]
    fn owner_and_name_do_not_run_together() {
        assert_ne!(key("ab", "c"), key("a", "bc"));
    }

    #[test]
    fn all_lives_share_a_partition() {
        let key = key("john", "dev");
        assert!((1..50).all(|life| key.run(life).partition(7) == key.partition(7)));
    }

    #[test]
    fn all_of_a_kind_stand_together() {
        let before = EntityKey::before_all_of("workspace").run(0);
        assert!(before < key("john", "dev").run(1) && before < key("bob", "a").run(1));
        let owner = Owner::new("john").unwrap();
        assert!(EntityKey::of("work", &owner, "dev").run(9) < before);
        assert!(key("john", "dev").run(9) < EntityKey::before_all_of("workspaces").run(0));
    }

    #[test]
    fn broken_ids_are_refused() {
        for text in [
            "",
            "x",
            "workspace-short-1",
            "workspace-k3j5x7q2m4n6p8r9-0",
            "a.b-k3j5x7q2m4n6p8r9-1",
            "w-k3j5x7q2m4n6p8r9-01",
        ] {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }
}
