//! When tokens end: an alarm must ring long before that. What a token shows of itself says it.

use stead_schemas::command::token::{KIND, TokenView};
use stead_schemas::time::Timestamp;

use super::live::Live;

/// A day, in seconds.
const DAY: f64 = 86_400.0;

/// When the token ends that this run keeps, if it keeps one.
pub(super) fn end(live: &Live) -> Option<Timestamp> {
    if live.run.id().key().kind() != KIND {
        return None;
    }
    let view: TokenView = serde_json::from_value(live.run.view()?.clone()).ok()?;
    view.expires_at
}

/// How many days there are until then; less than none once it has passed.
pub(super) fn days_between(now: Timestamp, end: Timestamp) -> f64 {
    (end.since(now).as_secs_f64() - now.since(end).as_secs_f64()) / DAY
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stead_schemas::time::Timestamp;

    use super::days_between;

    #[test]
    fn what_has_ended_has_less_than_no_days_left() {
        let now = Timestamp::from_millis(1_000_000);
        let later = now.after(Duration::from_secs(36 * 3600));
        assert!((days_between(now, later) - 1.5).abs() < 1e-9);
        assert!((days_between(later, now) + 1.5).abs() < 1e-9);
    }
}
