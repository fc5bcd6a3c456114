//! A new epoch of the log: what is over leaves it and is known all the same, what lives goes on,
//! and a crash at any point of the way costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use stead_runtime::archive;
use stead_runtime::env::Tuning;
use stead_runtime::inbound::Inbound;
use stead_runtime::memory::{MemoryArchive, MemoryLog};
use stead_runtime::owner::Stopped;
use stead_runtime::ports::{
    AppendError, Archive, Claim, Closing, Epochs, EventLog, Lasts, LogError, Recorded, ReplyTo,
};
use stead_schemas::dispatch::{TurnEpoch, TurnReply};
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::transition::{Transition, link};

use crate::desk::{Desk, PARTITION, on_simulated_time};

/// What is there, whoever owns the partition.
pub struct Kept {
    pub log: Arc<MemoryLog>,
    pub archive: Arc<MemoryArchive>,
}

/// The log's epochs and the archive, which answer so many times more and then never again.
struct Dying {
    kept: Kept,
    answers: AtomicU32,
    /// Whether what is asked for when nothing is answered any more is done all the same.
    acts: bool,
    /// How long it takes until it says that an epoch is closed.
    slow: Duration,
}

impl Kept {
    pub fn new() -> Self {
        Self { log: Arc::new(MemoryLog::new(1)), archive: Arc::default() }
    }

    fn again(&self) -> Self {
        Self { log: self.log.clone(), archive: self.archive.clone() }
    }

    pub async fn owner(&self) -> Desk {
        self.owner_with(Tuning::default()).await
    }

    async fn owner_with(&self, tuning: Tuning) -> Desk {
        let (log, archive) = (self.log.clone(), self.archive.clone());
        let desk = Desk::with(log.clone(), log, archive, tuning).await;
        desk.settle().await;
        desk
    }

    /// The whole history of a run, and whether it came from the archive.
    async fn history(&self, run: &RunId) -> (usize, bool) {
        let found = archive::history(&*self.log, &*self.archive, PARTITION, run).await.unwrap();
        let mut prev = String::new();
        for message in &found.messages {
            assert_eq!(Transition::decode(&message.bytes).unwrap().prev, prev);
            prev = link(&message.bytes);
        }
        (found.messages.len(), found.from.is_some())
    }

    /// How many runs the archive has.
    async fn archived(&self) -> u64 {
        let mut runs = 0;
        archive::verify(&*self.archive, PARTITION, |verdict| {
            assert_eq!(verdict.altered, []);
            runs += verdict.segment.map_or(0, |segment| segment.runs);
        })
        .await
        .unwrap();
        runs
    }
}

pub async fn turn(desk: &Desk, from: u32) -> TurnReply {
    ask_to_turn(desk, TurnEpoch { from, anew: false }).await
}

async fn ask_to_turn(desk: &Desk, asked: TurnEpoch) -> TurnReply {
    desk.say(Inbound::Turn(asked, ReplyTo("operator".into()))).await;
    let replies = desk.replies("operator");
    serde_json::from_slice(replies.last().expect("a reply")).expect("a reply's JSON")
}

/// Lets a `pair` live from beginning to end.
async fn pair(desk: &Desk, id: &str) {
    desk.command("pair", id).await;
    desk.done(&desk.step("test.first")).await;
    desk.done(&desk.step("test.second")).await;
}

/// A run that is over for a while, and one that began just now.
pub async fn one_over_and_one_alive(desk: &Desk) -> (RunId, RunId) {
    pair(desk, "id-1").await;
    desk.pass(Duration::from_secs(10)).await;
    desk.command("nap", "nap-1").await;
    (desk.run("pair"), desk.run("nap"))
}

#[test]
fn what_is_over_leaves_the_log_and_is_known_all_the_same() {
    on_simulated_time(async {
        let kept = Kept::new();
        let desk = kept.owner().await;
        let (over, alive) = one_over_and_one_alive(&desk).await;
        assert!(turn(&desk, 0).await.under_way.is_some());
        desk.settle().await;
        let reply = turn(&desk, 0).await;
        assert_eq!((reply.epoch, reply.under_way, reply.failed), (1, None, None));
        assert_eq!(kept.history(&over).await, (3, true));
        assert_eq!(kept.history(&alive).await, (1, false));
        assert_eq!(kept.log.len(PARTITION), 2, "the claim and what lives");
        assert_eq!(kept.archived().await, 1);
        // The owner knows it, and so does the next one.
        for desk in [desk, kept.owner().await] {
            assert_eq!(desk.view(&over).await.summary.state.word(), "completed");
            desk.command("pair", "id-1").await;
            let repeated = String::from_utf8(desk.replies("caller").pop().unwrap()).unwrap();
            assert!(repeated.contains("\"repeated\":true"), "{repeated}");
            desk.owner.abort();
        }
        let after = kept.owner().await;
        pair(&after, "id-2").await;
        assert_eq!(kept.history(&over.key().run(2)).await, (3, false));
        after.pass(Duration::from_secs(3_700)).await;
        assert_eq!(after.view(&alive).await.summary.state.word(), "completed");
    });
}

#[test]
fn what_lives_goes_on_with_the_same_owner() {
    on_simulated_time(async {
        let kept = Kept::new();
        let desk = kept.owner().await;
        pair(&desk, "id-1").await;
        desk.pass(Duration::from_secs(10)).await;
        desk.command("pair", "id-2").await;
        let first = desk.step("test.first");
        turn(&desk, 0).await;
        desk.settle().await;
        desk.done(&first).await;
        desk.done(&desk.step("test.second")).await;
        assert_eq!(kept.history(&first.address.run).await, (3, false));
        assert!(!desk.owner.is_finished());
        desk.pass(Duration::from_secs(10)).await;
        assert!(!desk.owner.is_finished(), "nobody else has written");
    });
}

#[test]
fn what_ended_just_now_stays_in_the_log() {
    on_simulated_time(async {
        let kept = Kept::new();
        let desk = kept.owner().await;
        pair(&desk, "id-1").await;
        desk.pass(Duration::from_secs(10)).await;
        pair(&desk, "id-2").await;
        let last = desk.run("pair");
        turn(&desk, 0).await;
        desk.settle().await;
        assert_eq!(turn(&desk, 0).await.epoch, 1);
        assert_eq!(kept.history(&last.key().run(1)).await, (3, true));
        assert_eq!(kept.history(&last.key().run(2)).await, (3, false));
        desk.owner.abort();
        let after = kept.owner().await;
        let told = after.published();
        assert!(told.iter().any(|subject| subject.ends_with("run-completed")), "{told:?}");
    });
}

#[test]
fn what_a_turn_leaves_goes_with_the_next_one_though_nothing_more_is_written() {
    on_simulated_time(async {
        let kept = Kept::new();
        let desk = kept.owner().await;
        pair(&desk, "id-1").await;
        desk.pass(Duration::from_secs(10)).await;
        pair(&desk, "id-2").await;
        turn(&desk, 0).await;
        desk.settle().await;
        assert_eq!(turn(&desk, 0).await.epoch, 1);
        turn(&desk, 1).await;
        desk.settle().await;
        let nothing = turn(&desk, 1).await.nothing.expect("it ended just now");
        assert_eq!(nothing, "what is over in it ended only just now; ask again in some seconds");
        desk.pass(Duration::from_secs(10)).await;
        turn(&desk, 1).await;
        desk.settle().await;
        assert_eq!(turn(&desk, 1).await.epoch, 2);
        assert_eq!(kept.history(&desk.run("pair").key().run(2)).await, (3, true));
        let nothing = turn(&desk, 2).await.nothing.expect("there is nothing to be done");
        assert_eq!(nothing, "no run in it is over");
    });
}

#[test]
fn what_came_of_an_earlier_turn_is_not_said_to_whoever_wants_another() {
    on_simulated_time(async {
        let kept = Kept::new();
        let desk = kept.owner().await;
        pair(&desk, "id-1").await;
        turn(&desk, 0).await;
        desk.pass(Duration::from_secs(10)).await;
        let reply = ask_to_turn(&desk, TurnEpoch { from: 0, anew: true }).await;
        assert!(reply.under_way.is_some(), "{reply:?}");
        desk.settle().await;
        assert_eq!(turn(&desk, 0).await.epoch, 1);
    });
}

#[test]
fn where_nothing_is_over_nothing_is_done() {
    on_simulated_time(async {
        let kept = Kept::new();
        let desk = kept.owner().await;
        desk.command("nap", "nap-1").await;
        let nothing = turn(&desk, 0).await.nothing.expect("there is nothing to be done");
        assert_eq!(nothing, "no run in it is over");
    });
}

#[test]
fn an_owner_turns_by_itself_when_much_is_over() {
    on_simulated_time(async {
        let kept = Kept::new();
        let desk = kept.owner_with(Tuning { archive_after: 6, ..Tuning::default() }).await;
        pair(&desk, "id-1").await;
        desk.pass(Duration::from_secs(10)).await;
        assert_eq!(kept.archived().await, 0, "three messages are not many");
        pair(&desk, "id-2").await;
        desk.pass(Duration::from_secs(10)).await;
        assert_eq!(kept.archived().await, 1);
        assert_eq!(kept.history(&desk.run("pair")).await, (3, true));
    });
}

#[test]
fn an_owner_that_slept_through_the_turn_acts_on_nothing() {
    on_simulated_time(async {
        let kept = Kept::new();
        let frozen = kept.owner().await;
        pair(&frozen, "id-1").await;
        frozen.pass(Duration::from_secs(10)).await;
        frozen.command("nap", "nap-1").await;
        let (run, awake) = (frozen.run("pair"), kept.owner().await);
        turn(&awake, 0).await;
        awake.settle().await;
        assert_eq!(turn(&awake, 0).await.epoch, 1);
        // Its lease says that all is well, and the old epoch takes what it writes.
        frozen.published();
        frozen.replies("caller");
        frozen.command("pair", "id-2").await;
        assert!(frozen.steps().is_empty() && frozen.published().is_empty());
        assert!(frozen.replies("caller").is_empty(), "nobody is told of what nobody will read");
        assert_eq!(frozen.owner.await.unwrap(), Stopped::Fenced);
        assert_eq!(kept.history(&run.key().run(2)).await, (0, false));
        awake.command("pair", "id-2").await;
        assert_eq!(awake.step("test.first").address.run, run.key().run(2));
    });
}

#[test]
fn an_owner_does_not_take_its_own_close_for_a_stranger_s() {
    on_simulated_time(async {
        let kept = Kept::new();
        let (answers, slow) = (AtomicU32::new(u32::MAX), Duration::from_secs(12));
        let slow = Arc::new(Dying { kept: kept.again(), answers, acts: true, slow });
        let desk = Desk::with(kept.log.clone(), slow.clone(), slow, Tuning::default()).await;
        desk.settle().await;
        let (over, alive) = one_over_and_one_alive(&desk).await;
        turn(&desk, 0).await;
        // It looks at the end of the log every five seconds.
        desk.pass(Duration::from_secs(20)).await;
        assert!(!desk.owner.is_finished(), "nobody else has written");
        assert_eq!(turn(&desk, 0).await.epoch, 1);
        assert_eq!(kept.history(&over).await, (3, true));
        assert_eq!(kept.history(&alive).await, (1, false));
    });
}

#[test]
fn a_crash_at_any_point_of_a_turn_costs_nothing() {
    on_simulated_time(async {
        for acts in [false, true] {
            let mut answers = 0;
            while crash_after(answers, acts).await {
                answers += 1;
            }
            assert!(answers > 8, "{answers} points are too few");
        }
    });
}

/// Whether the owner crashed before it had turned the epoch.
async fn crash_after(answers: u32, acts: bool) -> bool {
    let kept = Kept::new();
    let (answered, slow) = (AtomicU32::new(answers + 1), Duration::ZERO);
    let dying = Arc::new(Dying { kept: kept.again(), answers: answered, acts, slow });
    // The first answer is that nothing is to be retired yet, as the owner begins.
    let desk = Desk::with(kept.log.clone(), dying.clone(), dying, Tuning::default()).await;
    desk.settle().await;
    let (over, alive) = one_over_and_one_alive(&desk).await;
    turn(&desk, 0).await;
    desk.settle().await;
    let crashed = turn(&desk, 0).await.epoch == 0;
    desk.owner.abort();
    let after = kept.owner().await;
    assert_eq!(kept.history(&over).await.0, 3, "{answers} {acts}");
    assert_eq!(kept.history(&alive).await, (1, false), "{answers} {acts}");
    after.command("pair", "id-1").await;
    let repeated = String::from_utf8(after.replies("caller").pop().unwrap()).unwrap();
    assert!(repeated.contains("\"repeated\":true"), "{answers} {acts}: {repeated}");
    let epoch = after.log.claim(PARTITION, "looks").await.unwrap().epoch;
    after.owner.abort();
    // Whoever comes next begins again or goes on.
    let last = kept.owner().await;
    if epoch == 0 {
        turn(&last, 0).await;
        last.settle().await;
        assert_ne!(turn(&last, 0).await.epoch, 0, "{answers} {acts}");
    }
    assert_eq!(kept.history(&over).await, (3, true), "{answers} {acts}");
    assert_eq!(kept.history(&alive).await, (1, false), "{answers} {acts}");
    assert_eq!(kept.archived().await, 1, "{answers} {acts}");
    last.pass(Duration::from_secs(3_700)).await;
    assert_eq!(last.view(&alive).await.summary.state.word(), "completed");
    crashed
}

#[test]
fn an_archive_that_was_altered_is_not_relied_on() {
    on_simulated_time(async {
        let kept = Kept::new();
        let desk = kept.owner().await;
        one_over_and_one_alive(&desk).await;
        turn(&desk, 0).await;
        desk.settle().await;
        desk.owner.abort();
        let segment = archive::segments(&*kept.archive, PARTITION).await.unwrap().remove(0);
        kept.archive.alter(PARTITION, segment.histories.parts[0], 40);
        let mut said = Vec::new();
        archive::verify(&*kept.archive, PARTITION, |verdict| said.extend(verdict.altered))
            .await
            .unwrap();
        let words = "the histories are not those that were written: their checksum differs";
        assert_eq!(said[0].0, words);
        kept.archive.alter(PARTITION, segment.digests.parts[0], 20);
        let after = kept.owner().await;
        assert_eq!(after.owner.await.unwrap(), Stopped::Unreadable);
    });
}

impl Dying {
    /// Whether this one is still answered.
    async fn answers(&self) -> bool {
        let left = self.answers.load(Ordering::Relaxed);
        self.answers.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 0 && !self.acts {
            std::future::pending::<()>().await;
        }
        left > 0
    }

    async fn answer<T>(&self, is_answered: bool, answer: T) -> T {
        match is_answered {
            true => answer,
            false => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Epochs for Dying {
    async fn open(&self, of: Partition, from: u32, engine: &str) -> Result<Claim, LogError> {
        let answers = self.answers().await;
        let answer = self.kept.log.open(of, from, engine).await;
        self.answer(answers, answer).await
    }

    async fn copy(
        &self,
        of: Partition,
        epoch: u32,
        after: u64,
        messages: &[Recorded],
    ) -> Result<(), LogError> {
        let answers = self.answers().await;
        let answer = self.kept.log.copy(of, epoch, after, messages).await;
        self.answer(answers, answer).await
    }

    async fn close(&self, closing: Closing) -> Result<(), AppendError> {
        let answers = self.answers().await;
        let answer = self.kept.log.close(closing).await;
        tokio::time::sleep(self.slow).await;
        self.answer(answers, answer).await
    }

    async fn retire(&self, of: Partition) -> Result<(), LogError> {
        let answers = self.answers().await;
        let answer = self.kept.log.retire(of).await;
        self.answer(answers, answer).await
    }
}

#[async_trait]
impl Archive for Dying {
    async fn put(&self, of: Partition, part: Vec<u8>, lasts: Lasts) -> Result<u64, LogError> {
        let answers = self.answers().await;
        let answer = self.kept.archive.put(of, part, lasts).await;
        self.answer(answers, answer).await
    }

    async fn get(&self, of: Partition, part: u64) -> Result<Vec<u8>, LogError> {
        let answers = self.answers().await;
        let answer = self.kept.archive.get(of, part).await;
        self.answer(answers, answer).await
    }

    async fn record(&self, of: Partition, last: u64, record: Vec<u8>) -> Result<u64, AppendError> {
        let answers = self.answers().await;
        let answer = self.kept.archive.record(of, last, record).await;
        self.answer(answers, answer).await
    }

    async fn records(&self, of: Partition) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        // Looking changes nothing, so that nobody has to die here.
        self.kept.archive.records(of).await
    }
}
