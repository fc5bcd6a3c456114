//! A turn of the log's epoch while the owner is busy: it holds its appends back for few messages, or
//! the draft waits for a quieter time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use stead_runtime::env::Tuning;
use stead_runtime::memory::MemoryLog;
use stead_runtime::ports::{AppendError, Claim, Closing, Epochs, LogError, Recorded};
use stead_schemas::dispatch::{Caller, TurnReply};
use stead_schemas::ids::Partition;

use crate::desk::{Desk, on_simulated_time};
use crate::turning::{Kept, one_over_and_one_alive, turn};

/// The log's epochs, of which every copy takes a second.
struct Slow {
    log: Arc<MemoryLog>,
    /// How many messages were in each copy.
    copies: Mutex<Vec<usize>>,
}

#[async_trait]
impl Epochs for Slow {
    async fn open(&self, of: Partition, from: u32, engine: &str) -> Result<Claim, LogError> {
        self.log.open(of, from, engine).await
    }

    async fn copy(
        &self,
        of: Partition,
        epoch: u32,
        after: u64,
        messages: &[Recorded],
    ) -> Result<(), LogError> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.copies.lock().unwrap().push(messages.len());
        self.log.copy(of, epoch, after, messages).await
    }

    async fn close(&self, closing: Closing) -> Result<(), AppendError> {
        self.log.close(closing).await
    }

    async fn retire(&self, of: Partition) -> Result<(), LogError> {
        self.log.retire(of).await
    }
}

/// A turn during which so many appends come in a second: what became of it after a minute, and how
/// many messages each copy had.
async fn turned_under_load(appends: u32) -> (Desk, TurnReply, Vec<usize>) {
    let kept = Kept::new();
    let slow = Arc::new(Slow { log: kept.log.clone(), copies: Mutex::default() });
    let (log, epochs) = (kept.log.clone(), Arc::clone(&slow));
    let desk = Desk::with(log, epochs, kept.archive.clone(), Tuning::default()).await;
    desk.settle().await;
    one_over_and_one_alive(&desk).await;
    turn(&desk, 0).await;
    let mut reply = turn(&desk, 0).await;
    for second in 0..60 {
        for n in 0..appends {
            let name = format!("{second}-{n}");
            desk.command_to(Caller::Api, "nap", &name, &name).await;
        }
        desk.pass(Duration::from_secs(1)).await;
        reply = turn(&desk, 0).await;
        if reply.under_way.is_none() {
            break;
        }
    }
    let copies = slow.copies.lock().unwrap().clone();
    (desk, reply, copies)
}

#[test]
fn a_busy_owner_holds_its_appends_back_for_few_messages() {
    on_simulated_time(async {
        let (desk, reply, copies) = turned_under_load(150).await;
        assert_eq!((reply.epoch, reply.failed), (1, None), "{copies:?}");
        let last = copies.last().expect("what was written meanwhile");
        assert!((100..=200).contains(last), "{copies:?}");
        assert!(!desk.owner.is_finished(), "it goes on");
    });
}

#[test]
fn an_owner_that_writes_as_fast_as_it_is_copied_is_not_held_up_and_copied_once_it_rests() {
    on_simulated_time(async {
        let (desk, reply, copies) = turned_under_load(210).await;
        assert!(reply.under_way.is_some(), "{reply:?}");
        assert_eq!((reply.epoch, copies.len()), (0, 20), "{copies:?}");
        // Nothing is held back.
        desk.replies("caller");
        desk.command_to(Caller::Api, "nap", "last", "last").await;
        assert_eq!(desk.replies("caller").len(), 1);
        desk.pass(Duration::from_secs(600)).await;
        for _ in 0..60 {
            if turn(&desk, 0).await.epoch == 1 {
                break;
            }
            desk.pass(Duration::from_secs(1)).await;
        }
        assert_eq!(turn(&desk, 0).await.epoch, 1, "the draft it has is caught up with");
        assert!(!desk.owner.is_finished());
    });
}
