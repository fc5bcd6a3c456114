//! A cron expression: five fields, as Vixie cron reads them.
//!
//! Minute, hour, day of month, month and day of week; lists, ranges, steps and English names.
//! Where neither day field begins with `*`, either of them is enough. What the expression means
//! in a time zone is in `calendar.rs`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use stead_schemas::refusal::Refusal;

/// The longest expression that is read, in characters.
const TEXT_MAX: usize = 256;

/// When to fire, field by field: the bit of each number that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether one of the day fields is enough.
    either_day: bool,
}

/// One of the five.
struct Field {
    what: &'static str,
    least: u32,
    most: u32,
    /// Names of numbers, counted from `least`.
    names: &'static [&'static str],
}

const MINUTE: Field = Field { what: "minute", least: 0, most: 59, names: &[] };
const HOUR: Field = Field { what: "hour", least: 0, most: 23, names: &[] };
const DAY: Field = Field { what: "day of month", least: 1, most: 31, names: &[] };
const MONTH: Field = Field {
    what: "month",
    least: 1,
    most: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
/// Sunday is 0 and 7.
const WEEKDAY: Field = Field {
    what: "day of week",
    least: 0,
    most: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

/// How many days each month has, at most.
const MONTH_DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// If it is none, would fire more often than once a minute, or never.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.chars().count() > TEXT_MAX {
            return Err(invalid(format!("it has at most {TEXT_MAX} characters")));
        }
        let lower = text.trim().to_ascii_lowercase();
        let fields: Vec<&str> = written_out(&lower).split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(wrong_count(fields.len()));
        };
        let weekdays = set(&WEEKDAY, weekday)?;
        let cron = Self {
            minutes: set(&MINUTE, minute)?,
            hours: set(&HOUR, hour)?,
            days: set(&DAY, day)?,
            months: set(&MONTH, month)?,
            weekdays: (weekdays | (weekdays >> 7)) & 0x7f,
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        match cron.fires_ever() {
            true => Ok(cron),
            false => {
                let words = "it never fires: no such month has such a day";
                Err(Refusal::new("schedule.never-fires", words).field("cron"))
            }
        }
    }

    /// Whether it fires on this day; `weekday` is counted from Sunday, 0.
    #[must_use]
    pub fn fires_on(&self, month: u32, day: u32, weekday: u32) -> bool {
        let by_day = has(self.days, day);
        let by_weekday = has(self.weekdays, weekday);
        let fits = if self.either_day { by_day || by_weekday } else { by_day && by_weekday };
        has(self.months, month) && fits
    }

    /// The hours and minutes at which it fires on a day, in order, from this one on.
    pub fn times_from(&self, hour: u32, minute: u32) -> impl Iterator<Item = (u32, u32)> {
        let Self { hours, minutes, .. } = *self;
        let fitting = (hour..=HOUR.most).filter(move |hour| has(hours, *hour));
        fitting.flat_map(move |at| {
            let first = if at == hour { minute } else { 0 };
            let fitting = (first..=MINUTE.most).filter(move |minute| has(minutes, *minute));
            fitting.map(move |minute| (at, minute))
        })
    }

    fn fires_ever(&self) -> bool {
        let months = (1..).zip(MONTH_DAYS).filter(|(month, _)| has(self.months, *month));
        self.either_day || months.into_iter().any(|(_, last)| (1..=last).any(|d| has(self.days, d)))
    }
}

/// What a short name stands for.
fn written_out(text: &str) -> &str {
    match text {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        other => other,
    }
}

fn wrong_count(found: usize) -> Refusal {
    if found == 6 {
        let words = "six fields would fire within a minute; a schedule fires once a minute at \
                     most, and has five: minute, hour, day of month, month, day of week";
        return Refusal::new("schedule.too-frequent", words).field("cron");
    }
    invalid(format!(
        "it has five fields, minute, hour, day of month, month and day of week, such as \
         `30 2 * * mon-fri`; this has {found}"
    ))
}

fn set(field: &Field, text: &str) -> Result<u64, Refusal> {
    text.split(',').try_fold(0, |set, part| Ok(set | part_of(field, part)?))
}

/// One part of a list: a number, a range, `*`, with or without a step.
fn part_of(field: &Field, text: &str) -> Result<u64, Refusal> {
    let (range, step) = match text.split_once('/') {
        Some((range, step)) => (range, step_of(field, step)?),
        None => (text, 1),
    };
    let (first, last) = match range.split_once('-') {
        _ if range == "*" => (field.least, field.most.min(field.highest())),
        Some((first, last)) => (number(field, first)?, number(field, last)?),
        None if text.contains('/') => (number(field, range)?, field.highest()),
        None => {
            let only = number(field, range)?;
            (only, only)
        }
    };
    if first > last {
        let words = format!("`{}` of the {} goes backwards", shown(range), field.what);
        return Err(invalid(words));
    }
    let mut set = 0;
    let mut at = first;
    while at <= last {
        set |= 1 << at;
        at += step;
    }
    Ok(set)
}

fn step_of(field: &Field, text: &str) -> Result<u32, Refusal> {
    match text.parse::<u32>() {
        Ok(step) if (1..=field.most).contains(&step) && plain(text) => Ok(step),
        _ => Err(invalid(format!("`{}` is no step of the {}", shown(text), field.what))),
    }
}

fn number(field: &Field, text: &str) -> Result<u32, Refusal> {
    if let Some(number) = (field.least..).zip(field.names).find(|(_, name)| **name == text) {
        return Ok(number.0);
    }
    match text.parse::<u32>() {
        Ok(number) if (field.least..=field.most).contains(&number) && plain(text) => Ok(number),
        _ => Err(invalid(format!(
            "`{}` is no {}; that is a number from {} to {}{}",
            shown(text),
            field.what,
            field.least,
            field.most,
            if field.names.is_empty() { "" } else { ", or its English name in three letters" },
        ))),
    }
}

impl Field {
    /// The last number, where none is said twice.
    fn highest(&self) -> u32 {
        if self.most == WEEKDAY.most { 6 } else { self.most }
    }
}

/// Digits alone: a sign would be read, too.
fn plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn shown(text: &str) -> String {
    text.chars().take(32).collect()
}

fn invalid(words: impl Into<String>) -> Refusal {
    Refusal::new("schedule.cron-invalid", words).field("cron")
}

const fn has(set: u64, number: u32) -> bool {
    set & (1 << number) != 0
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::Cron;

    fn refused(text: &str, code: &str, words: &str) {
        let refusal = Cron::parse(text).expect_err(text);
        assert_eq!((refusal.code.as_str(), refusal.field.as_deref()), (code, Some("cron")));
        assert!(refusal.words.contains(words), "{text}: {}", refusal.words);
    }

    #[test]
    fn what_is_no_expression_is_refused_in_words() {
        let invalid = "schedule.cron-invalid";
        refused("", invalid, "this has 0");
        refused("* * * *", invalid, "this has 4");
        refused("* * * * * * *", invalid, "this has 7");
        refused("@reboot", invalid, "this has 1");
        refused("60 * * * *", invalid, "`60` is no minute; that is a number from 0 to 59");
        refused("+5 * * * *", invalid, "`+5` is no minute");
        refused("* 24 * * *", invalid, "`24` is no hour");
        refused("* * 0 * *", invalid, "`0` is no day of month");
        refused("* * L * *", invalid, "`l` is no day of month");
        refused("* * * 13 *", invalid, "or its English name in three letters");
        refused("* * * * 8", invalid, "`8` is no day of week");
        refused("* * * * fri-mon", invalid, "`fri-mon` of the day of week goes backwards");
        refused("*/0 * * * *", invalid, "`0` is no step of the minute");
        refused("1,,2 * * * *", invalid, "`` is no minute");
        refused("* * * * 🦀", invalid, "`🦀` is no day of week");
        refused(&"9".repeat(300), invalid, "at most 256");
    }

    #[test]
    fn what_fires_within_a_minute_or_never_is_refused() {
        refused("0 * * * * *", "schedule.too-frequent", "once a minute at most");
        refused("0 0 31 2 *", "schedule.never-fires", "no such month has such a day");
        refused("0 0 30,31 feb *", "schedule.never-fires", "no such month");
        refused("0 0 31 4,6,9,11 *", "schedule.never-fires", "no such month");
        for fires in ["0 0 29 2 *", "0 0 31 2 mon", "0 0 30,31 2,3 *"] {
            assert!(Cron::parse(fires).is_ok(), "{fires}");
        }
    }

    #[test]
    fn names_ranges_and_steps_are_numbers() {
        let same = [
            ("@daily", "0 0 * * *"),
            ("0 0 * JAN-mar Sun", "0 0 * 1,2,3 7"),
            ("*/20 8-18/5 * * 5-7", "0,20,40 8,13,18 * * 0,5,6"),
            ("50/5 * * * *", "50,55 * * * *"),
        ];
        for (one, other) in same {
            assert_eq!(Cron::parse(one), Cron::parse(other), "{one}");
        }
    }

    #[test]
    fn either_day_is_enough_where_both_are_said() {
        let both = Cron::parse("0 0 13 * fri").expect("it is one");
        assert!(both.fires_on(1, 13, 2) && both.fires_on(1, 14, 5) && !both.fires_on(1, 14, 2));
        let star = Cron::parse("0 0 */2 * fri").expect("it is one");
        assert!(star.fires_on(1, 13, 5) && !star.fires_on(1, 14, 5) && !star.fires_on(1, 13, 2));
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[0-9*/,a-z -]{0,30}|.{0,40}") {
            let _: Option<Cron> = Cron::parse(&text).ok();
        }

        /// Each number of a list alone fits, and no other.
        #[test]
        fn a_list_is_what_it_says(days in proptest::collection::btree_set(1u32..=31, 1..8)) {
            let words: alloc::vec::Vec<String> = days.iter().map(|d| alloc::format!("{d}")).collect();
            let cron = Cron::parse(&alloc::format!("0 0 {} * *", words.join(","))).expect("a list");
            for day in 1..=31 {
                proptest::prop_assert_eq!(cron.fires_on(1, day, 3), days.contains(&day));
            }
        }
    }
}
