//! The table of metrics: each is named here, once. The sentence above each is its help, too.

use stead_schemas::step::sight::KINDS;

use std::sync::OnceLock;

use super::{By, Counter, Gauge, Histogram, Kind, Label, Metric, Values};

/// Spans of an append, in seconds: from memory to a disk in trouble.
const APPENDS: &[f64] = &[
    0.000_5, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0,
];
/// Spans of a call to a vendor, in seconds; the longest is a long poll's.
const CALLS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
/// Spans of a step, in seconds: from a lookup to a large clone.
const STEPS: &[f64] =
    &[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0];
/// Spans of a command, in seconds: from a configuration to a machine that is waited for.
const COMMANDS_TAKE: &[f64] =
    &[0.01, 0.05, 0.25, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 7_200.0];
/// Spans that should be nought, in seconds.
const LATE: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 3_600.0];

const KIND: Label = Label { name: "kind", values: Values::Of("the kinds of entities") };
const VERB: Label = Label {
    name: "verb",
    values: Values::Of("the kind's verbs; `unknown` where somebody asked for another one"),
};
const PHASE: Label = Label { name: "phase", values: Values::Of("the words of the workflows") };
const SYSTEM: Label = Label {
    name: "system",
    values: Values::Of("the systems that there are workers for, and the kinds of entities"),
};
const STEP: Label = Label { name: "step", values: Values::Of("the steps of the system") };
const CONNECTION: Label =
    Label { name: "connection", values: Values::These(&["log", "bus", "leases", "api"]) };
/// Why a run, or a step of it, does not go on, in the order in which somebody should care.
pub const REASONS: [&str; 13] = [
    "log",
    "human",
    "paused",
    "no-worker",
    "retrying",
    "limit",
    "queued",
    "outside",
    "entity",
    "running",
    "signal",
    "timer",
    "command",
];

/// The place of a reason among them.
#[must_use]
pub fn place_of(reason: &str) -> usize {
    REASONS.iter().position(|known| *known == reason).unwrap_or(0)
}

/// What becomes of a command: of one that comes in, and of one that was accepted.
pub(super) const BECOMES: [&str; 4] = ["accepted", "refused", "done", "failed"];
/// What a vendor's answer to a call can mean.
pub(super) const CALL_ENDS: [&str; 13] = [
    "done",
    "missing",
    "already",
    "retry",
    "ambiguous",
    "wait",
    "vendor-down",
    "conflict",
    "permanent",
    "auth",
    "timed-out",
    "cancelled",
    "refused",
];
const VENDOR: Label =
    Label { name: "system", values: Values::Of("the systems that there are workers for") };
const CALL_END: Label = Label { name: "outcome", values: Values::These(&CALL_ENDS) };

const REASON: Label = Label { name: "reason", values: Values::These(&REASONS) };
const ATTEMPT: Label = Label {
    name: "outcome",
    values: Values::These(&[
        "done",
        "retry",
        "ambiguous",
        "wait",
        "vendor-down",
        "conflict",
        "permanent",
        "auth",
        "timed-out",
        "cancelled",
        "refused",
        "silent",
    ]),
};

/// Declares each metric as a constant and as a line of [`METRICS`].
macro_rules! table {
    ($($(#[doc = $help:literal])+ $by:ident $constant:ident: $kind:ident = $name:literal [$($label:expr),*] $($bounds:ident)?;)+) => {
        $($(#[doc = $help])+ pub static $constant: $kind<{ how_many(&[$($label),*]) }> =
            table!(@make $kind, Metric {
                name: $name,
                kind: Kind::$kind$(($bounds))?,
                by: By::$by,
                labels: &[$($label),*],
                help: concat!($($help),+),
            });)+
        /// Every metric there is.
        pub static METRICS: &[Metric] = &[$(Metric {
            name: $name,
            kind: Kind::$kind$(($bounds))?,
            by: By::$by,
            labels: &[$($label),*],
            help: concat!($($help),+),
        }),+];
    };
    (@make Gauge, $metric:expr) => { Gauge { metric: $metric } };
    (@make $kind:ident, $metric:expr) => { $kind { metric: $metric, plain: OnceLock::new() } };
}

const fn how_many(labels: &[Label]) -> usize {
    labels.len()
}

table! {
    /// Is 1; its label says which build shows it.
    Both BUILD_INFO: Gauge = "stead_build_info"
        [Label { name: "version", values: Values::Of("the build that is running") }];

    /// Commands, by what became of them: accepted or refused by the owner of their entity, then
    /// done or failed.
    Engine COMMANDS: Counter = "stead_commands_total" [KIND, VERB,
        Label { name: "outcome", values: Values::These(&BECOMES) }];
    /// How long commands took, from their acceptance in the log to their outcome in the log.
    Engine COMMAND_SECONDS: Histogram = "stead_command_seconds" [KIND, VERB,
        Label { name: "outcome", values: Values::These(&["done", "failed"]) }] COMMANDS_TAKE;
    /// How long it took until a workspace was ready, from the command that made it.
    Engine READY_SECONDS: Histogram = "stead_workspace_ready_seconds"
        [Label { name: "template", values: Values::Of("the site's templates") }] COMMANDS_TAKE;
    /// Commands that were turned away before any owner saw them: unreadable, or of an unknown verb.
    Engine TURNED_AWAY: Counter = "stead_commands_turned_away_total"
        [Label { name: "door", values: Values::These(&["inbox", "api"]) }];
    /// How long commands were in the inbox, from their arrival until they were in the log or
    /// refused.
    Engine INBOX_SECONDS: Histogram = "stead_inbox_seconds" [] COMMANDS_TAKE;
    /// Commands in the inbox that are neither in the log nor refused, as the engine that reads it
    /// sees them.
    Engine INBOX_WAITING: Gauge = "stead_inbox_waiting" [];
    /// For how long the command has been in the inbox that is there longest, as the engine that reads it
    /// sees it; 0 where none is.
    Engine INBOX_OLDEST_SECONDS: Gauge = "stead_inbox_oldest_seconds" [];

    /// Runs that live, by where their workflow says that they stand.
    Engine RUNS: Gauge = "stead_runs" [KIND, PHASE];
    /// Runs that live, by why they do not go on this moment, most important reason first;
    /// `command` waits only for the next command.
    Engine RUNS_WAITING: Gauge = "stead_runs_waiting" [REASON];
    /// How long the run has waited that has waited longest for this reason.
    Engine RUNS_OLDEST_SECONDS: Gauge = "stead_runs_waiting_oldest_seconds" [REASON];
    /// Runs that this build does not continue, since it has no such workflow, or would decide otherwise
    /// than their history says, or cannot read it, or the log does not take it.
    Engine RUNS_PARKED: Gauge = "stead_runs_parked" [];
    /// Runs that were parked.
    Engine PARKED: Counter = "stead_runs_parked_total" [Label {
        name: "why", values: Values::These(&["diverged", "unreadable", "illegal", "panicked", "log",
        "unknown-kind"]) }];
    /// Runs that were paused because the attempts at a step of this system were used up.
    Engine PAUSED: Counter = "stead_runs_paused_total" [SYSTEM];
    /// How many transitions have to be replayed of the run of this kind that needs most of them;
    /// from 4,096 on the run itself says that it should have begun anew.
    Engine HISTORY_LONGEST: Gauge = "stead_history_longest_transitions" [KIND];
    /// What workflows noted in their histories.
    Engine NOTES: Counter = "stead_notes_total"
        [KIND, Label { name: "what", values: Values::Of("the words of the workflows") }];

    /// How long steps took, from their schedule in the log to how they ended, whatever number of
    /// attempts that needed.
    Engine STEP_SECONDS: Histogram = "stead_step_seconds" [SYSTEM, STEP,
        Label { name: "outcome", values: Values::These(&["done", "failed", "cancelled"]) }] STEPS;
    /// Attempts at steps, by how they ended; `silent` is a worker that was not heard of any more.
    Engine ATTEMPTS: Counter = "stead_step_attempts_total" [SYSTEM, STEP, ATTEMPT];
    /// Steps that are open, by why they do not go on this moment.
    Engine STEPS_OPEN: Gauge = "stead_steps_open" [SYSTEM, REASON];
    /// Answers to attempts that nobody waited for any more.
    Engine LATE_ANSWERS: Counter = "stead_late_answers_total" [];
    /// Answers of somebody who was not asked.
    Engine FORGED_ANSWERS: Counter = "stead_forged_answers_total" [];
    /// Places at what the site limits: held by steps that are under way, or waited for.
    Engine PLACES: Gauge = "stead_places" [
        Label { name: "limit", values: Values::Of("the site's limits") },
        Label { name: "state", values: Values::These(&["held", "waiting"]) }];
    /// Spare machines of a pool: those that can be had, and how many there should be.
    Engine POOL_MACHINES: Gauge = "stead_pool_machines" [
        Label { name: "pool", values: Values::Of("the site's pools") },
        Label { name: "state", values: Values::These(&["ready", "wanted"]) }];
    /// How many days the token still lives that ends first; less than none once it has ended, and no
    /// number where this engine knows of none.
    Engine TOKEN_DAYS_LEFT: Gauge = "stead_token_days_left" [];
    /// For how many hours a proved copy has been owed of the backup that is latest with it; less than none
    /// while its time has not come, and no number where this engine knows of no backup.
    Engine BACKUP_OVERDUE_HOURS: Gauge = "stead_backup_overdue_hours" [];
    /// What the last scan for drift found that carries our mark and no run wants, unless it is ignored,
    /// is to go, or went since; 0 before the first scan.
    Engine ORPHANS: Gauge = "stead_orphans" [
        Label { name: "kind", values: Values::These(&KINDS) }];
    /// Undo that is owed: steps that take something back and are not done.
    Engine UNDO_OPEN: Gauge = "stead_undo_open" [];
    /// How long the oldest undo has been owed.
    Engine UNDO_OLDEST_SECONDS: Gauge = "stead_undo_oldest_seconds" [];
    /// How late timers fired.
    Engine TIMER_LATE_SECONDS: Histogram = "stead_timer_late_seconds" [] LATE;

    /// How long appends to the event log took, until their outcome was known.
    Engine APPEND_SECONDS: Histogram = "stead_append_seconds" [] APPENDS;
    /// For how long the oldest append under way has not been acknowledged; 0 where none is.
    Engine APPEND_OLDEST_SECONDS: Gauge = "stead_append_oldest_seconds" [];
    /// Appends that lost because somebody else had written to the same history.
    Engine APPEND_CONFLICTS: Counter = "stead_append_conflicts_total" [];
    /// Appends that went together with others as one batch, because many were waiting.
    Engine APPENDS_TOGETHER: Counter = "stead_appends_together_total" [];
    /// Appends that came to nothing, for whatever reason.
    Engine APPEND_REFUSED: Counter = "stead_append_refused_total" [];
    /// Appends whose acknowledgement was lost, and whose outcome was found by reading back.
    Engine APPEND_SETTLED: Counter = "stead_append_settled_by_reading_total" [];

    /// Partitions that this engine owns.
    Engine PARTITIONS_OWNED: Gauge = "stead_partitions_owned" [];
    /// Partitions that the platform has.
    Engine PARTITIONS: Gauge = "stead_partitions" [];
    /// Partitions that an engine took over.
    Engine OWNER_CHANGES: Counter = "stead_owner_changes_total" [];
    /// Partitions that an engine gave up, by why.
    Engine OWNERS_STOPPED: Counter = "stead_owners_stopped_total" [Label {
        name: "why", values: Values::These(&["asked", "lease-over", "fenced", "deaf", "unacknowledged", "unreadable", "broken"]) }];

    /// Messages in the log of runs that are over and not yet in the archive.
    Engine ARCHIVE_LAG: Gauge = "stead_archive_lag_messages" [];
    /// How many of them there are in the partition of this engine that has most, of as many as make a
    /// new epoch of its log due (`engine.archive_after`; a million where that is left to people). From
    /// 1 on they are on their way into the archive; at 2 that does not keep up.
    Engine ARCHIVE_LAG_RATIO: Gauge = "stead_archive_lag_ratio" [];
    /// Runs that went into the archive.
    Engine ARCHIVED: Counter = "stead_archived_runs_total" [];
    /// Epochs of the log that began.
    Engine EPOCHS_TURNED: Counter = "stead_epochs_turned_total" [];
    /// Epochs of the log that were to begin, and did not.
    Engine EPOCHS_NOT_TURNED: Counter = "stead_epochs_not_turned_total" [];

    /// Connections to the NATS server that are lost at present.
    Both NATS_LOST: Gauge = "stead_nats_connections_lost" [CONNECTION];
    /// Connections to the NATS server that were made.
    Both NATS_CONNECTS: Counter = "stead_nats_connects_total" [CONNECTION];
    /// Connections to the NATS server that were lost.
    Both NATS_DISCONNECTS: Counter = "stead_nats_disconnects_total" [CONNECTION];
    /// Times that messages came faster than they were read, and some were dropped.
    Both NATS_SLOW: Counter = "stead_nats_slow_consumer_total" [];
    /// Messages that could not be sent; whatever matters is sent again.
    Both BUS_DROPPED: Counter = "stead_bus_dropped_total" [];
    /// Messages that could not be read.
    Both UNREADABLE: Counter = "stead_inbound_unreadable_total" [];
    /// Spans of traces, by what became of them; where the collector is away or too slow they are
    /// dropped, since nothing waits for it.
    Both SPANS: Counter = "stead_spans_total" [Label {
        name: "outcome", values: Values::These(&["exported", "dropped", "refused"]) }];

    /// How long workers had a step, until they answered; waiting for a place among others is
    /// counted.
    Worker WORK_SECONDS: Histogram = "stead_worker_step_seconds" [SYSTEM, STEP, ATTEMPT] STEPS;
    /// Steps that workers have, carried out now or queued.
    Worker WORK_OPEN: Gauge = "stead_worker_steps_open" [SYSTEM,
        Label { name: "state", values: Values::These(&["queued", "running"]) }];
    /// Requests that were refused because another owner had followed the one that sent them.
    Worker STALE: Counter = "stead_stale_requests_total" [];
    /// Calls to vendors, by what their answer meant: `done`, `missing` and `already` are what a step may
    /// have wanted, the others are kinds of trouble.
    Worker VENDOR_CALLS: Counter = "stead_vendor_calls_total" [VENDOR, CALL_END];
    /// How long calls to vendors took, by what their answer meant.
    Worker VENDOR_SECONDS: Histogram = "stead_vendor_call_seconds" [VENDOR,
        Label { name: "operation", values: Values::These(&["look", "change", "login"]) },
        CALL_END] CALLS;
    /// Is 1 while the last call to a vendor found nobody there, and 0 once one is answered again. There
    /// is no breaker: every step tries by itself, less and less often.
    Worker VENDOR_DOWN: Gauge = "stead_vendor_down" [VENDOR];
}
