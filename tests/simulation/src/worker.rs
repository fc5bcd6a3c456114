//! Worker processes: the real harness with a table of steps on the simulated vendor.

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_runtime::harness::{Harness, HarnessTuning};
use stead_runtime::harness_ports::WorkerInbound;
use stead_runtime::worker::{AnyWorker, StepContext, Worker};
use stead_schemas::failure::Failure;
use stead_schemas::ids::Partition;
use stead_schemas::step::Done;
use stead_schemas::step::probe::Noop;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::bus::WorkerMouth;
use crate::outside::{Vendor, make, unmake};
use crate::world::{State, World};

/// One worker process. A new one gets a new number.
pub struct Process {
    ear: mpsc::UnboundedSender<WorkerInbound>,
    task: AbortHandle,
    lives: bool,
    /// The epochs that it was told.
    told: BTreeMap<Partition, u64>,
}

/// Starts another worker process.
pub fn start(world: &Arc<World>) {
    let vendor = Vendor::new(world);
    let outside: Arc<dyn AnyWorker> = Arc::new(Worker::new("outside", vendor).on(make).on(unmake));
    let probe: Arc<dyn AnyWorker> = Arc::new(Worker::new("probe", ()).on(noop));
    let replies = Arc::new(WorkerMouth { world: Arc::clone(world) });
    let harness = Harness::new(vec![outside, probe], replies, HarnessTuning::default());
    let (ear, inbound) = mpsc::unbounded_channel();
    let (alive, stop) = watch::channel(false);
    let task = tokio::task::spawn_local(async move {
        let _alive = alive;
        harness.run(inbound, stop).await;
    });
    let mut state = world.lock();
    let number = state.processes.len();
    state.tell(format_args!("worker-{number} starts"));
    let process = Process { ear, task: task.abort_handle(), lives: true, told: BTreeMap::new() };
    state.processes.push(process);
    // It hears of the owners at once, as if they said it again and again.
    for (partition, epoch) in state.outside.epochs.clone() {
        state.to_worker(number, WorkerInbound::Lease { partition, epoch });
    }
}

async fn noop(_: (), _: StepContext, _: Noop) -> Result<Done, Failure> {
    Ok(Done {})
}

impl State {
    /// The worker processes that are there.
    #[must_use]
    pub fn living_workers(&self) -> Vec<usize> {
        let all = self.processes.iter().enumerate();
        all.filter(|(_, process)| process.lives).map(|(number, _)| number).collect()
    }

    /// A worker process dies with all that it was doing.
    pub fn crash_worker(&mut self, worker: usize) {
        let process = &mut self.processes[worker];
        process.lives = false;
        process.task.abort();
        self.counts.add("worker crashes");
        self.tell(format_args!("worker-{worker} CRASHES"));
    }

    /// A partition has a new owner.
    pub fn note_epoch(&mut self, partition: Partition, epoch: u64) {
        let known = self.outside.epochs.entry(partition).or_default();
        *known = epoch.max(*known);
    }

    /// A message reaches a worker process.
    pub fn to_worker(&mut self, worker: usize, message: WorkerInbound) {
        if !self.processes[worker].lives {
            return;
        }
        match &message {
            WorkerInbound::Lease { partition, epoch } => {
                let known = self.processes[worker].told.entry(*partition).or_default();
                *known = (*epoch).max(*known);
            }
            WorkerInbound::Step(request) => {
                let known = self.processes[worker].told.entry(request.partition).or_default();
                let stale = request.epoch < *known;
                *known = request.epoch.max(*known);
                let address = request.address.clone();
                self.tell(format_args!(
                    "worker-{worker} gets {}:{} ({}), stale: {stale}",
                    address.run, address.seq, request.attempt
                ));
                self.outside.asked(&address, stale);
                if stale {
                    self.counts.add("requests of former owners");
                }
            }
            WorkerInbound::Cancel(address) => {
                let (run, seq) = (address.run.clone(), address.seq);
                self.tell(format_args!("worker-{worker} is told to stop {run}:{seq}"));
            }
        }
        // Whoever is gone hears nothing.
        self.processes[worker].ear.send(message).ok();
    }
}
