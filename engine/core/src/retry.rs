//! How long to wait before asking again.

use core::time::Duration;

use stead_schemas::failure::Class;
use stead_schemas::policy::{StepPolicy, limit};

/// The longest pause between two attempts at a step.
pub const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The pause between attempts at an undo that a person has to look at.
pub const STUCK_PAUSE: Duration = Duration::from_secs(60);

/// The pause after attempt number `attempt` (counted from 1): doubled each time up to
/// [`PAUSE_MAX`] or what the policy says, then spread over its upper half by `chance`, so that
/// many that failed together do not come back together.
#[must_use]
pub fn pause(policy: &StepPolicy, class: Class, attempt: u32, chance: u64) -> Duration {
    let first = limit(policy.first_pause_ms).unwrap_or(first_pause(class));
    let longest = limit(policy.pause_max_ms).unwrap_or(PAUSE_MAX);
    let full = doubled(first, attempt.saturating_sub(1), longest);
    let half = u64::try_from(full.as_micros() / 2).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(half + chance % half)
}

/// A pause that was doubled so many times, up to the longest.
#[must_use]
pub fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(longest)
}

/// Whether the attempts at a step are used up: so many were made, for so long, and the next one
/// would come after `rest`.
#[must_use]
pub fn is_used_up(policy: &StepPolicy, attempts: u32, tried_for: Duration, rest: Duration) -> bool {
    (policy.attempts > 0 && attempts >= policy.attempts) || tried_for + rest > policy.retry_for()
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

    use stead_schemas::policy::StepPolicy;

    use super::{PAUSE_MAX, doubled, is_used_up};

    fn pause(class: Class, attempt: u32, chance: u64) -> Duration {
        super::pause(&StepPolicy::default(), class, attempt, chance)
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        assert_eq!(pause(Class::Retry, 1, 0), Duration::from_millis(20));
        assert_eq!(pause(Class::Retry, 3, 0), Duration::from_millis(80));
        assert_eq!(pause(Class::Retry, 1_000_000, 0), PAUSE_MAX / 2);
    }

    #[test]
    fn no_number_of_doublings_is_too_large() {
        let (minute, day) = (Duration::from_secs(60), Duration::from_secs(24 * 60 * 60));
        let minutes = |times| doubled(minute, times, day).as_secs() / 60;
        assert_eq!([0, 1, 2, 10].map(minutes), [1, 2, 4, 1024]);
        assert_eq!([11, u32::MAX].map(|times| doubled(minute, times, day)), [day, day]);
        assert_eq!(doubled(day, 1, minute), minute);
    }

    #[test]
    fn chance_spreads_over_the_upper_half() {
        for chance in [0, 1, 12_345, u64::MAX] {
            let span = pause(Class::VendorDown, 4, chance);
            assert!((Duration::from_millis(800)..Duration::from_millis(1600)).contains(&span));
        }
    }

    #[test]
    fn a_policy_says_how_long_pauses_are_and_when_attempts_are_used_up() {
        let policy = StepPolicy {
            first_pause_ms: 1000,
            pause_max_ms: 3000,
            attempts: 3,
            retry_for_ms: 60_000,
            ..StepPolicy::default()
        };
        let span = |attempt| super::pause(&policy, Class::Retry, attempt, 0).as_millis();
        assert_eq!((span(1), span(2), span(9)), (500, 1000, 1500));
        let second = Duration::from_secs(1);
        assert!(!is_used_up(&policy, 2, second, second));
        assert!(is_used_up(&policy, 3, second, second));
        assert!(is_used_up(&policy, 1, 59 * second, 2 * second));
    }
}
