//! The promises of the log's epochs and of the archive.

use stead_schemas::ids::Partition;

use super::log::{append_of, fresh_run, read_partition, texts};
use crate::ports::{AppendError, Archive, Claim, Closing, Epochs, EventLog, Lasts, Recorded};

/// Checks every promise of the epochs of a log that has `partitions` partitions.
pub async fn check_epochs(log: &dyn EventLog, epochs: &dyn Epochs, partitions: u16) {
    a_new_epoch_has_one_writer_and_later_sequences(log, epochs).await;
    an_epoch_is_closed_only_where_its_end_is_known(log, epochs, partitions).await;
    what_follows_a_closed_epoch_is_in_force(log, epochs, partitions).await;
    what_comes_after_the_close_is_void(log, epochs, partitions).await;
    only_older_epochs_are_retired(log, epochs, partitions).await;
}

/// Checks every promise of an archive.
pub async fn check_archive(archive: &dyn Archive) {
    a_part_is_read_as_it_was_put(archive).await;
    a_record_is_written_only_behind_the_last_one(archive).await;
}

fn closing(claim: &Claim, partition: Partition, last: u64, to: u32) -> Closing {
    Closing { partition, epoch: claim.epoch, last, to, engine: "engine-a".into() }
}

/// Two who begin one at the same time get two; neither is in the other's way.
pub async fn a_new_epoch_has_one_writer_and_later_sequences(
    log: &dyn EventLog,
    epochs: &dyn Epochs,
) {
    let partition = Partition(0);
    let claim = log.claim(partition, "engine-a").await.expect("a claim");
    let one = epochs.open(partition, claim.epoch, "engine-a").await.expect("an epoch");
    let other = epochs.open(partition, claim.epoch, "engine-b").await.expect("an epoch");
    assert_ne!(one.epoch, other.epoch);
    assert!(one.epoch > claim.epoch && other.epoch > claim.epoch);
    assert!(one.seq > claim.seq + 100 && other.seq > claim.seq + 100);
    let again = log.claim(partition, "engine-a").await.expect("a claim");
    assert_eq!(again.epoch, claim.epoch, "nothing is in force before the old epoch is closed");
}

/// Whoever has overlooked a message closes nothing.
pub async fn an_epoch_is_closed_only_where_its_end_is_known(
    log: &dyn EventLog,
    epochs: &dyn Epochs,
    partitions: u16,
) {
    let run = fresh_run();
    let partition = run.partition(partitions);
    let claim = log.claim(partition, "engine-a").await.expect("a claim");
    let to = epochs.open(partition, claim.epoch, "engine-a").await.expect("an epoch").epoch;
    let append = append_of(&run, partitions, 0, "a").in_epoch(claim.epoch);
    let seq = log.append(append).await.expect("a new history");
    for wrong in [claim.seq, seq - 1, seq + 1] {
        if wrong != seq {
            let refused = epochs.close(closing(&claim, partition, wrong, to)).await;
            assert_eq!(refused, Err(AppendError::Conflict), "{wrong} is not the last, {seq} is");
        }
    }
    let later = log.claim(partition, "engine-b").await.expect("a claim");
    let refused = epochs.close(closing(&claim, partition, seq, to)).await;
    assert_eq!(refused, Err(AppendError::Conflict), "another engine has taken over");
    assert_eq!(later.epoch, claim.epoch);
    assert_eq!(texts(log, &run).await, ["a"]);
}

/// Copies are read where they are, byte by byte, and histories go on behind them.
pub async fn what_follows_a_closed_epoch_is_in_force(
    log: &dyn EventLog,
    epochs: &dyn Epochs,
    partitions: u16,
) {
    let run = fresh_run();
    let partition = run.partition(partitions);
    let claim = log.claim(partition, "engine-a").await.expect("a claim");
    let (mut last, mut original) = (0, Vec::new());
    for n in 0..1_200 {
        let bytes = format!("{n} ä\u{0}\n");
        let append = append_of(&run, partitions, last, &bytes).in_epoch(claim.epoch);
        last = log.append(append).await.expect("it goes on");
        original.push(Recorded { seq: last, run: run.clone(), bytes: bytes.into_bytes() });
    }
    let opened = epochs.open(partition, claim.epoch, "engine-a").await.expect("an epoch");
    let mut end = opened.seq;
    for some in original.chunks(500) {
        epochs.copy(partition, opened.epoch, end, some).await.expect("it is copied");
        end += some.len() as u64;
    }
    assert_eq!(log.last(partition, opened.epoch).await, Ok(end));
    epochs.close(closing(&claim, partition, last, opened.epoch)).await.expect("it is closed");
    let copies = read_partition(log, partition, opened.epoch).await;
    assert_eq!(log.read_run(&run).await.as_ref(), Ok(&copies));
    assert!(copies.iter().map(|copy| copy.seq).eq(opened.seq + 1..=end));
    assert!(copies.iter().zip(&original).all(|(copy, first)| copy.bytes == first.bytes));
    let after = log.claim(partition, "engine-b").await.expect("a claim");
    assert_eq!(after.epoch, opened.epoch);
    assert!(after.seq > end);
    let append = append_of(&run, partitions, end, "goes on").in_epoch(after.epoch);
    log.append(append).await.expect("it goes on");
    assert_eq!(log.read_run(&run).await.map(|all| all.len()), Ok(1_201));
}

/// A former owner that has slept hears either that it may not write, or a sequence behind the
/// end: nobody reads what it wrote.
pub async fn what_comes_after_the_close_is_void(
    log: &dyn EventLog,
    epochs: &dyn Epochs,
    partitions: u16,
) {
    let run = fresh_run();
    let partition = run.partition(partitions);
    let claim = log.claim(partition, "engine-a").await.expect("a claim");
    let opened = epochs.open(partition, claim.epoch, "engine-a").await.expect("an epoch");
    epochs.close(closing(&claim, partition, claim.seq, opened.epoch)).await.expect("closed");
    let late = append_of(&run, partitions, 0, "late").in_epoch(claim.epoch);
    if let Ok(seq) = log.append(late).await {
        assert!(seq > claim.seq + 1, "it has overtaken the end");
    }
    let again = epochs.close(closing(&claim, partition, claim.seq, opened.epoch)).await;
    assert_eq!(again, Err(AppendError::Conflict), "an epoch is closed once");
    assert_eq!(texts(log, &run).await, Vec::<String>::new());
    assert!(read_partition(log, partition, opened.epoch).await.is_empty());
    let closed = log.read_partition(partition, claim.epoch, 0).await;
    let closed = match closed {
        Ok(messages) => {
            let messages: Vec<_> = futures_util::StreamExt::collect(messages).await;
            messages.into_iter().collect::<Result<Vec<_>, _>>()
        }
        Err(error) => Err(error),
    };
    assert!(closed.is_err(), "who reads a closed epoch must be told");
}

/// The one in force stays, and so does one that may come into force.
pub async fn only_older_epochs_are_retired(
    log: &dyn EventLog,
    epochs: &dyn Epochs,
    partitions: u16,
) {
    let run = fresh_run();
    let partition = run.partition(partitions);
    let claim = log.claim(partition, "engine-a").await.expect("a claim");
    let append = append_of(&run, partitions, 0, "a").in_epoch(claim.epoch);
    let seq = log.append(append).await.expect("a new history");
    let opened = epochs.open(partition, claim.epoch, "engine-a").await.expect("an epoch");
    let copy = [Recorded { seq, run: run.clone(), bytes: b"a".to_vec() }];
    epochs.copy(partition, opened.epoch, opened.seq, &copy).await.expect("it is copied");
    epochs.retire(partition).await.expect("there is nothing to be deleted");
    assert_eq!(texts(log, &run).await, ["a"]);
    epochs.close(closing(&claim, partition, seq, opened.epoch)).await.expect("it is closed");
    epochs.retire(partition).await.expect("the old one is deleted");
    epochs.retire(partition).await.expect("once more does no harm");
    assert_eq!(texts(log, &run).await, ["a"]);
    let after = log.claim(partition, "engine-a").await.expect("a claim");
    assert_eq!(after.epoch, opened.epoch);
}

/// To the byte.
pub async fn a_part_is_read_as_it_was_put(archive: &dyn Archive) {
    let partition = Partition(0);
    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(500_000).collect();
    let one =
        archive.put(partition, bytes.clone(), Lasts::UntilItExpires).await.expect("it is kept");
    let other = archive.put(partition, vec![0], Lasts::ForEver).await.expect("it is kept");
    assert_eq!(archive.get(partition, one).await, Ok(bytes));
    assert_eq!(archive.get(partition, other).await, Ok(vec![0]));
    assert!(archive.get(partition, other + 1_000).await.is_err());
}

/// Two who write at once do not both.
pub async fn a_record_is_written_only_behind_the_last_one(archive: &dyn Archive) {
    let (partition, other) = (Partition(1), Partition(0));
    let mut before = archive.records(partition).await.expect("they can be read");
    let of_other = archive.records(other).await;
    let last = before.last().map_or(0, |(last, _)| *last);
    let one = archive.record(partition, last, b"one".to_vec()).await.expect("it is the next");
    let late = archive.record(partition, last, b"other".to_vec()).await;
    assert_eq!(late, Err(AppendError::Conflict));
    let two = archive.record(partition, one, b"two".to_vec()).await.expect("it is the next");
    before.extend([(one, b"one".to_vec()), (two, b"two".to_vec())]);
    assert_eq!(archive.records(partition).await, Ok(before));
    assert_eq!(archive.records(other).await, of_other);
}
