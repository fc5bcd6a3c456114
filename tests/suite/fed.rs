//! Whether every metric is fed: one that nobody moves is nought for ever, and looks as if all were well.

use std::path::Path;

use stead_runtime::metric::METRICS;

use crate::metrics::samples_of;

/// Metrics that the life of a workspace need not move, each with the test that sees it move.
const ELSEWHERE: &[(&str, &str)] = &[
    ("stead_append_conflicts_total", "engine/nats/tests/counted.rs"),
    ("stead_append_oldest_seconds", "engine/runtime/tests/suite/measured.rs"),
    ("stead_append_refused_total", "engine/runtime/tests/counters.rs"),
    ("stead_append_settled_by_reading_total", "engine/nats/tests/counted.rs"),
    ("stead_appends_together_total", "engine/nats/tests/counted.rs"),
    ("stead_archive_lag_messages", "engine/runtime/tests/counters.rs"),
    ("stead_archive_lag_ratio", "engine/runtime/tests/counters.rs"),
    ("stead_archived_runs_total", "engine/runtime/tests/counters.rs"),
    ("stead_backup_overdue_hours", "tests/suite/backups.rs"),
    ("stead_bus_dropped_total", "engine/nats/src/outbox.rs"),
    ("stead_epochs_not_turned_total", "engine/runtime/tests/counters.rs"),
    ("stead_epochs_turned_total", "engine/runtime/tests/counters.rs"),
    ("stead_forged_answers_total", "engine/runtime/tests/counters.rs"),
    ("stead_inbound_unreadable_total", "engine/nats/tests/counted.rs"),
    ("stead_inbox_oldest_seconds", "engine/nats/tests/counted.rs"),
    ("stead_inbox_seconds", "engine/nats/tests/counted.rs"),
    ("stead_inbox_waiting", "engine/nats/tests/counted.rs"),
    ("stead_late_answers_total", "engine/runtime/tests/counters.rs"),
    ("stead_nats_connections_lost", "tests/suite/metrics.rs"),
    ("stead_nats_disconnects_total", "engine/nats/tests/counted.rs"),
    ("stead_nats_slow_consumer_total", "engine/nats/src/connect.rs"),
    ("stead_orphans", "tests/suite/drift.rs"),
    ("stead_owners_stopped_total", "engine/runtime/tests/suite/shares.rs"),
    ("stead_places", "engine/runtime/tests/suite/counted.rs"),
    ("stead_pool_machines", "engine/runtime/tests/suite/counted.rs"),
    ("stead_runs_parked", "engine/runtime/tests/suite/measured.rs"),
    ("stead_runs_parked_total", "engine/runtime/tests/suite/measured.rs"),
    ("stead_runs_paused_total", "engine/runtime/tests/suite/measured.rs"),
    ("stead_runs_waiting_oldest_seconds", "engine/runtime/tests/suite/counted.rs"),
    ("stead_spans_total", "tests/suite/traces.rs"),
    ("stead_stale_requests_total", "engine/runtime/tests/counters.rs"),
    ("stead_steps_open", "engine/runtime/tests/suite/counted.rs"),
    ("stead_timer_late_seconds", "engine/runtime/tests/counters.rs"),
    ("stead_token_days_left", "tests/suite/tokens.rs"),
    ("stead_undo_oldest_seconds", "engine/runtime/tests/suite/measured.rs"),
    ("stead_undo_open", "engine/runtime/tests/suite/measured.rs"),
    ("stead_vendor_down", "tests/suite/metrics.rs"),
    ("stead_worker_steps_open", "engine/runtime/tests/suite/harness.rs"),
];

/// Checks that on one of these pages each metric is something else than nought, but for those that
/// another test sees.
pub fn check(pages: &[&str]) {
    let elsewhere = |name: &str| ELSEWHERE.iter().any(|(known, _)| *known == name);
    for metric in METRICS.iter().filter(|metric| !elsewhere(metric.name)) {
        let moved = pages.iter().flat_map(|page| samples_of(page, metric)).any(|value| value > 0.0);
        assert!(moved, "nobody moves {}, and no other test sees it move", metric.name);
    }
}

#[test]
fn the_tests_that_see_other_metrics_move_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    assert!(ELSEWHERE.is_sorted());
    for (name, test) in ELSEWHERE {
        assert!(METRICS.iter().any(|metric| metric.name == *name), "there is no {name}");
        let text = std::fs::read_to_string(root.join(test)).expect("the test is there");
        let quoted = [format!("\"{name}\""), format!("\"{name}{{"), format!("\"{name} ")];
        assert!(quoted.iter().any(|name| text.contains(name)), "{test} does not look at {name}");
    }
}
