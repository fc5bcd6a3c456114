//! A moment, to the millisecond, written as RFC 3339 in UTC.
//!
//! The clock itself lives in the runtime; here a moment is only a number with a spelling.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use core::fmt;
use core::time::Duration;

use chrono::{DateTime, SecondsFormat};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The first millisecond that RFC 3339 can spell: the beginning of the year 0.
const FIRST_MS: i64 = -62_167_219_200_000;
/// The last one: the end of the year 9999. What cannot be spelled could not be read back.
const LAST_MS: i64 = 253_402_300_799_999;

/// Milliseconds since the Unix epoch, within the years 0 to 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `millis` after the Unix epoch; saturates where time cannot be spelled any more.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        if millis < FIRST_MS {
            return Self(FIRST_MS);
        }
        if millis > LAST_MS {
            return Self(LAST_MS);
        }
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment, `span` later; saturates at the end of time.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// This moment, `span` earlier; saturates at the beginning of time.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_sub(millis))
    }

    /// How long it is from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_millis(self.0) {
            Some(moment) => out.write_str(&moment.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => write!(out, "{} ms after 1970", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        let moment = DateTime::parse_from_rfc3339(&text).map_err(D::Error::custom)?;
        Ok(Self::from_millis(moment.timestamp_millis()))
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// A span as a person says it: `840 ms`, `3.2 s`, `4 min 10 s`.
#[must_use]
pub fn spoken(span: Duration) -> String {
    let millis = span.as_millis();
    match millis {
        0..1_000 => alloc::format!("{millis} ms"),
        1_000..60_000 => alloc::format!("{:.1} s", span.as_secs_f64()),
        _ => alloc::format!("{} min {} s", span.as_secs() / 60, span.as_secs() % 60),
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::Timestamp;

    fn check(moment: Timestamp, spelling: &str) {
        let written = serde_json::to_string(&moment).unwrap();
        assert_eq!(written, alloc::format!("\"{spelling}\""));
        assert_eq!(serde_json::from_str::<Timestamp>(&written).unwrap(), moment);
    }

    #[test]
    fn every_moment_is_read_as_it_was_written() {
        check(Timestamp::from_millis(0), "1970-01-01T00:00:00.000Z");
        check(Timestamp::from_millis(i64::MIN), "0000-01-01T00:00:00.000Z");
        check(Timestamp::from_millis(i64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_timer_for_ever_can_be_written_down() {
        check(Timestamp::from_millis(1).after(Duration::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_moment_that_its_zone_carries_past_the_end_is_the_end() {
        let late: Timestamp = serde_json::from_str("\"9999-12-31T23:59:59-23:59\"").unwrap();
        check(late, "9999-12-31T23:59:59.999Z");
    }
}
