//! The promises of the event log.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use stead_schemas::ids::{EntityKey, Partition, RunId};
use stead_schemas::owner::Owner;
use uuid::Uuid;

use crate::ports::{Append, AppendError, EventLog, Recorded};

/// The means of a test to lose acknowledgements on the way.
#[async_trait]
pub trait LosesAcknowledgements: Send + Sync {
    /// The next message that the log keeps is acknowledged to nobody.
    async fn lose_next(&self);
}

/// Checks every promise of an event log that has `partitions` partitions.
pub async fn check_log(log: &dyn EventLog, partitions: u16, loses: &dyn LosesAcknowledgements) {
    an_append_with_a_stale_expectation_is_refused(log, partitions).await;
    an_append_whose_acknowledgement_is_lost_is_settled_by_reading_back(log, partitions, loses)
        .await;
    a_lost_acknowledgement_does_not_hide_a_conflict(log, partitions, loses).await;
    a_history_is_read_in_the_order_it_was_appended(log, partitions).await;
    a_partition_is_read_without_claims(log, partitions).await;
    a_partition_is_read_on_from_any_message(log, partitions).await;
    a_run_without_history_is_empty(log, partitions).await;
    of_many_writers_one_wins(log, partitions).await;
    what_is_too_large_is_refused_for_good(log, partitions).await;
    of_very_many_at_once_each_is_told_the_truth(log, partitions, loses).await;
    a_claim_is_larger_than_every_one_before(log).await;
    the_last_message_of_a_partition_is_known(log, partitions).await;
}

/// A run that nobody else uses.
#[must_use]
pub fn fresh_run() -> RunId {
    let owner = Owner::new("conformance").expect("a good owner");
    EntityKey::of("probe", &owner, &Uuid::new_v4().to_string()).run(1)
}

/// A run that nobody else uses and that lives in `partition`.
///
/// # Panics
/// Where there is no such partition.
#[must_use]
pub fn fresh_run_in(partition: Partition, partitions: u16) -> RunId {
    assert!(partition.0 < partitions, "{partition} is not one of {partitions}");
    std::iter::repeat_with(fresh_run)
        .find(|run| run.partition(partitions) == partition)
        .expect("one")
}

/// An append of `text` after `expected`.
#[must_use]
pub fn append_of(run: &RunId, partitions: u16, expected: u64, text: &str) -> Append {
    Append {
        partition: run.partition(partitions),
        epoch: 0,
        run: run.clone(),
        expected,
        commit: Uuid::new_v4().to_string(),
        bytes: text.as_bytes().to_vec(),
    }
}

impl Append {
    /// The same in an epoch of the log.
    #[must_use]
    pub fn in_epoch(self, epoch: u32) -> Self {
        Self { epoch, ..self }
    }
}

/// The bytes of a run's history as text.
pub async fn texts(log: &dyn EventLog, run: &RunId) -> Vec<String> {
    let history = log.read_run(run).await.expect("the log can be read");
    history.iter().map(text).collect()
}

fn text(recorded: &Recorded) -> String {
    String::from_utf8_lossy(&recorded.bytes).into_owned()
}

/// Who read an old history writes nothing.
pub async fn an_append_with_a_stale_expectation_is_refused(log: &dyn EventLog, partitions: u16) {
    let run = fresh_run();
    let first = log.append(append_of(&run, partitions, 0, "a")).await.expect("a new history");
    let second = log.append(append_of(&run, partitions, first, "b")).await.expect("it goes on");
    assert!(second > first);
    for stale in [0, first, second + 1] {
        let refused = log.append(append_of(&run, partitions, stale, "c")).await;
        assert_eq!(refused, Err(AppendError::Conflict), "expected {stale}, it is {second}");
    }
    assert_eq!(texts(log, &run).await, ["a", "b"]);
}

/// The writer learns the truth, and the message is there once.
pub async fn an_append_whose_acknowledgement_is_lost_is_settled_by_reading_back(
    log: &dyn EventLog,
    partitions: u16,
    loses: &dyn LosesAcknowledgements,
) {
    let run = fresh_run();
    let mut last = 0;
    for word in ["a", "b"] {
        loses.lose_next().await;
        let seq = log.append(append_of(&run, partitions, last, word)).await.expect("it was kept");
        assert!(seq > last);
        last = seq;
    }
    let third = log.append(append_of(&run, partitions, last, "c")).await.expect("it goes on");
    assert!(third > last);
    assert_eq!(texts(log, &run).await, ["a", "b", "c"]);
}

/// Reading back tells our own message from another's.
pub async fn a_lost_acknowledgement_does_not_hide_a_conflict(
    log: &dyn EventLog,
    partitions: u16,
    loses: &dyn LosesAcknowledgements,
) {
    let run = fresh_run();
    let first = log.append(append_of(&run, partitions, 0, "theirs")).await.expect("a new history");
    loses.lose_next().await;
    let refused = log.append(append_of(&run, partitions, 0, "ours")).await;
    assert_eq!(refused, Err(AppendError::Conflict));
    // The loss may still be to come where nothing was kept; this one takes it.
    log.append(append_of(&run, partitions, first, "more")).await.expect("it goes on");
    assert_eq!(texts(log, &run).await, ["theirs", "more"]);
}

/// Neither order nor bytes change on the way.
pub async fn a_history_is_read_in_the_order_it_was_appended(log: &dyn EventLog, partitions: u16) {
    let run = fresh_run();
    let words: Vec<String> = (0..40).map(|n| format!("{n} ä\u{0}\n")).collect();
    let mut last = 0;
    let mut seqs = Vec::new();
    for word in &words {
        last = log.append(append_of(&run, partitions, last, word)).await.expect("it goes on");
        seqs.push(last);
    }
    let history = log.read_run(&run).await.expect("the log can be read");
    assert_eq!(history.iter().map(text).collect::<Vec<_>>(), words);
    assert_eq!(history.iter().map(|recorded| recorded.seq).collect::<Vec<_>>(), seqs);
    let whole = read_partition(log, run.partition(partitions), 0).await;
    let ours: Vec<Recorded> = whole.into_iter().filter(|recorded| recorded.run == run).collect();
    assert_eq!(ours, history);
}

/// A partition holds the transitions of all its runs, oldest first, and nothing else.
pub async fn a_partition_is_read_without_claims(log: &dyn EventLog, partitions: u16) {
    let run = fresh_run();
    let partition = run.partition(partitions);
    log.claim(partition, "engine-a").await.expect("a claim");
    let seq = log.append(append_of(&run, partitions, 0, "a")).await.expect("a new history");
    log.claim(partition, "engine-b").await.expect("a claim");
    let whole = read_partition(log, partition, 0).await;
    assert!(whole.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    let last = whole.last().expect("at least one message");
    assert_eq!((last.seq, &last.run), (seq, &run));
}

/// Whoever has read so far reads what came behind that, and nothing twice.
pub async fn a_partition_is_read_on_from_any_message(log: &dyn EventLog, partitions: u16) {
    let one = fresh_run();
    let partition = one.partition(partitions);
    let other = fresh_run_in(partition, partitions);
    let (mut lasts, mut seqs) = ([0, 0], Vec::new());
    for n in 0..6 {
        let (run, last) = ([&one, &other][n % 2], &mut lasts[n % 2]);
        let append = append_of(run, partitions, *last, &n.to_string());
        *last = log.append(append).await.expect("it goes on");
        seqs.push(*last);
        log.claim(partition, "engine-a").await.expect("a claim");
    }
    for after in seqs.iter().flat_map(|seq| [seq - 1, *seq, seq + 1]) {
        let rest = read_partition_after(log, partition, 0, after).await;
        let rest = rest.iter().filter(|recorded| [&one, &other].contains(&&recorded.run));
        let rest: Vec<u64> = rest.map(|recorded| recorded.seq).collect();
        let wanted: Vec<u64> = seqs.iter().copied().filter(|seq| *seq > after).collect();
        assert_eq!(rest, wanted, "behind {after}");
    }
}

/// It is no conflict, and nobody tries it again; the history goes on without it.
pub async fn what_is_too_large_is_refused_for_good(log: &dyn EventLog, partitions: u16) {
    let run = fresh_run();
    let first = log.append(append_of(&run, partitions, 0, "a")).await.expect("a new history");
    let refused = log.append(append_of(&run, partitions, first, &"x".repeat(2 << 20))).await;
    assert!(matches!(refused, Err(AppendError::Lasting(_))), "{refused:?}");
    log.append(append_of(&run, partitions, first, "b")).await.expect("it goes on");
    assert_eq!(texts(log, &run).await, ["a", "b"]);
}

/// Asking for what is not there is no error.
pub async fn a_run_without_history_is_empty(log: &dyn EventLog, partitions: u16) {
    let run = fresh_run();
    assert_eq!(texts(log, &run).await, Vec::<String>::new());
    let first = log.append(append_of(&run, partitions, 5, "a")).await;
    assert_eq!(first, Err(AppendError::Conflict));
}

/// Two engines that believe they own the same run.
pub async fn of_many_writers_one_wins(log: &dyn EventLog, partitions: u16) {
    let run = fresh_run();
    let mut last = 0;
    for round in 0..5 {
        let names: Vec<String> = (0..8).map(|writer| format!("{round}/{writer}")).collect();
        let writers = names.iter().map(|name| log.append(append_of(&run, partitions, last, name)));
        let outcomes = join_all(writers).await;
        let won: Vec<u64> = outcomes.iter().filter_map(|outcome| outcome.clone().ok()).collect();
        assert_eq!(won.len(), 1, "{outcomes:?}");
        last = won[0];
    }
    assert_eq!(texts(log, &run).await.len(), 5);
}

/// A log that lets many appends go together tells each what became of itself: the stale ones are
/// refused and the others kept, also where an acknowledgement for all of them is lost.
pub async fn of_very_many_at_once_each_is_told_the_truth(
    log: &dyn EventLog,
    partitions: u16,
    loses: &dyn LosesAcknowledgements,
) {
    let partition = fresh_run().partition(partitions);
    let of_one = || fresh_run_in(partition, partitions);
    for (stale, lost) in [(0, false), (3, false), (0, true), (3, true)] {
        let runs: Vec<RunId> = std::iter::repeat_with(of_one).take(1_000).collect();
        let others = runs[..stale].iter().map(|run| log.append(append_of(run, partitions, 0, "b")));
        assert!(join_all(others).await.iter().all(Result::is_ok));
        if lost {
            loses.lose_next().await;
        }
        let ours = runs.iter().map(|run| log.append(append_of(run, partitions, 0, "a")));
        let outcomes = join_all(ours).await;
        let (refused, kept) = outcomes.split_at(stale);
        assert!(refused.iter().all(|it| *it == Err(AppendError::Conflict)), "{refused:?}");
        assert!(kept.iter().all(Result::is_ok), "{kept:?}");
        let whole = read_partition(log, partition, 0).await;
        let mut there: Vec<(&RunId, u64)> =
            whole.iter().filter(|it| runs.contains(&it.run)).map(|it| (&it.run, it.seq)).collect();
        there.retain(|(run, _)| !runs[..stale].contains(run));
        let mut told: Vec<(&RunId, u64)> =
            runs[stale..].iter().zip(kept.iter().flatten().copied()).collect();
        for list in [&mut there, &mut told] {
            list.sort_unstable_by_key(|(_, seq)| *seq);
        }
        assert_eq!(there, told);
    }
}

/// The number of a claim can be compared.
pub async fn a_claim_is_larger_than_every_one_before(log: &dyn EventLog) {
    let partition = Partition(0);
    let mut last = 0;
    for engine in ["engine-a", "engine-b", "engine-a"] {
        let claim = log.claim(partition, engine).await.expect("a claim");
        assert!(claim.seq > last);
        last = claim.seq;
    }
}

/// Who counts messages learns of those that others have written.
pub async fn the_last_message_of_a_partition_is_known(log: &dyn EventLog, partitions: u16) {
    let run = fresh_run();
    let partition = run.partition(partitions);
    let claim = log.claim(partition, "engine-a").await.expect("a claim");
    let last = log.last(partition, claim.epoch).await.expect("the log can be read");
    assert!(last >= claim.seq);
    let seq = log.append(append_of(&run, partitions, 0, "a")).await.expect("a new history");
    let last = log.last(partition, claim.epoch).await.expect("the log can be read");
    assert!(last >= seq);
}

/// All of an epoch of a partition.
pub async fn read_partition(log: &dyn EventLog, partition: Partition, epoch: u32) -> Vec<Recorded> {
    read_partition_after(log, partition, epoch, 0).await
}

async fn read_partition_after(
    log: &dyn EventLog,
    partition: Partition,
    epoch: u32,
    after: u64,
) -> Vec<Recorded> {
    let stream = log.read_partition(partition, epoch, after).await.expect("the log can be read");
    stream.try_collect().await.expect("the log can be read to its end")
}
