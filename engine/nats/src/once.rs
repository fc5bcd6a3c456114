//! A message that is written once, behind the one that is expected to be its subject's last, whatever
//! becomes of the acknowledgement: it carries a commit id, by which its writer finds it again.
//!
//! Where the answer is lost or in doubt, what follows the expected message is read from the stream's
//! leader: it carries our commit id or somebody else's. The server's own deduplication is of no use
//! here, because a single server checks the expectation before it looks for a duplicate.

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_EXPECTED_STREAM};
use async_nats::jetstream::context::Context;
use async_nats::jetstream::message::StreamMessage;
use stead_runtime::ports::AppendError;
use uuid::Uuid;

use crate::jetstream::{self, Unread};

/// The header by which a writer finds its own message again.
pub(crate) const COMMIT: &str = "Stead-Commit";

/// A commit id that nobody has.
pub(crate) fn new_commit() -> String {
    Uuid::now_v7().simple().to_string()
}

/// Whether a message carries this commit id.
pub(crate) fn has_commit(message: &StreamMessage, commit: &str) -> bool {
    message.headers.get(COMMIT).is_some_and(|found| found.as_str() == commit)
}

/// Where a message goes, and how it is known again.
pub(crate) struct Once {
    pub stream: String,
    pub subject: String,
    /// The sequence of its subject's last message; 0 if there is none.
    pub expected: u64,
    pub commit: String,
}

impl Once {
    /// What the message says to the server and to its writer.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_STREAM, self.stream.as_str());
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, self.expected.to_string());
        headers.insert(COMMIT, self.commit.as_str());
        headers
    }

    /// Finds out by reading whether it was written; nothing if it was not and still may be.
    pub async fn look(&self, js: &Context) -> Result<Option<Result<u64, AppendError>>, Unread> {
        let last = jetstream::last_message(js, &self.stream, &self.subject).await?;
        let Some(last) = last else {
            return Ok((self.expected > 0).then_some(Err(AppendError::Conflict)));
        };
        if last.sequence == self.expected {
            return Ok(None);
        }
        if has_commit(&last, &self.commit) {
            return Ok(Some(Ok(last.sequence)));
        }
        // Ours may have been written and others since: somebody else can go on from it.
        let next = self.expected + 1;
        match jetstream::next_message(js, &self.stream, next, &self.subject).await? {
            Some(first) if has_commit(&first, &self.commit) => Ok(Some(Ok(first.sequence))),
            _ => Ok(Some(Err(AppendError::Conflict))),
        }
    }
}
