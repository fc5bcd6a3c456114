//! Pages of a whole stream without headers: bodies alone.
//!
//! The place of each message follows from where the page begins, as nothing is missing in a log:
//! how many have come must fit what the page's end says. Whose a message is says its body. What
//! cannot be understood so (what is sealed, a stranger's, the close of an epoch, a page of which a
//! part was lost) is asked for with headers.

use async_nats::header::NATS_LAST_SEQUENCE;
use async_nats::{StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use stead_runtime::ports::LogError;
use tokio::time::{Instant, timeout_at};

use super::super::OWNER;
use super::super::epochs::OwnerNote;
use super::{END_OF_PAGE, Pages, Stored, number};
use crate::connect::ANSWER_WITHIN;

/// How each transition begins, as this build writes it.
const BEGINNING: &[u8] = br#"{"v":1,"run":""#;
/// The same of each note of an owner. What begins otherwise may be a transition in a newer shape.
const NOTE: &[u8] = br#"{"engine":""#;

impl Pages {
    /// The next page as far as it can be understood; nothing if it must be asked for with headers.
    pub(super) async fn bare_page(&mut self) -> Result<Option<Vec<Stored>>, LogError> {
        let mut answers = self.ask(true).await?;
        let Some(bodies) = self.bodies(&mut answers).await else { return Ok(None) };
        let wanted = usize::try_from(self.until + 1 - self.next).unwrap_or(usize::MAX);
        let count = bodies.len().min(wanted);
        let subjects = self.filter.trim_end_matches('*');
        let page = (self.next..).zip(bodies.into_iter().take(count)).map_while(|(seq, body)| {
            let subject = format!("{subjects}{}", whose(&body)?);
            Some(Stored { seq, subject, headers: None, body })
        });
        let page: Vec<Stored> = page.collect();
        self.strange = page.len() < count;
        if self.strange && page.is_empty() {
            // Where not one message is understood, none is.
            (self.bare, self.strange) = (false, false);
            return Ok(None);
        }
        Ok(Some(page))
    }

    /// Nothing if any may be missing.
    async fn bodies(&self, answers: &mut Subscriber) -> Option<Vec<Bytes>> {
        let mut bodies = Vec::new();
        loop {
            let message = timeout_at(Instant::now() + ANSWER_WITHIN, answers.next()).await;
            let message = message.ok().flatten()?;
            match message.status.map(|status| status.as_u16()) {
                None if message.headers.is_none() => bodies.push(message.payload),
                Some(END_OF_PAGE) => {
                    let count = u64::try_from(bodies.len()).ok()?;
                    let last = number(&message, NATS_LAST_SEQUENCE)?;
                    return (last + 1 == self.next + count).then_some(bodies);
                }
                Some(status) if status == StatusCode::NOT_FOUND.as_u16() && bodies.is_empty() => {
                    return Some(bodies);
                }
                _ => return None,
            }
        }
    }
}

/// The last token of the subject that a message lies on, as its body says; nothing if that is not for
/// the body alone to say.
#[must_use]
pub fn whose(body: &[u8]) -> Option<&str> {
    let Some(rest) = body.strip_prefix(BEGINNING) else {
        return (body.starts_with(NOTE) && is_note(body)).then_some(OWNER);
    };
    let end = rest.iter().position(|letter| *letter == b'"')?;
    let run = str::from_utf8(&rest[..end]).ok()?;
    run.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'-').then_some(run)
}

/// Whether it is an owner's note as this build writes it, which says nothing else. One that closes the
/// epoch is none for a body alone.
fn is_note(body: &[u8]) -> bool {
    let Ok(note) = serde_json::from_slice::<OwnerNote>(body) else { return false };
    note.closed_for.is_none() && serde_json::to_vec(&note).is_ok_and(|written| written == body)
}

#[cfg(test)]
mod tests {
    use stead_schemas::time::Timestamp;
    use stead_schemas::transition::{Transition, VERSION};

    use super::super::super::OWNER;
    use super::super::super::epochs::OwnerNote;
    use super::whose;

    fn note(closed_for: Option<u32>) -> Vec<u8> {
        let at = Timestamp::from_millis(7);
        let note = OwnerNote { engine: "one".into(), at, closed_for, opened_from: None };
        serde_json::to_vec(&note).expect("a note")
    }

    #[test]
    fn a_transition_says_whose_it_is() {
        let run = "probe-27ytv97dprxd6njw-1";
        let transition = Transition {
            v: VERSION,
            run: run.parse().expect("a run"),
            n: 1,
            at: Timestamp::from_millis(7),
            engine: "one".into(),
            prev: String::new(),
            events: Vec::new(),
        };
        assert_eq!(whose(&transition.encode()), Some(run));
        let newer = Transition { v: VERSION + 1, ..transition };
        assert_eq!(whose(&newer.encode()), None, "it would be lost as an owner's note");
    }

    #[test]
    fn an_owner_s_note_is_known_unless_it_closes_the_epoch() {
        assert_eq!(whose(&note(None)), Some(OWNER));
        assert_eq!(whose(&note(Some(2))), None);
    }

    #[test]
    fn a_transition_that_begins_like_a_note_is_none() {
        let at = serde_json::to_string(&Timestamp::from_millis(7)).expect("a time");
        let transition = format!(
            r#"{{"engine":"one","at":{at},"v":{VERSION},"run":"probe-27ytv97dprxd6njw-1","n":1,"prev":"","events":[]}}"#
        );
        Transition::decode(transition.as_bytes()).expect("it is a transition");
        assert_eq!(whose(transition.as_bytes()), None, "it would be lost");
    }

    #[test]
    fn whatever_else_there_is_says_nothing() {
        let bodies: [&[u8]; 5] =
            [b"", b"hello", b"{}", br#"{"v":1,"run":"a.b","n":1}"#, br#"{"v":1,"run":"a"#];
        assert_eq!(bodies.map(whose), [None; 5]);
    }
}
