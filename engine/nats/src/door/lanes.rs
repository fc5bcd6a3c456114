//! Keeps the commands for one entity in line while those for others overtake.

use std::collections::HashMap;

use tokio::sync::oneshot;

/// Lanes are swept when there are this many.
const SWEEP_AT: usize = 4096;

/// The end of each entity's line.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    ends: HashMap<String, oneshot::Receiver<()>>,
}

/// One place in a line. The next in line goes on when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    before: Option<oneshot::Receiver<()>>,
    _after: oneshot::Sender<()>,
}

impl Lanes {
    /// Takes the last place in the line of `entity`.
    pub(super) fn enter(&mut self, entity: String) -> Place {
        if self.ends.len() >= SWEEP_AT {
            self.ends.retain(|_, end| end.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        }
        let (after, end) = oneshot::channel();
        Place { before: self.ends.insert(entity, end), _after: after }
    }
}

impl Place {
    /// Resolves when everybody before has left the line.
    pub(super) async fn reached(&mut self) {
        if let Some(before) = self.before.take() {
            // Nobody ever sends: the end of the sender is the signal.
            let _left = before.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::Lanes;

    #[test]
    fn one_entity_s_commands_go_one_by_one() {
        let mut lanes = Lanes::default();
        let (mut first, mut second) = (lanes.enter("a".into()), lanes.enter("a".into()));
        let mut other = lanes.enter("b".into());
        assert!(first.reached().now_or_never().is_some());
        assert!(other.reached().now_or_never().is_some());
        let mut waiting = Box::pin(second.reached());
        assert!((&mut waiting).now_or_never().is_none());
        drop(first);
        assert!(waiting.now_or_never().is_some());
    }
}
