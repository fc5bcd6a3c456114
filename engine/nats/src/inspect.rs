//! What an operator's eye sees of the server and the platform on it. Only looks: nothing here
//! creates, repairs or deletes.

use std::time::Duration;

use async_nats::Request;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::subjects;
use stead_schemas::time::Timestamp;

use crate::connect::{ANSWER_WITHIN, Connection};

pub use crate::leases::{EngineSeen, Owners};
pub use crate::platform::{StreamSeen, inspect_streams};

/// The server that we are connected to.
#[derive(Clone, Debug)]
pub struct ServerSeen {
    /// Its own name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// What JetStream lets this account have, and what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct AccountSeen {
    /// Bytes on disk.
    #[serde(default)]
    pub storage: u64,
    /// What it may have of them, and more; -1 is no limit.
    #[serde(default)]
    pub limits: AccountLimits,
}

/// What an account may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct AccountLimits {
    /// Bytes on disk; -1 is no limit.
    #[serde(default)]
    pub max_storage: i64,
}

/// Who we are to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct UserSeen {
    /// The user's name.
    #[serde(default)]
    pub user: String,
    /// The account.
    #[serde(default)]
    pub account: String,
    /// What it may do; everything, where nothing is said.
    #[serde(default)]
    pub permissions: Option<Permissions>,
}

/// What a user may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Permissions {
    /// Where it may publish.
    #[serde(default)]
    pub publish: Option<Subjects>,
    /// What it may subscribe to.
    #[serde(default)]
    pub subscribe: Option<Subjects>,
}

/// Patterns of subjects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Subjects {
    /// Only these, if any is named.
    #[serde(default)]
    pub allow: Vec<String>,
    /// None of these.
    #[serde(default)]
    pub deny: Vec<String>,
}

impl Permissions {
    /// Whether all of `subject`, which may be a pattern, may be published to.
    #[must_use]
    pub fn may_publish(&self, subject: &str) -> bool {
        self.publish.as_ref().is_none_or(|subjects| subjects.let_in(subject))
    }

    /// Whether all of `subject` may be subscribed to.
    #[must_use]
    pub fn may_subscribe(&self, subject: &str) -> bool {
        self.subscribe.as_ref().is_none_or(|subjects| subjects.let_in(subject))
    }
}

impl Subjects {
    fn let_in(&self, subject: &str) -> bool {
        // What is allowed for a queue group has the group behind a space.
        let pattern = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
        let allowed = self.allow.is_empty()
            || self.allow.iter().any(|allowed| covers(&pattern(allowed), subject));
        allowed && !self.deny.iter().any(|denied| covers(&pattern(denied), subject))
    }
}

/// Whether a pattern of subjects covers another one, or a subject.
#[must_use]
pub fn covers(pattern: &str, subject: &str) -> bool {
    let mut wanted = subject.split('.');
    for token in pattern.split('.') {
        match (token, wanted.next()) {
            (">", Some(_)) => return true,
            (_, None) | ("*", Some(">")) => return false,
            ("*", Some(_)) => {}
            (token, Some(found)) if token == found => {}
            _ => return false,
        }
    }
    wanted.next().is_none()
}

/// The server that we are connected to.
#[must_use]
pub fn server(connection: &Connection) -> ServerSeen {
    let info = connection.api.server_info();
    ServerSeen { name: info.server_name, version: info.version }
}

/// What the subjects of the JetStream API begin with for us.
#[must_use]
pub fn js_prefix(connection: &Connection) -> &str {
    &connection.js_prefix
}

/// What JetStream says of the account in which the streams are.
///
/// # Errors
/// In words: it is off, or we may not ask.
pub async fn account(connection: &Connection) -> Result<AccountSeen, String> {
    ask(connection, &format!("{}.INFO", connection.js_prefix)).await
}

/// Who the server says that we are.
///
/// # Errors
/// In words.
pub async fn user(connection: &Connection) -> Result<UserSeen, String> {
    #[derive(Deserialize)]
    struct Answer {
        data: UserSeen,
    }
    ask::<Answer>(connection, "$SYS.REQ.USER.INFO").await.map(|answer| answer.data)
}

/// By how much this machine's clock is behind the server's, in milliseconds; ahead of it, if that
/// is negative. What the way there and back may explain does not count.
///
/// # Errors
/// In words.
pub async fn clock_behind_ms(connection: &Connection) -> Result<i64, String> {
    #[derive(Deserialize)]
    struct Answer {
        ts: Timestamp,
    }
    let before = SystemClock.now();
    let subject = format!("{}.STREAM.INFO.{}", connection.js_prefix, subjects::SETTINGS_BUCKET);
    let answer: Answer = ask(connection, &subject).await?;
    Ok(behind_ms(before, answer.ts, SystemClock.now()))
}

/// By how much a clock that read `before` and `after` is behind one that read `there` in between.
#[must_use]
pub fn behind_ms(before: Timestamp, there: Timestamp, after: Timestamp) -> i64 {
    let [before, there, after] = [before, there, after].map(Timestamp::as_millis);
    there - there.clamp(before.min(after), before.max(after))
}

/// Asks JetStream or the server something, and reads the answer.
pub(crate) async fn ask<T: DeserializeOwned>(
    connection: &Connection,
    subject: &str,
) -> Result<T, String> {
    let answer = request(connection, subject, Bytes::new(), ANSWER_WITHIN).await?;
    read_answer(&answer)
}

/// Reads what JetStream answered.
pub(crate) fn read_answer<T: DeserializeOwned>(answer: &[u8]) -> Result<T, String> {
    #[derive(Deserialize)]
    struct Refused {
        error: Option<Error>,
    }
    #[derive(Deserialize)]
    struct Error {
        #[serde(default)]
        description: String,
    }
    if let Ok(Refused { error: Some(error) }) = serde_json::from_slice(answer) {
        return Err(error.description);
    }
    serde_json::from_slice(answer).map_err(|error| format!("unreadable answer: {error}"))
}

/// Sends one request and waits for the answer, in words if there is none.
pub(crate) async fn request(
    connection: &Connection,
    subject: &str,
    body: Bytes,
    within: Duration,
) -> Result<Bytes, String> {
    let request = Request::new().payload(body).timeout(Some(within));
    let answer = connection.api.send_request(subject.to_owned(), request).await;
    answer.map(|message| message.payload).map_err(|error| format!("{subject}: {error}"))
}

#[cfg(test)]
mod tests {
    use stead_schemas::time::Timestamp;

    use super::{Permissions, Subjects, behind_ms, covers};

    #[test]
    fn a_pattern_covers_what_all_of_it_is_inside() {
        assert!(covers("stead.cmd.>", "stead.cmd.john.workspace.create"));
        assert!(covers("stead.cmd.>", "stead.cmd.*.>") && covers("stead.*.john", "stead.*.john"));
        assert!(covers(">", "a") && covers("a.b", "a.b"));
        assert!(!covers("stead.cmd.>", "stead.cmd") && !covers("a.b", "a.b.c"));
        assert!(!covers("a.*", "a.>") && !covers("a.b", "a.*") && !covers("a.b.c", "a.b"));
    }

    #[test]
    fn a_denied_subject_is_denied_whatever_is_allowed() {
        let texts = |all: &[&str]| all.iter().map(ToString::to_string).collect();
        let subjects =
            Subjects { allow: texts(&["stead.>", "q workers"]), deny: texts(&["stead.log.>"]) };
        let all = Permissions { publish: Some(subjects), subscribe: None };
        assert!(all.may_publish("stead.cmd.john.a.b") && all.may_publish("q"));
        assert!(!all.may_publish("stead.log.0.1.r") && !all.may_publish("$JS.API.INFO"));
        assert!(all.may_subscribe("anything"));
    }

    #[test]
    fn a_clock_is_wrong_by_what_the_way_does_not_explain() {
        let check = |before, there, after, behind| {
            let moment = Timestamp::from_millis;
            assert_eq!(behind_ms(moment(before), moment(there), moment(after)), behind);
        };
        check(1_000, 1_010, 1_020, 0);
        check(1_000, 6_020, 1_020, 5_000);
        check(6_000, 1_000, 6_010, -5_000);
    }
}
