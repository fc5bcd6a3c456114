//! Which entries somebody wants to see.

use chrono::{DateTime, NaiveDate, NaiveTime};
use stead_schemas::dispatch::Caller;
use stead_schemas::time::Timestamp;

use super::{Entry, Refused};
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
        let asked = Asked {
            at: entry.at,
            owner: entry.owner.as_ref().map(|owner| owner.as_str()),
            kind: &entry.kind,
            name: &entry.name,
            run: Some(entry.run.as_str()),
            verb: &entry.verb,
            by: Some(&entry.by),
        };
        (self.all || entry.is_from_outside()) && self.wants_asked(&asked)
    }

    pub fn wants_refused(&self, refused: &Refused) -> bool {
        self.wants_asked(&Asked {
            at: refused.at,
            owner: refused.owner.as_ref().map(|owner| owner.as_str()),
            kind: &refused.kind,
            name: &refused.name,
            run: refused.run.as_ref().map(|run| run.as_str()),
            verb: &refused.verb,
            by: refused.by.as_ref(),
        })
    }

    fn wants_asked(&self, asked: &Asked<'_>) -> bool {
        self.owner.as_deref().is_none_or(|wanted| asked.owner == Some(wanted))
            && self.verb.as_ref().is_none_or(|verb| verb == asked.verb)
            && self.by.as_ref().is_none_or(|by| asked.is_by(by))
            && self.entity.as_ref().is_none_or(|entity| asked.is_for(entity))
            && self.since.is_none_or(|since| asked.at >= since)
            && self.until.is_none_or(|until| asked.at < until)
    }
}

/// What somebody asked for, whatever became of it.
struct Asked<'a> {
    at: Timestamp,
    owner: Option<&'a str>,
    kind: &'a str,
    name: &'a str,
    run: Option<&'a str>,
    verb: &'a str,
    by: Option<&'a Caller>,
}

impl Asked<'_> {
    /// Whether a text stands in what is said of who asked, whatever its capitals.
    fn is_by(&self, by: &str) -> bool {
        let said = self.by.map(words::caller).unwrap_or_default();
        said.to_lowercase().contains(&by.to_lowercase())
    }

    fn is_for(&self, entity: &str) -> bool {
        entity == self.name
            || Some(entity) == self.run
            || entity.split_once('/') == Some((self.kind, self.name))
            || self.owner.is_some_and(|owner| entity.rsplit_once('/') == Some((owner, self.name)))
    }
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
