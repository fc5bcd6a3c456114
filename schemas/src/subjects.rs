//! Every subject and stream name, in one place.
//!
//! | subject | what |
//! |---|---|
//! | `stead.cmd.<owner>.<kind>.<verb>` | the durable inbox for commands |
//! | `stead.api.<owner>.<kind>.<verb>` | the same with an answer |
//! | `stead.evt.<owner>.<kind>.<id>.<event>` | what the world may watch |
//! | `stead.log.<epoch>.<partition>.<run>` | the event log; engines alone write it |
//! | `stead.archive.<partition>.…` | histories that have left it, and which epoch is in force |
//! | `stead.archive.key.<key>` | that something on the platform is sealed with this key |
//! | `stead.shelf.<partition>` | parts of histories that may expire |
//! | `stead.step.<system>.<step>` | requests to workers |
//! | `stead.checkup.<system>` | to one worker of the system: can it be worked with? |
//! | `stead.part.<partition>.…` | to whichever engine owns the partition |
//! | `stead.lease` | engines announce a lease won, so that workers refuse older ones |

use alloc::format;
use alloc::string::{String, ToString};

use crate::dispatch::StepAddress;
use crate::ids::{Partition, RunId};
use crate::owner::{Owner, decode_token, encode_token};
use crate::proof::Proof;

/// The stream that is the durable inbox.
pub const INBOX_STREAM: &str = "STEAD_INBOX";
/// What the inbox captures.
pub const INBOX_SUBJECTS: &str = "stead.cmd.>";
/// The stream that keeps refusals for a week, so that nobody can miss one.
pub const REFUSALS_STREAM: &str = "STEAD_REFUSALS";
/// What the refusals stream captures.
pub const REFUSAL_SUBJECTS: &str = "stead.evt.*.*.*.refused";
/// The bucket of partition leases and of engines that are present.
pub const LEASE_BUCKET: &str = "STEAD_LEASES";
/// The bucket that holds the settings record.
pub const SETTINGS_BUCKET: &str = "STEAD_SETTINGS";
/// The stream of histories that have left the log.
pub const ARCHIVE_STREAM: &str = "STEAD_ARCHIVE";
/// What it captures.
pub const ARCHIVE_SUBJECTS: &str = "stead.archive.*.*";
/// The stream of what may expire of it, where that is wanted.
pub const SHELF_STREAM: &str = "STEAD_SHELF";
/// What it captures.
pub const SHELF_SUBJECTS: &str = "stead.shelf.*";
/// Every request through the service interface.
pub const API_SUBJECTS: &str = "stead.api.>";
/// Where a won lease is announced.
pub const LEASE_SUBJECT: &str = "stead.lease";
/// Stands where a refused command had no readable owner, kind or id.
pub const UNREADABLE: &str = "_";

/// The stream of one partition's log in one epoch.
#[must_use]
pub fn log_stream(epoch: u32, partition: Partition) -> String {
    format!("STEAD_LOG_{epoch}_{partition}")
}

/// The epoch and the partition of which a stream is the log; `None` if it is none.
#[must_use]
pub fn parse_log_stream(name: &str) -> Option<(u32, Partition)> {
    let (epoch, partition) = name.strip_prefix("STEAD_LOG_")?.split_once('_')?;
    let parsed = (epoch.parse().ok()?, Partition(partition.parse().ok()?));
    (log_stream(parsed.0, parsed.1) == name).then_some(parsed)
}

/// Where the records of a partition's archive are.
#[must_use]
pub fn archive_record(partition: Partition) -> String {
    format!("stead.archive.{partition}.record")
}

/// Where the parts of what they name are.
#[must_use]
pub fn archive_part(partition: Partition) -> String {
    format!("stead.archive.{partition}.part")
}

/// Which epoch of a partition's log is in force.
#[must_use]
pub fn archive_epoch(partition: Partition) -> String {
    format!("stead.archive.{partition}.epoch")
}

/// Where the tombstones of all partitions are.
pub const ARCHIVE_TOMBSTONES: &str = "stead.archive.*.tombstone";

/// Where the tombstones of a partition's archive are.
#[must_use]
pub fn archive_tombstone(partition: Partition) -> String {
    format!("stead.archive.{partition}.tombstone")
}

/// Where the parts are that may expire one day.
#[must_use]
pub fn shelf_part(partition: Partition) -> String {
    format!("stead.shelf.{partition}")
}

/// The record of a key that something is sealed with.
#[must_use]
pub fn archive_key(id: &str) -> String {
    format!("stead.archive.key.{id}")
}

/// What that stream captures.
#[must_use]
pub fn log_stream_subjects(epoch: u32, partition: Partition) -> String {
    format!("stead.log.{epoch}.{partition}.*")
}

/// The subject of one run's history.
#[must_use]
pub fn log(epoch: u32, partition: Partition, run: &RunId) -> String {
    format!("stead.log.{epoch}.{partition}.{run}")
}

/// Where a command goes to be kept until it is carried out.
#[must_use]
pub fn command(owner: &Owner, kind: &str, verb: &str) -> String {
    format!("stead.cmd.{}.{kind}.{verb}", owner.token())
}

/// Where a command goes to be answered.
#[must_use]
pub fn api(owner: &Owner, kind: &str, verb: &str) -> String {
    format!("stead.api.{}.{kind}.{verb}", owner.token())
}

/// Where an event of a run can be watched.
#[must_use]
pub fn event(owner: &Owner, kind: &str, id: &str, event: &str) -> String {
    format!("stead.evt.{}.{kind}.{id}.{event}", owner.token())
}

/// Where a refusal is told. Whatever of the command was unreadable is `_`.
#[must_use]
pub fn refused(owner: Option<&Owner>, kind: &str, id: Option<&RunId>) -> String {
    let owner = owner.map_or_else(|| UNREADABLE.to_string(), Owner::token);
    let id = id.map_or(UNREADABLE, RunId::as_str);
    format!("stead.evt.{owner}.{}.{id}.refused", encode_token(kind))
}

/// Where workers of a system take this step: `stead.step.proxmox.clone-vm`.
#[must_use]
pub fn step(step: &str) -> String {
    format!("stead.step.{step}")
}

/// All steps of one system.
#[must_use]
pub fn steps_of(system: &str) -> String {
    format!("stead.step.{system}.*")
}

/// Where workers are told to stop working on a step.
#[must_use]
pub fn step_cancel() -> String {
    "stead.step-cancel".to_string()
}

/// Where one worker of a system is asked whether it can be worked with.
#[must_use]
pub fn checkup(system: &str) -> String {
    format!("stead.checkup.{system}")
}

/// Where a worker's answer to one attempt goes. The last token proves which one it is.
#[must_use]
pub fn answer(partition: Partition, address: &StepAddress, attempt: u32, proof: &Proof) -> String {
    let StepAddress { run, seq } = address;
    let proof = if proof.is_none() { UNREADABLE } else { proof.word() };
    format!("stead.part.{partition}.answer.{run}.{seq}.{attempt}.{proof}")
}

/// Where the owner of another entity tells a step how its command goes. Engines alone may publish
/// there, which is proof enough.
#[must_use]
pub fn told(partition: Partition, address: &StepAddress, attempt: u32) -> String {
    format!("stead.part.{partition}.told.{}.{}.{attempt}", address.run, address.seq)
}

/// A subject as it may be shown: without a proof.
#[must_use]
pub fn without_proof(subject: &str) -> &str {
    match (subject.starts_with("stead.part.") && subject.contains(".answer."), subject.rfind('.')) {
        (true, Some(end)) => &subject[..end],
        _ => subject,
    }
}

/// What the subject of an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerSubject {
    /// The step.
    pub address: StepAddress,
    /// Which attempt at it.
    pub attempt: u32,
    /// What shows that; nothing where an engine tells it.
    pub proof: Option<Proof>,
}

/// Everything addressed to the owner of a partition.
#[must_use]
pub fn partition_inbox(partition: Partition) -> String {
    format!("stead.part.{partition}.>")
}

/// One kind of request to the owner of a partition: `command`, `query`, `outcome`, `list`,
/// `order`, `outside`, `place`, `limits`.
#[must_use]
pub fn partition_request(partition: Partition, what: &str) -> String {
    format!("stead.part.{partition}.{what}")
}

/// The three tokens behind `stead.cmd.` or `stead.api.`, as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandSubject<'a> {
    /// The owner's token.
    pub owner: &'a str,
    /// The kind of entity.
    pub kind: &'a str,
    /// The verb.
    pub verb: &'a str,
}

/// Takes a command's subject apart; `None` if it has not exactly three tokens after the prefix.
#[must_use]
pub fn parse_command(subject: &str) -> Option<CommandSubject<'_>> {
    let rest = subject.strip_prefix("stead.cmd.").or_else(|| subject.strip_prefix("stead.api."))?;
    let mut tokens = rest.split('.');
    let parsed =
        CommandSubject { owner: tokens.next()?, kind: tokens.next()?, verb: tokens.next()? };
    tokens.next().is_none().then_some(parsed)
}

/// Takes the subject of an answer apart.
#[must_use]
pub fn parse_answer(subject: &str) -> Option<AnswerSubject> {
    let mut tokens = subject.strip_prefix("stead.part.")?.split('.').skip(1);
    let is_told = match tokens.next()? {
        "answer" => false,
        "told" => true,
        _ => return None,
    };
    let run = tokens.next()?.parse().ok()?;
    let seq = tokens.next()?.parse().ok()?;
    let attempt = tokens.next()?.parse().ok()?;
    let word = tokens.next().filter(|word| *word != UNREADABLE).unwrap_or_default();
    let proof = (!is_told).then(|| Proof::new(word.to_string()));
    Some(AnswerSubject { address: StepAddress { run, seq }, attempt, proof })
}

/// The plain text of a token for showing it to a person, even where it is badly encoded.
#[must_use]
pub fn shown(token: &str) -> String {
    decode_token(token).unwrap_or_else(|| token.to_string())
}
