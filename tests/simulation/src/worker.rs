//! Worker processes: the real harness with a table of steps on the simulated vendor.

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_runtime::harness::{Harness, HarnessTuning};
use stead_runtime::harness_ports::WorkerInbound;
use stead_runtime::worker::{AnyWorker, StepContext, Worker};
use stead_schemas::dispatch::StepAddress;
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
    /// Whose steps it carries out.
    systems: Vec<String>,
    ear: mpsc::UnboundedSender<WorkerInbound>,
    task: AbortHandle,
    lives: bool,
    /// The epochs that it was told.
    told: BTreeMap<Partition, u64>,
}

impl Process {
    fn is_there(&self) -> bool {
        self.lives && !self.ear.is_closed()
    }
}

/// Starts another worker process.
pub fn start(world: &Arc<World>) {
    let vendor = Vendor::new(world);
    let outside: Arc<dyn AnyWorker> = Arc::new(Worker::new("outside", vendor).on(make).on(unmake));
    let probe: Arc<dyn AnyWorker> = Arc::new(Worker::new("probe", ()).on(noop));
    let replies = Arc::new(WorkerMouth { world: Arc::clone(world) });
    let systems = [&outside, &probe].map(|worker| worker.system().to_owned()).to_vec();
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
    state.hire(systems, ear, task.abort_handle());
    // It hears of the owners at once, as if they said it again and again.
    for (partition, epoch) in state.outside.epochs.clone() {
        state.to_worker(number, WorkerInbound::Lease { partition, epoch });
    }
}

async fn noop(_: (), _: StepContext, _: Noop) -> Result<Done, Failure> {
    Ok(Done {})
}

impl State {
    pub(crate) fn hire(
        &mut self,
        systems: Vec<String>,
        ear: mpsc::UnboundedSender<WorkerInbound>,
        task: AbortHandle,
    ) {
        let told = BTreeMap::new();
        self.processes.push(Process { systems, ear, task, lives: true, told });
    }

    /// The worker processes that are there.
    #[must_use]
    pub fn living_workers(&self) -> Vec<usize> {
        let all = self.processes.iter().enumerate();
        all.filter(|(_, process)| process.is_there()).map(|(number, _)| number).collect()
    }

    /// Those of them that carry out the steps of a system.
    #[must_use]
    pub fn workers_of(&self, system: &str) -> Vec<usize> {
        let mut living = self.living_workers();
        living.retain(|worker| self.processes[*worker].systems.iter().any(|of| of == system));
        living
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
            WorkerInbound::Cancel(cancel) => {
                let StepAddress { run, seq } = cancel.address.clone();
                self.outside.told_to_stop(&cancel.address);
                self.tell(format_args!("worker-{worker} is told to stop {run}:{seq}"));
            }
        }
        // Whoever is gone hears nothing.
        self.processes[worker].ear.send(message).ok();
    }
}
