//! Which moment of a history is meant: a transition's number, or a time.

use std::time::Duration;

use chrono::{DateTime, NaiveTime};
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;

/// The transition that `text` means: its number; or the last one by a time, which is written as
/// `2026-03-01T14:02:00Z`, as `14:02` (UTC, of the latest day on which the history has it) or as
/// `-5m` (before the history's last transition).
///
/// # Errors
/// In words, if it means none.
pub fn transition(history: &[Transition], text: &str) -> Result<u64, String> {
    let (Some(first), Some(last)) = (history.first(), history.last()) else {
        return Err("there is no transition in it".to_owned());
    };
    if let Ok(n) = text.parse::<u64>() {
        return match n {
            1.. if n <= last.n => Ok(n),
            _ => Err(format!("there is no transition {n}; there are 1 to {}", last.n)),
        };
    }
    let at = time(text, last.at).ok_or_else(|| {
        format!(
            "`{text}` is no moment of a history; write a transition's number (1 to {}), a time \
             such as 2026-03-01T14:02:00Z or 14:02, or -5m for as long before its end",
            last.n
        )
    })?;
    let before = history.iter().take_while(|transition| transition.at <= at).last();
    before
        .map(|transition| transition.n)
        .ok_or_else(|| format!("at {at} the run had not begun; it did at {}", first.at))
}

fn time(text: &str, last: Timestamp) -> Option<Timestamp> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(Timestamp::from_millis(at.timestamp_millis()));
    }
    if let Some(ago) = text.strip_prefix('-').and_then(duration) {
        return Some(Timestamp::from_millis(
            last.as_millis() - i64::try_from(ago.as_millis()).ok()?,
        ));
    }
    let parsed = ["%H:%M:%S", "%H:%M"]
        .iter()
        .find_map(|shape| NaiveTime::parse_from_str(text, shape).ok())?;
    let day = DateTime::from_timestamp_millis(last.as_millis())?.date_naive();
    let today = Timestamp::from_millis(day.and_time(parsed).and_utc().timestamp_millis());
    // A minute names its end: what happened within it is meant, too.
    let end = if text.matches(':').count() == 1 { 59_999 } else { 999 };
    let began = today.as_millis() <= last.as_millis();
    let at = if began { today.as_millis() } else { today.as_millis() - 86_400_000 };
    Some(Timestamp::from_millis(at + end))
}

/// `5m`, `90s`, `2h`, `1d`.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).filter(|seconds| *seconds < 1 << 40).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use stead_schemas::ids::EntityKey;
    use stead_schemas::owner::Owner;
    use stead_schemas::time::Timestamp;
    use stead_schemas::transition::{Transition, VERSION};

    use super::transition;

    /// Four transitions, at 2027-01-15 23:58:00, 23:59:30, 00:00:10 and 00:05:10.
    fn check(text: &str, expected: Result<u64, &str>) {
        let run = EntityKey::of("probe", &Owner::new("john").expect("a name"), "p").run(1);
        let seconds = [0, 90, 130, 430];
        let history: Vec<Transition> = (1..)
            .zip(seconds)
            .map(|(n, after)| Transition {
                v: VERSION,
                run: run.clone(),
                n,
                at: Timestamp::from_millis(1_800_057_480_000 + after * 1_000),
                engine: String::new(),
                prev: String::new(),
                events: Vec::new(),
            })
            .collect();
        match (transition(&history, text), expected) {
            (Err(words), Err(part)) => assert!(words.contains(part), "{words}"),
            (found, expected) => assert_eq!(found.ok(), expected.ok(), "{text}"),
        }
    }

    #[test]
    fn a_moment_is_a_number_or_a_time() {
        check("3", Ok(3));
        check("0", Err("there are 1 to 4"));
        check("5", Err("there are 1 to 4"));
        check("2027-01-15T23:59:30Z", Ok(2));
        check("2027-01-15T20:00:00Z", Err("had not begun"));
        check("00:01", Ok(3));
        check("23:59", Ok(2));
        check("23:58:00", Ok(1));
        check("-5m", Ok(3));
        check("-301s", Ok(2));
        check("-1d", Err("had not begun"));
        check("yesterday", Err("no moment"));
    }
}
