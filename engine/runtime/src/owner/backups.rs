//! Since when a proved copy is owed: an alarm must ring before somebody needs one. What a backup shows
//! of itself says it.

use stead_schemas::command::backup::{BackupView, KIND};
use stead_schemas::time::Timestamp;

use super::live::Live;

/// An hour, in seconds.
const HOUR: f64 = 3_600.0;

/// Since when this run owes a copy, or from when on it will, if it is a backup.
pub(super) fn owed(live: &Live) -> Option<Timestamp> {
    if live.run.id().key().kind() != KIND {
        return None;
    }
    let view: BackupView = serde_json::from_value(live.run.view()?.clone()).ok()?;
    view.owed
}

/// For how many hours it has been; less than none while its time has not come.
pub(super) fn hours_since(now: Timestamp, owed: Timestamp) -> f64 {
    (now.since(owed).as_secs_f64() - owed.since(now).as_secs_f64()) / HOUR
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stead_schemas::time::Timestamp;

    use super::hours_since;

    #[test]
    fn what_is_not_owed_yet_is_overdue_for_less_than_no_hours() {
        let owed = Timestamp::from_millis(1_000_000);
        let later = owed.after(Duration::from_secs(90 * 60));
        assert!((hours_since(later, owed) - 1.5).abs() < 1e-9);
        assert!((hours_since(owed, later) + 1.5).abs() < 1e-9);
    }
}
