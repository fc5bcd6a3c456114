//! How long to wait before asking again.

use core::time::Duration;

use stead_schemas::failure::Class;

/// The longest pause between two attempts at a step.
pub const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The pause between attempts at an undo that a person has to look at.
pub const STUCK_PAUSE: Duration = Duration::from_secs(60);

/// The pause after attempt number `attempt` (counted from 1): doubled each time up to
/// [`PAUSE_MAX`], then spread over its upper half by `chance`, so that many that failed together
/// do not come back together.
#[must_use]
pub fn pause(class: Class, attempt: u32, chance: u64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let full = first_pause(class).saturating_mul(1 << doublings).min(PAUSE_MAX);
    let half = u64::try_from(full.as_micros() / 2).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(half + chance % half)
}

const fn first_pause(class: Class) -> Duration {
    match class {
        Class::VendorDown => Duration::from_millis(200),
        Class::Wait => Duration::from_millis(100),
        Class::Retry
        | Class::Ambiguous
        | Class::Conflict
        | Class::Permanent
        | Class::Auth
        | Class::TimedOut
        | Class::Cancelled
        | Class::Refused => Duration::from_millis(40),
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use stead_schemas::failure::Class;

    use super::{PAUSE_MAX, pause};

    #[test]
    fn pauses_double_up_to_a_limit() {
        assert_eq!(pause(Class::Retry, 1, 0), Duration::from_millis(20));
        assert_eq!(pause(Class::Retry, 3, 0), Duration::from_millis(80));
        assert_eq!(pause(Class::Retry, 1_000_000, 0), PAUSE_MAX / 2);
    }

    #[test]
    fn chance_spreads_over_the_upper_half() {
        for chance in [0, 1, 12_345, u64::MAX] {
            let span = pause(Class::VendorDown, 4, chance);
            assert!((Duration::from_millis(800)..Duration::from_millis(1600)).contains(&span));
        }
    }
}
