//! When a cron expression fires in a time zone.
//!
//! Clocks are put forward and back. A time that does not exist on such a day fires once, at the
//! first moment after the gap, together with whatever else falls there; a time that comes twice
//! fires the first time only.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;
use stead_schemas::refusal::Refusal;
use stead_schemas::step::schedule::Plan;
use stead_schemas::time::Timestamp;

use super::cron::Cron;

/// How far ahead to look. A 29th of February that has to be a Sunday, too, can be 40 years away.
const DAYS_MAX: u32 = 41 * 366;
/// The longest gap in any zone: a day, where the date line was moved.
const GAP_MINUTES_MAX: i64 = 2 * 24 * 60;
/// How far back missed firings are counted.
const BACK: Duration = Duration::from_secs(31 * 24 * 60 * 60);
/// How many firings that are due already are told one by one; of more, the latest.
const DUE_MAX: usize = 100;
/// How many firings are planned at once.
const NEXT_MAX: usize = 60;
/// How far ahead firings are planned, but for the next one: a day, and the hour that it may have
/// more.
const AHEAD: Duration = Duration::from_secs(25 * 60 * 60);
/// How long before its time a firing that was planned long ago is planned again.
pub const LOOK_AGAIN: Duration = Duration::from_secs(60 * 60);

/// When a firing is to be planned again, if it was far away when it was planned: the rules of its
/// time zone may be others by then.
#[must_use]
pub fn plan_again_at(firing: Timestamp, planned: Timestamp) -> Option<Timestamp> {
    (firing.since(planned) > AHEAD).then(|| firing.before(LOOK_AGAIN))
}

/// A cron expression in a time zone.
#[derive(Clone, Copy, Debug)]
pub struct Calendar {
    cron: Cron,
    zone: Tz,
}

impl Calendar {
    /// Reads both.
    ///
    /// # Errors
    /// If one of them is none.
    pub fn read(cron: &str, time_zone: &str) -> Result<Self, Refusal> {
        Ok(Self { cron: Cron::parse(cron)?, zone: read_zone(time_zone)? })
    }

    /// The first firing after this moment.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let local = DateTime::from_timestamp_millis(after.as_millis())?.with_timezone(&self.zone);
        // A later moment never has an earlier first local time, so nothing before this one fits.
        let (mut date, mut from) = (local.date_naive(), (local.hour(), local.minute()));
        for _ in 0..DAYS_MAX {
            let weekday = date.weekday().num_days_from_sunday();
            if self.cron.fires_on(date.month(), date.day(), weekday) {
                let mut times = self.cron.times_from(from.0, from.1);
                let found = times.find_map(|(hour, minute)| {
                    self.moment(date, hour, minute).filter(|moment| *moment > after)
                });
                if found.is_some() {
                    return found;
                }
            }
            (date, from) = (date.succ_opt()?, (0, 0));
        }
        None
    }

    /// The firings after this moment, in order, without end.
    pub fn after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        let calendar = *self;
        core::iter::successors(calendar.next(after), move |last| calendar.next(*last))
    }

    /// What has become due after `after` and by `now`, and what comes next.
    #[must_use]
    pub fn plan(&self, after: Timestamp, now: Timestamp) -> Plan {
        let earliest = Timestamp::from_millis(now.as_millis().saturating_sub(millis(BACK)));
        let mut plan = Plan::default();
        let due: Vec<Timestamp> =
            self.after(after.max(earliest)).take_while(|firing| *firing <= now).collect();
        let told = due.len().saturating_sub(DUE_MAX);
        plan.missed = u32::try_from(told).unwrap_or(u32::MAX);
        plan.first = due[..told].first().copied();
        plan.due = due[told..].to_vec();
        let ahead = now.after(AHEAD);
        let next = self.after(now).take(NEXT_MAX).enumerate();
        let near = next.take_while(|(number, firing)| *number == 0 || *firing <= ahead);
        plan.next = near.map(|(_, firing)| firing).collect();
        plan
    }

    /// When it is this time of this day.
    fn moment(&self, date: NaiveDate, hour: u32, minute: u32) -> Option<Timestamp> {
        let local = date.and_hms_opt(hour, minute, 0)?;
        let moments = (0..GAP_MINUTES_MAX).map(|minutes| local + TimeDelta::minutes(minutes));
        let exists = |local: NaiveDateTime| self.zone.from_local_datetime(&local).earliest();
        let moment = moments.into_iter().find_map(exists)?;
        Some(Timestamp::from_millis(moment.timestamp_millis()))
    }
}

fn read_zone(text: &str) -> Result<Tz, Refusal> {
    text.parse::<Tz>().map_err(|_| {
        let shown: String = text.chars().take(64).collect();
        let words = alloc::format!(
            "there is no time zone `{shown}`; one is named as in Europe/Berlin or UTC, with \
             capitals"
        );
        Refusal::new("schedule.time-zone-unknown", words).field("time_zone")
    })
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
