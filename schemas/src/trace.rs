//! Traces: what a run did and how long it took, as other people's tools draw it.
//!
//! A run is one trace. Every id is a digest of what it names, so that nothing of it is kept, and every
//! engine and every replay finds the same ones. Between processes travels the header `traceparent`, as
//! the W3C's Trace Context (level 1) has it.
//!
//! `stead-core` has the spans of a history (`trace.rs`), the runtime those of workers.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use sha2::{Digest, Sha256};

use crate::dispatch::StepAddress;
use crate::ids::RunId;
use crate::transition::hex;

/// The header that says beneath which span something is done.
pub const HEADER: &str = "traceparent";

/// Which trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

/// Which span of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// The trace of a run.
    #[must_use]
    pub fn of(run: &RunId) -> Self {
        Self(digest(&["trace", run.as_str()]))
    }
}

impl SpanId {
    /// The span of a whole run.
    #[must_use]
    pub fn of_run(run: &RunId) -> Self {
        Self(digest(&["run", run.as_str()]))
    }

    /// The span of one of its commands.
    #[must_use]
    pub fn of_command(run: &RunId, command: &str) -> Self {
        Self(digest(&["command", run.as_str(), command]))
    }

    /// The span of a step, all its attempts together.
    #[must_use]
    pub fn of_step(address: &StepAddress) -> Self {
        Self(digest(&["step", address.run.as_str(), &number(address.seq)]))
    }

    /// The span of one attempt at a step, as a worker knows it.
    #[must_use]
    pub fn of_attempt(address: &StepAddress, attempt: u32) -> Self {
        Self(digest(&["attempt", address.run.as_str(), &number(address.seq), &number(attempt)]))
    }

    /// The span of the `n`-th call that was made beneath this one.
    #[must_use]
    pub fn of_call(self, n: u32) -> Self {
        Self(digest(&["call", &hex(&self.0), &number(n)]))
    }
}

fn number(n: u32) -> String {
    alloc::format!("{n}")
}

/// The first bytes of the SHA-256 of these texts.
fn digest<const N: usize>(texts: &[&str]) -> [u8; N] {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let mut first = [0; N];
    first.copy_from_slice(&hash.finalize()[..N]);
    first
}

impl fmt::Display for TraceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex(&self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex(&self.0))
    }
}

/// Beneath which span something is done. Written `00-<trace>-<span>-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The span in it.
    pub span: SpanId,
}

impl TraceParent {
    /// Beneath a step.
    #[must_use]
    pub fn of_step(address: &StepAddress) -> Self {
        Self { trace: TraceId::of(&address.run), span: SpanId::of_step(address) }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "00-{}-{}-01", self.trace, self.span)
    }
}

/// The header is not one, or whoever sent it keeps no trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no traceparent of something that is traced")]
pub struct TraceParentError;

impl FromStr for TraceParent {
    type Err = TraceParentError;

    /// A later version may say more behind a dash; what is before it stays as it is.
    fn from_str(text: &str) -> Result<Self, TraceParentError> {
        let (head, more) = text.split_at_checked(55).ok_or(TraceParentError)?;
        let mut parts = head.split('-');
        let mut next = || parts.next().unwrap_or_default();
        let (version, trace, span, flags) = (next(), next(), next(), next());
        let [version] = unhex::<1>(version).ok_or(TraceParentError)?;
        let trace = unhex::<16>(trace).filter(|id| *id != [0; 16]).ok_or(TraceParentError)?;
        let span = unhex::<8>(span).filter(|id| *id != [0; 8]).ok_or(TraceParentError)?;
        let [flags] = unhex::<1>(flags).ok_or(TraceParentError)?;
        let ends = more.is_empty() || version > 0 && more.starts_with('-');
        if version == 0xff || !ends || flags & 1 == 0 {
            return Err(TraceParentError);
        }
        Ok(Self { trace: TraceId(trace), span: SpanId(span) })
    }
}

/// Lower-case hexadecimal digits, exactly so many.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

/// Something that was done, from when to when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which trace it belongs to, and beneath which span; the whole run's is beneath none.
    pub trace: TraceId,
    /// Its own id.
    pub id: SpanId,
    /// The span that it is beneath.
    pub parent: Option<SpanId>,
    /// A span of another trace that asked for this.
    pub asked_by: Option<TraceParent>,
    /// Which part of Stead did it.
    pub by: Part,
    /// How it stands to its neighbours.
    pub role: Role,
    /// What it is called: `proxmox.clone-vm`. One of few.
    pub name: String,
    /// When it began, in nanoseconds since the Unix epoch.
    pub begun_ns: u64,
    /// When it had ended; not before it began.
    pub ended_ns: u64,
    /// The particulars, by name.
    pub about: Vec<(&'static str, About)>,
    /// What went wrong, where something did.
    pub error: Option<String>,
}

/// A particular of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A word, an id.
    Text(String),
    /// A count.
    Number(u32),
}

impl From<String> for About {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for About {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<u32> for About {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

/// A part of Stead that makes spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The engine.
    Engine,
    /// A worker.
    Worker,
}

/// How a span stands to its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its maker's own affair.
    Internal,
    /// Something that was asked for.
    Server,
    /// Asking somebody else.
    Client,
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::{SpanId, TraceId, TraceParent};
    use crate::dispatch::StepAddress;
    use crate::ids::RunId;

    const PUBLISHED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn run() -> RunId {
        "workspace-27ytv97dprxd6njw-1".parse().unwrap()
    }

    fn check(text: &str, is_read: bool) {
        assert_eq!(text.parse::<TraceParent>().is_ok(), is_read, "{text}");
    }

    #[test]
    fn ids_are_the_same_for_ever_and_each_names_one_thing() {
        let step = |seq| StepAddress { run: run(), seq };
        assert_eq!(TraceId::of(&run()).to_string(), "474709969bf5618556c9d2a4ab62d797");
        assert_eq!(SpanId::of_step(&step(3)).to_string(), "24271cf85b3b7863");
        let attempt = SpanId::of_attempt(&step(1), 2);
        let mut ids = [
            SpanId::of_run(&run()),
            SpanId::of_command(&run(), "1"),
            SpanId::of_step(&step(1)),
            SpanId::of_step(&step(2)),
            attempt,
            SpanId::of_attempt(&step(1), 3),
            SpanId::of_attempt(&step(2), 2),
            attempt.of_call(1),
            attempt.of_call(2),
        ];
        ids.sort();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    }

    #[test]
    fn what_is_written_is_read() {
        let parent = TraceParent::of_step(&StepAddress { run: run(), seq: 7 });
        assert_eq!(parent.to_string().parse(), Ok(parent));
        let published: TraceParent = PUBLISHED.parse().unwrap();
        assert_eq!(published.to_string(), PUBLISHED);
    }

    #[test]
    fn only_what_the_standard_allows_is_read() {
        let zeros = |from: &str| PUBLISHED.replace(from, &"0".repeat(from.len()));
        check(&format!("cc{}-what the future holds", &PUBLISHED[2..]), true);
        check(&format!("{}09", &PUBLISHED[..53]), true);
        for text in [
            "",
            "00",
            &PUBLISHED[..54],
            &format!("{PUBLISHED}-more"),
            &format!("cc{}.more", &PUBLISHED[2..]),
            &format!("ff{}", &PUBLISHED[2..]),
            &PUBLISHED.to_uppercase(),
            &PUBLISHED.replace("-01", "-00"),
            &PUBLISHED.replace('-', "_"),
            &zeros("4bf92f3577b34da6a3ce929d0e0e4736"),
            &zeros("00f067aa0ba902b7"),
            &"ß".repeat(40),
        ] {
            check(text, false);
        }
    }
}
