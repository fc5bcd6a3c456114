//! One engine: takes its share of the partitions by leases and owns each until something ends
//! that. Everything runs on one thread: runs are not shared, so nothing is locked.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join_all, ready};
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use stead_schemas::ids::Partition;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until, timeout};

use crate::env::Env;
use crate::inbound::Inbound;
use crate::lease::LeaseClock;
use crate::metric;
use crate::owner::{Owner, Stopped};
use crate::ports::{Claim, LeaseError, Outgoing};

/// How often an engine looks for partitions while it has fewer than its share.
const HUNGRY: Duration = Duration::from_millis(150);
/// How many partitions go to others between two looks. Their runs stand still until all are taken.
const GIVEN_AT_ONCE: usize = 128;
/// How many partitions are taken at once: each waits for the disk.
const AT_ONCE: usize = 16;
/// How long a partition is left alone after its owner panicked. It doubles each time that happens again.
const REST: Duration = Duration::from_millis(500);
/// The longest such rest.
const REST_MAX: Duration = Duration::from_secs(30);
/// Taken off a lease's end, for clocks that do not run quite alike.
const LEASE_MARGIN: Duration = Duration::from_millis(400);

/// A partition that this engine owns.
struct Owned {
    epoch: u64,
    stop: watch::Sender<bool>,
}

/// A partition that has been taken: its lease, its ears, and the claim in the log.
struct Taken {
    partition: Partition,
    lease: Rc<LeaseClock>,
    inbox: mpsc::UnboundedReceiver<Inbound>,
    claim: Claim,
}

/// An owner has stopped. Its partition may have been taken again since, under a later epoch.
#[derive(Clone, Copy)]
struct Ended {
    partition: Partition,
    epoch: u64,
    why: Stopped,
}

/// Tells of the end of an owner when it is dropped, so that one that panics is missed, too: nobody
/// would own its partition while the lease is renewed.
struct Told {
    ended: mpsc::UnboundedSender<Ended>,
    end: Ended,
}

impl Drop for Told {
    fn drop(&mut self) {
        metric::OWNERS_STOPPED.count([self.end.why.word()]);
        // Nobody listens only when the engine itself has ended.
        self.ended.send(self.end).ok();
    }
}

/// The engine's share, and news of owners that have stopped.
struct Share {
    env: Rc<Env>,
    owned: BTreeMap<Partition, Owned>,
    /// The partitions whose owner panicked: until when they are left alone, and for how long that is.
    resting: BTreeMap<Partition, (Instant, Duration)>,
    ended: mpsc::UnboundedSender<Ended>,
    news: mpsc::UnboundedReceiver<Ended>,
    stop: watch::Receiver<bool>,
    /// Where the next round of taking begins, so that each partition has its turn.
    next: usize,
}

/// Runs an engine until `stop` turns true; then hands everything over in good order. To be run
/// on a [`tokio::task::LocalSet`].
pub async fn run(env: Rc<Env>, mut stop: watch::Receiver<bool>) {
    let (ended, news) = mpsc::unbounded_channel();
    let (owned, resting, asked) = (BTreeMap::new(), BTreeMap::new(), stop.clone());
    let mut share = Share { env, owned, resting, ended, news, stop: asked, next: 0 };
    loop {
        let hungry = share.tend().await;
        let pause = if hungry { HUNGRY } else { share.env.tuning.renew };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            Some(ended) = share.news.recv() => share.lost(ended).await,
            () = tokio::time::sleep(pause) => {}
        }
    }
    share.hand_over().await;
}

impl Share {
    /// Takes or gives back until the share is fair. Returns whether there may be more to take.
    async fn tend(&mut self) -> bool {
        let env = Rc::clone(&self.env);
        let engines = match present(&env).await {
            Ok(engines) => engines.max(1),
            Err(error) => {
                let held = self.owned.len();
                tracing::warn!(%error, held, "cannot tell how many engines there are; takes and gives no partition");
                return true;
            }
        };
        let fair = usize::from(env.partitions).div_ceil(engines);
        let surplus = self.owned.len().saturating_sub(fair);
        self.let_go_of(surplus.min(GIVEN_AT_ONCE)).await;
        self.take_up_to(fair).await;
        metric::PARTITIONS_OWNED.set(self.owned.len() as f64, []);
        metric::PARTITIONS.set(f64::from(env.partitions), []);
        self.owned.len() < fair
    }

    /// Takes what is free until the share is fair, or it is time to say again that we are there.
    async fn take_up_to(&mut self, fair: usize) {
        let (until, stop) = (Instant::now() + self.env.tuning.renew, self.stop.clone());
        let goes_on = || Instant::now() < until && !*stop.borrow();
        let count = usize::from(self.env.partitions);
        let all = (0..self.env.partitions).map(Partition).cycle().skip(self.next).take(count);
        let wanted = all.filter(|one| !self.owned.contains_key(one) && !self.rests(*one));
        let mut wanted = wanted.collect::<Vec<_>>().into_iter();
        let next = Cell::new(self.next);
        while self.owned.len() < fair && goes_on() {
            let some: Vec<_> = wanted.by_ref().take(fair - self.owned.len()).collect();
            if some.is_empty() {
                break;
            }
            let env = Rc::clone(&self.env);
            let some = stream::iter(some).take_while(|_| ready(goes_on()));
            let taking = some.map(|partition| {
                next.set(usize::from(partition.0) + 1);
                take(Rc::clone(&env), partition)
            });
            let mut taking = pin!(taking.buffer_unordered(AT_ONCE));
            while let Some(taken) = taking.next().await {
                taken.into_iter().for_each(|taken| self.begin(taken));
            }
        }
        self.next = next.get() % count.max(1);
    }

    /// A partition has been taken: its owner begins, and its lease is renewed beside it.
    fn begin(&mut self, taken: Taken) {
        let Taken { partition, lease, inbox, claim } = taken;
        let (env, epoch) = (Rc::clone(&self.env), claim.seq);
        env.ports.bus.send(Outgoing::Lease { partition, epoch });
        metric::OWNER_CHANGES.count([]);
        let (stop, stopped) = watch::channel(false);
        let (clock, ended) = (Rc::clone(&lease), self.ended.clone());
        spawn_local(async move {
            let mut end = Told { ended, end: Ended { partition, epoch, why: Stopped::Broken } };
            // The lease first: whatever an owner has to do, it does not keep it from being renewed.
            end.end.why = tokio::select! {
                biased;
                () = keep(&env, partition, &lease) => Stopped::LeaseOver,
                why = Owner::run(Rc::clone(&env), partition, claim, clock, inbox, stopped) => why,
            };
        });
        self.owned.insert(partition, Owned { epoch, stop });
    }

    fn rests(&self, partition: Partition) -> bool {
        self.resting.get(&partition).is_some_and(|(until, _)| Instant::now() < *until)
    }

    /// What panics once may do so again at once, and each owner leaves a claim in the log.
    fn let_rest(&mut self, partition: Partition) {
        let now = Instant::now();
        let before = self.resting.get(&partition).filter(|(until, _)| now < *until + 2 * REST_MAX);
        let rest = before.map_or(REST, |(_, rest)| REST_MAX.min(*rest * 2));
        self.resting.insert(partition, (now + rest, rest));
    }

    /// An owner has stopped by itself, and others with it: their leases are given back, to be taken
    /// again by anyone.
    async fn lost(&mut self, first: Ended) {
        let mut lost: Vec<_> = self.forget(first).into_iter().collect();
        while let Ok(next) = self.news.try_recv() {
            lost.extend(self.forget(next));
        }
        join_all(lost.into_iter().map(|partition| release(&self.env, partition))).await;
    }

    /// An owner has stopped by itself. Returns its partition, if none has followed here.
    fn forget(&mut self, ended: Ended) -> Option<Partition> {
        let Ended { partition, epoch, why } = ended;
        tracing::warn!(%partition, epoch, ?why, "no longer owns the partition");
        if why == Stopped::Broken {
            self.let_rest(partition);
        }
        let is_the_last = self.owned.get(&partition).is_some_and(|owned| owned.epoch == epoch);
        is_the_last.then(|| self.owned.remove(&partition)).map(|_| partition)
    }

    /// Stops some of the owners and gives their partitions to whoever wants them.
    async fn let_go_of(&mut self, some: usize) {
        let leaving = self.owned.iter().rev().take(some);
        let mut leaving: BTreeMap<Partition, u64> =
            leaving.map(|(partition, owned)| (*partition, owned.epoch)).collect();
        for partition in leaving.keys() {
            tracing::info!(%partition, "gives the partition to another engine");
            self.owned[partition].stop.send_replace(true);
        }
        let env = Rc::clone(&self.env);
        let mut releases = FuturesUnordered::new();
        while !leaving.is_empty() || !releases.is_empty() {
            tokio::select! {
                biased;
                Some(()) = releases.next() => {}
                Some(ended) = self.news.recv() => {
                    if leaving.get(&ended.partition) != Some(&ended.epoch) {
                        let lost = self.forget(ended);
                        releases.extend(lost.map(|partition| release(&env, partition)));
                        continue;
                    }
                    leaving.remove(&ended.partition);
                    self.owned.remove(&ended.partition);
                    releases.push(release(&env, ended.partition));
                }
            }
        }
    }

    async fn hand_over(mut self) {
        // First of all, so that the others see that there is more for them to take.
        if let Err(error) = self.env.ports.leases.leave(&self.env.engine).await {
            tracing::warn!(%error, "cannot say goodbye; the engine's presence will run out");
        }
        self.let_go_of(self.owned.len()).await;
    }
}

/// Takes a partition over if it is free: lease, ears, claim in the log.
async fn take(env: Rc<Env>, partition: Partition) -> Option<Taken> {
    let lease = Rc::new(LeaseClock::new(lease_until(&env)));
    match env.ports.leases.acquire(partition, &env.engine).await {
        Ok(true) => {}
        Ok(false) => return None,
        Err(error) => {
            tracing::warn!(%partition, %error, "cannot take the lease");
            return None;
        }
    }
    let inbox = match env.ports.inboxes.open(partition).await {
        Ok(inbox) => inbox,
        Err(error) => return not_taken(&env, partition, &error).await,
    };
    if lease.is_over() {
        return not_taken(&env, partition, &LeaseError("it took too long".to_owned())).await;
    }
    let claim = match env.ports.log.claim(partition, &env.engine).await {
        Ok(claim) => claim,
        Err(error) => return not_taken(&env, partition, &error).await,
    };
    // If that took longer than the lease, another engine may own the partition by now, under
    // an epoch that workers must not be told is over.
    if lease.is_over() {
        return not_taken(&env, partition, &LeaseError("it took too long".to_owned())).await;
    }
    Some(Taken { partition, lease, inbox, claim })
}

async fn not_taken(
    env: &Env,
    partition: Partition,
    error: &dyn std::error::Error,
) -> Option<Taken> {
    tracing::warn!(%partition, %error, "cannot take the partition over");
    release(env, partition).await;
    None
}

/// How many engines there are, of which this is one. A question that is not answered is asked
/// again before our own word runs out.
async fn present(env: &Env) -> Result<usize, LeaseError> {
    let asking = env.ports.leases.present(&env.engine);
    let answer = timeout(env.tuning.lease / 2, asking).await;
    answer.unwrap_or_else(|_| Err(LeaseError("no answer in time".to_owned())))
}

/// Renews a lease until it is over. Each has its own turn, and a renewal that is not answered holds
/// up nothing: the next is asked for beside it, and whichever is answered counts.
async fn keep(env: &Env, partition: Partition, lease: &LeaseClock) {
    let mut asked: FuturesUnordered<LocalBoxFuture<'_, bool>> = FuturesUnordered::new();
    // Taking the partition may have used up much of it.
    let left = lease.until().saturating_duration_since(Instant::now());
    let mut next = Instant::now() + env.tuning.renew.min(left / 2);
    loop {
        tokio::select! {
            biased;
            Some(is_ours) = asked.next() => {
                if !is_ours {
                    tracing::warn!(%partition, "the lease is somebody else's, or was deleted");
                    return lease.end();
                }
            }
            () = sleep_until(next.min(lease.until())) => {
                if lease.is_over() {
                    tracing::warn!(%partition, "the lease ran out before it was renewed");
                    return;
                }
                asked.push(renew(env, partition, lease).boxed_local());
                next = Instant::now() + env.tuning.renew;
            }
        }
    }
}

/// Renews a lease. Returns whether it is ours still, as far as anybody says.
async fn renew(env: &Env, partition: Partition, lease: &LeaseClock) -> bool {
    let until = lease_until(env);
    match env.ports.leases.renew(partition, &env.engine).await {
        Ok(true) => lease.renewed(until),
        Ok(false) => return false,
        // The lease runs out by itself if this goes on.
        Err(error) => tracing::warn!(%partition, %error, "cannot renew the lease"),
    }
    true
}

async fn release(env: &Env, partition: Partition) {
    if let Err(error) = env.ports.leases.release(partition, &env.engine).await {
        tracing::warn!(%partition, %error, "cannot release the lease; it will run out");
    }
}

/// The end of a lease asked for now: counted from before the asking, so never too late.
fn lease_until(env: &Env) -> Instant {
    Instant::now() + env.tuning.lease.saturating_sub(LEASE_MARGIN)
}
