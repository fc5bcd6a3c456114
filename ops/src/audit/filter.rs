//! Which entries somebody wants to see.

use chrono::{DateTime, NaiveDate, NaiveTime};
use stead_schemas::time::Timestamp;

use super::Entry;
use crate::cli::audit::Log;
use crate::story::words;

/// See the module's head.
#[derive(Debug, Default)]
pub struct Filter {
    owner: Option<String>,
    by: Option<String>,
    entity: Option<String>,
    verb: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    all: bool,
}

impl Filter {
    /// What the options say.
    ///
    /// # Errors
    /// In words, if one of them is no time.
    pub fn of(options: &Log) -> Result<Self, String> {
        Ok(Self {
            owner: options.owner.clone(),
            by: options.by.clone(),
            entity: options.entity.clone(),
            verb: options.verb.clone(),
            since: options.since.as_deref().map(time).transpose()?,
            until: options.until.as_deref().map(time).transpose()?,
            all: options.all,
        })
    }

    pub fn wants(&self, entry: &Entry) -> bool {
        let owner = entry.owner.as_ref().map(|owner| owner.as_str());
        (self.all || entry.is_from_outside())
            && self.owner.as_deref().is_none_or(|wanted| owner == Some(wanted))
            && self.verb.as_ref().is_none_or(|verb| *verb == entry.verb)
            && self.by.as_ref().is_none_or(|by| is_by(by, entry))
            && self.entity.as_ref().is_none_or(|entity| is_meant(entity, entry))
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at < until)
    }
}

/// Whether a text stands in what is said of who asked, whatever its capitals.
fn is_by(by: &str, entry: &Entry) -> bool {
    words::caller(&entry.by).to_lowercase().contains(&by.to_lowercase())
}

fn is_meant(entity: &str, entry: &Entry) -> bool {
    entity == entry.name
        || entity == entry.run.as_str()
        || entity.split_once('/') == Some((&entry.kind, &entry.name))
}

fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(Timestamp::from_millis(moment.timestamp_millis()));
    }
    let day: NaiveDate = text
        .parse()
        .map_err(|_| format!("`{text}` is no time: write 2026-11-29, or 2026-11-29T21:40:00Z"))?;
    Ok(Timestamp::from_millis(day.and_time(NaiveTime::MIN).and_utc().timestamp_millis()))
}
