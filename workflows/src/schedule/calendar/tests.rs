//! The calendar against examples, and against looking at every minute.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use chrono::{DateTime, Datelike, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use stead_schemas::time::Timestamp;

use super::{BACK, Calendar, DUE_MAX, NEXT_MAX};
use crate::schedule::cron::Cron;

fn at(text: &str) -> Timestamp {
    let moment = DateTime::parse_from_rfc3339(text).expect("a moment");
    Timestamp::from_millis(moment.timestamp_millis())
}

/// The next firings, as the clock on the wall shows them.
fn firings(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let calendar = Calendar::read(cron, zone).expect("a calendar");
    let zone: Tz = zone.parse().expect("a zone");
    let shown = |moment: Timestamp| {
        let moment = DateTime::from_timestamp_millis(moment.as_millis()).expect("a moment");
        moment.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z").to_string()
    };
    calendar.after(at(after)).take(count).map(shown).collect()
}

#[test]
fn a_time_in_the_gap_fires_once_at_the_first_moment_after_it() {
    // At 02:00 it is 03:00 in Berlin on that day.
    assert_eq!(
        firings("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3),
        ["2026-03-28 02:30 CET", "2026-03-29 03:00 CEST", "2026-03-30 02:30 CEST"]
    );
    assert_eq!(
        firings("*/20 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 4),
        [
            "2026-03-29 03:00 CEST",
            "2026-03-29 03:20 CEST",
            "2026-03-29 03:40 CEST",
            "2026-03-30 02:00 CEST"
        ],
        "what falls together fires once"
    );
    assert_eq!(
        firings("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", 1),
        ["2026-10-04 02:30 +11"],
        "the gap has half an hour"
    );
    assert_eq!(
        firings("0 9 30,31 12 *", "Pacific/Apia", "2011-12-28T00:00:00Z", 2),
        ["2011-12-31 00:00 +14", "2011-12-31 09:00 +14"],
        "a whole day was left out"
    );
}

#[test]
fn a_repeated_time_fires_the_first_time_only() {
    assert_eq!(
        firings("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25 02:30 CEST", "2026-10-26 02:30 CET"]
    );
    assert_eq!(
        firings("0 * * * *", "America/New_York", "2026-11-01T04:30:00Z", 3),
        ["2026-11-01 01:00 EDT", "2026-11-01 02:00 EST", "2026-11-01 03:00 EST"]
    );
    // Asked in the middle of the second time, it has been.
    assert_eq!(
        firings("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 1),
        ["2026-10-26 02:30 CET"]
    );
}

#[test]
fn months_end_where_they_end() {
    assert_eq!(
        firings("0 0 31 * *", "UTC", "2026-01-31T00:00:00Z", 3),
        ["2026-03-31 00:00 UTC", "2026-05-31 00:00 UTC", "2026-07-31 00:00 UTC"]
    );
    assert_eq!(
        firings("59 23 28-31 2 *", "UTC", "2027-12-31T00:00:00Z", 3),
        ["2028-02-28 23:59 UTC", "2028-02-29 23:59 UTC", "2029-02-28 23:59 UTC"]
    );
}

#[test]
fn leap_days_are_waited_for() {
    assert_eq!(
        firings("0 12 29 2 *", "UTC", "2026-01-01T00:00:00Z", 2),
        ["2028-02-29 12:00 UTC", "2032-02-29 12:00 UTC"]
    );
    assert_eq!(firings("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1), ["2104-02-29 00:00 UTC"]);
    // No weekday is said, only a step over them: the 29th has to be a Sunday.
    assert_eq!(firings("0 0 29 2 */7", "UTC", "2032-03-01T00:00:00Z", 1), ["2060-02-29 00:00 UTC"]);
}

#[test]
fn the_same_wall_clock_is_another_moment_elsewhere() {
    let utc =
        |zone| Calendar::read("0 9 * * *", zone).expect("one").next(at("2026-01-01T12:00:00Z"));
    assert_eq!(utc("Asia/Tokyo"), Some(at("2026-01-02T00:00:00Z")));
    assert_eq!(utc("America/Los_Angeles"), Some(at("2026-01-01T17:00:00Z")));
    for zone in ["", "Berlin", "europe/berlin", "Mars/Olympus"] {
        let refusal = Calendar::read("0 9 * * *", zone).expect_err(zone);
        assert_eq!(refusal.code, "schedule.time-zone-unknown");
        assert_eq!(refusal.field.as_deref(), Some("time_zone"));
    }
}

#[test]
fn a_plan_tells_the_latest_of_what_is_due_and_counts_the_rest() {
    let calendar = Calendar::read("* * * * *", "UTC").expect("one");
    let now = at("2026-06-01T00:00:30Z");
    let plan = calendar.plan(at("2026-05-31T00:00:30Z"), now);
    assert_eq!((plan.missed as usize, plan.due.len()), (24 * 60 - DUE_MAX, DUE_MAX));
    assert_eq!(plan.due.last(), Some(&at("2026-06-01T00:00:00Z")));
    assert_eq!((plan.next.len(), plan.next[0]), (NEXT_MAX, at("2026-06-01T00:01:00Z")));
    let plan = calendar.plan(at("2020-01-01T00:00:00Z"), now);
    assert_eq!(u64::from(plan.missed) + DUE_MAX as u64, BACK.as_secs() / 60, "a month at most");
    let yearly = Calendar::read("@yearly", "UTC").expect("one").plan(now, now);
    assert_eq!((yearly.due.len(), yearly.next), (0, [at("2027-01-01T00:00:00Z")].to_vec()));
}

/// Looks at every minute: it fires where the wall clock shows a time that fits for the first
/// time, or has just left one out that fits.
fn by_looking(cron: &Cron, zone: Tz, after: Timestamp, span: Duration) -> Vec<Timestamp> {
    let mut fired = Vec::new();
    let minute =
        |t: i64| DateTime::from_timestamp(t * 60, 0).expect("a moment").with_timezone(&zone);
    let first = after.as_millis().div_euclid(60_000) + 1;
    let last = after.after(span).as_millis().div_euclid(60_000);
    for now in first..=last {
        let (before, here) = (minute(now - 1).naive_local(), minute(now).naive_local());
        let mut shown = before.min(here - TimeDelta::minutes(1)) + TimeDelta::minutes(1);
        shown = shown.max(before + TimeDelta::minutes(1)).min(here);
        let mut fires = false;
        while shown <= here {
            let first_time = zone.from_local_datetime(&shown).earliest();
            let is_first = first_time.is_none_or(|first| first.timestamp() == now * 60);
            let weekday = shown.weekday().num_days_from_sunday();
            let mut times = cron.times_from(shown.hour(), shown.minute());
            let fits = times.next() == Some((shown.hour(), shown.minute()));
            fires |= is_first && fits && cron.fires_on(shown.month(), shown.day(), weekday);
            shown += TimeDelta::minutes(1);
        }
        if fires {
            fired.push(Timestamp::from_millis(now * 60_000));
        }
    }
    fired
}

/// A field of an expression.
fn field(least: u32, most: u32) -> impl Strategy<Value = String> {
    let number = move || least..=most;
    let list = proptest::collection::vec(number(), 1..4)
        .prop_map(|list| list.iter().map(u32::to_string).collect::<Vec<_>>().join(","));
    let range = (number(), number(), 1..20u32).prop_map(|(one, other, step)| {
        alloc::format!("{}-{}/{}", one.min(other), one.max(other), step)
    });
    let step = (1..=most).prop_map(|step| alloc::format!("*/{step}"));
    proptest::prop_oneof![proptest::strategy::Just("*".to_string()), list, range, step]
}

fn expression() -> impl Strategy<Value = String> {
    let fields = (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7));
    fields.prop_map(|(m, h, d, month, w)| alloc::format!("{m} {h} {d} {month} {w}"))
}

/// Zones with gaps of an hour, of half an hour, at midnight, and none.
const ZONES: [&str; 6] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Casablanca",
];
/// The days around which the clocks change there, and one on which none does.
const DAYS: [&str; 9] = [
    "2026-03-07T12:00:00Z",
    "2026-03-28T12:00:00Z",
    "2026-10-24T12:00:00Z",
    "2026-10-31T12:00:00Z",
    "2026-04-04T06:00:00Z",
    "2026-10-03T06:00:00Z",
    "2026-09-05T12:00:00Z",
    "2026-02-14T18:00:00Z",
    "2028-02-28T12:00:00Z",
];

proptest! {
    #[test]
    fn it_fires_when_looking_at_every_minute_says_so(
        text in expression(),
        zone in proptest::sample::select(&ZONES[..]),
        day in proptest::sample::select(&DAYS[..]),
        late in 0..86_400_000i64,
    ) {
        let Ok(calendar) = Calendar::read(&text, zone) else { return Ok(()) };
        let after = Timestamp::from_millis(at(day).as_millis() + late);
        let span = Duration::from_secs(2 * 86_400);
        let found: Vec<Timestamp> =
            calendar.after(after).take_while(|firing| *firing <= after.after(span)).collect();
        let looked = by_looking(&calendar.cron, calendar.zone, after, span);
        prop_assert_eq!(found, looked, "{} in {} after {}", text, zone, after);
    }

    #[test]
    fn whatever_is_let_in_fires_again_and_later(
        text in expression(), zone in proptest::sample::select(&ZONES[..]), late in any::<u32>(),
    ) {
        let Ok(calendar) = Calendar::read(&text, zone) else { return Ok(()) };
        let after = Timestamp::from_millis(at("2026-01-01T00:00:00Z").as_millis() + i64::from(late));
        let next = calendar.next(after);
        prop_assert!(next.is_some_and(|next| next > after), "{} after {}", text, after);
    }
}
