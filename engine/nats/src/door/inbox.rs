//! The durable inbox: each command is taken out only once it is in the log or refused.
//!
//! All engines share one consumer, and the server lets one of them pull at a time, so that the
//! commands to one entity keep their order; when that engine is gone, the next takes over within
//! seconds, and what the one before had in its hands comes before everything else
//! (`in_order.rs`). A command that no owner takes in stays where it is and is tried again, with
//! the same id, so that it acts once.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::{Config, MessagesError, MessagesErrorKind, Stream};
use async_nats::jetstream::consumer::{AckPolicy, PriorityPolicy, PullConsumer};
use async_nats::jetstream::{AckKind, Message};
use bytes::Bytes;
use futures_util::StreamExt;
use stead_runtime::metric;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::dispatch::{Caller, CommandReply};
use stead_schemas::refusal::Refusal;
use stead_schemas::subjects::INBOX_STREAM;
use stead_schemas::time::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::ages::Ages;
use super::in_order::InOrder;
use super::lanes::{Lanes, Place};
use super::read::{Catalogue, Order, read_command};
use super::refusals::{self, Refused, Said};
use super::{Shutdown, forward, order_run, origin, shut};
use crate::client::SteadClient;
use crate::connect::Connection;
use crate::pause::Pause;
use crate::platform::{Platform, ensure_inbox};
use crate::seal::Keys;

/// The consumer of all engines, and their group in it.
const ENGINES: &str = "engines";
/// Commands that engines have in their hands at a time. The server counts them.
const IN_HAND_MAX: usize = 512;
/// Commands that one pull asks for.
const BATCH: usize = 256;
/// How long the server waits for a word before a command is given out again.
const ACK_WAIT: Duration = Duration::from_secs(3);
/// How often a command that waits gives that word.
const STILL_HERE: Duration = Duration::from_secs(1);
/// One pull. An engine that lives pulls again when it ends.
const PULL: Duration = Duration::from_millis(1_500);
/// How long the engine that pulls may be silent before another does: the time that the commands
/// of a dead engine are late. By then all that it had in its hands is due again, even if its last
/// pull was one pull old when it died, and so the next engine is given that first.
const PIN: Duration = Duration::from_secs(5);
const _: () = assert!(PIN.as_millis() > PULL.as_millis() + ACK_WAIT.as_millis());
/// When a command that was given back is due again: not before the server knows that we no longer
/// pull, or it would come back to us.
const DUE_AGAIN: Duration = Duration::from_millis(500);
/// When everything that was given back is due again.
const ALL_DUE: Duration = Duration::from_millis(700);
/// How long giving back may take.
const GIVEN_BACK: Duration = Duration::from_secs(2);

/// What each command needs.
struct Desk {
    client: SteadClient,
    platform: Platform,
    catalogue: Arc<Catalogue>,
}

/// One message of the inbox.
struct Letter {
    message: Message,
    /// What it says, or that it cannot be opened.
    body: Result<Bytes, Refusal>,
    seq: u64,
    /// An engine was given it before, and did not finish it.
    again: bool,
    /// When it arrived, in milliseconds of the epoch.
    arrived: i64,
    /// How many came after it and were not given to anybody yet.
    behind: u64,
    /// Unique even when the inbox is lost and made anew by hand.
    id: String,
}

impl Letter {
    fn by(&self) -> Caller {
        let client = origin::claimed(self.message.headers.as_ref());
        Caller::Inbox { message: self.seq, client }
    }
}

/// Takes commands out of the inbox until `shutdown` says so. What was begun then is left for
/// other engines.
pub async fn run_inbox(
    connection: &Connection,
    platform: &Platform,
    catalogue: Arc<Catalogue>,
    mut shutdown: Shutdown,
) {
    let platform = Platform { connection: connection.clone(), ..platform.clone() };
    let client = SteadClient::new(&platform);
    let desk = Arc::new(Desk { client, platform, catalogue });
    let mut reader = Reader::new(desk, shutdown.clone());
    let mut pause = Pause::new();
    loop {
        let read = tokio::select! {
            read = reader.read() => read,
            () = shut(&mut shutdown) => break,
        };
        match read {
            Ok(()) => pause = Pause::new(),
            Err(words) => tracing::warn!(%words, "the inbox cannot be read; trying again"),
        }
        tokio::select! {
            () = pause.wait() => {}
            () = shut(&mut shutdown) => break,
        }
    }
    reader.hand_over().await;
}

/// Reads the inbox and has each command carried out. What it has in its hands outlives a stream
/// of messages that ends.
struct Reader {
    desk: Arc<Desk>,
    lanes: Lanes,
    arrived: InOrder<Letter>,
    in_hand: JoinSet<()>,
    ages: Ages,
    /// How many commands nobody was given yet, when last heard of.
    behind: u64,
    shutdown: Shutdown,
}

impl Reader {
    fn new(desk: Arc<Desk>, shutdown: Shutdown) -> Self {
        let (lanes, arrived, in_hand, ages) = Default::default();
        Self { desk, lanes, arrived, in_hand, ages, behind: 0, shutdown }
    }

    /// Reads until the stream of messages ends. It never waits for what it has read, or the
    /// server would think it gone; how much that is, the server bounds.
    async fn read(&mut self) -> Result<(), String> {
        let mut messages = open(&self.desk.platform).await?;
        loop {
            let waiting = self.arrived.until().unwrap_or_else(|| Instant::now() + PIN);
            match timeout_at(waiting, messages.next()).await {
                Ok(Some(Ok(message))) => self.arrive(message),
                Ok(Some(Err(error))) if is_passing(&error) => {
                    tracing::debug!(%error, "the inbox is silent");
                }
                Ok(Some(Err(error))) => return Err(error.to_string()),
                Ok(None) => return Ok(()),
                // Nothing has come for a while: there is nothing.
                Err(_) => self.behind = 0,
            }
            for letter in self.arrived.ready(Instant::now()) {
                self.begin(letter);
            }
            self.show();
        }
    }

    /// Shows how many commands are still in the inbox.
    fn show(&mut self) {
        while self.in_hand.try_join_next().is_some() {}
        metric::INBOX_WAITING.set(self.behind as f64 + self.in_hand.len() as f64, []);
        let oldest = self.ages.oldest(SystemClock.now());
        metric::INBOX_OLDEST_SECONDS.set(oldest.as_secs_f64(), []);
    }

    fn arrive(&mut self, message: Message) {
        let keys = &self.desk.platform.connection.keys;
        if let Some(letter) = letter(message, keys) {
            self.behind = letter.behind;
            self.arrived.put(letter.seq, letter.again, letter, Instant::now());
        }
    }

    fn begin(&mut self, letter: Letter) {
        while self.in_hand.try_join_next().is_some() {}
        let catalogue = &self.desk.catalogue;
        let subject = &letter.message.subject;
        let body = letter.body.as_ref().map_err(Clone::clone);
        let read = body.and_then(|body| read_command(catalogue, subject, body));
        let place = self.lanes.enter(lane(&read, letter.seq));
        let (desk, mut shutdown) = (Arc::clone(&self.desk), self.shutdown.clone());
        let aging = self.ages.enter(letter.seq, Timestamp::from_millis(letter.arrived));
        self.in_hand.spawn(async move {
            let _aging = aging;
            tokio::select! {
                // First, or a command would go on when the one before it is given back.
                biased;
                () = shut(&mut shutdown) => give_back(&letter).await,
                () = carry(&desk, &letter, read, place) => {}
            }
        });
    }

    /// Leaves everything to other engines: first what was begun, then the right to pull.
    async fn hand_over(mut self) {
        let gives_back = !self.in_hand.is_empty() || !self.arrived.is_empty();
        for letter in self.arrived.all() {
            self.begin(letter);
        }
        let given_back = async { while self.in_hand.join_next().await.is_some() {} };
        if timeout(GIVEN_BACK, given_back).await.is_err() {
            tracing::debug!(
                "some commands are not given back; they will be due again by themselves"
            );
        }
        if gives_back {
            sleep(ALL_DUE).await;
        }
        release_pin(&self.desk.platform).await;
    }
}

/// A silence is no end: the stream goes on when the server is back.
fn is_passing(error: &MessagesError) -> bool {
    matches!(error.kind(), MessagesErrorKind::MissingHeartbeat)
}

async fn open(platform: &Platform) -> Result<Stream, String> {
    let consumer = match consumer(platform).await {
        Ok(consumer) => consumer,
        Err(_) => {
            ensure_inbox(platform).await.map_err(|error| error.to_string())?;
            consumer(platform).await?
        }
    };
    consumer
        .stream()
        .group(ENGINES)
        .max_messages_per_batch(BATCH)
        .expires(PULL)
        .heartbeat(PULL / 2)
        .messages()
        .await
        .map_err(|error| error.to_string())
}

async fn consumer(platform: &Platform) -> Result<PullConsumer, String> {
    let config = Config {
        durable_name: Some(ENGINES.into()),
        description: Some("Engines take commands in".into()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: IN_HAND_MAX as i64,
        priority_policy: PriorityPolicy::PinnedClient,
        priority_groups: vec![ENGINES.into()],
        priority_timeout: PIN,
        ..Config::default()
    };
    let js = &platform.connection.js;
    js.create_consumer_on_stream(config, INBOX_STREAM).await.map_err(|error| error.to_string())
}

/// Lets another engine pull at once instead of after the pin's end.
async fn release_pin(platform: &Platform) {
    let Ok(stream) = platform.connection.js.get_stream_no_info(INBOX_STREAM).await else { return };
    if let Err(error) = stream.unpin_consumer(ENGINES, ENGINES).await {
        tracing::debug!(%error, "could not hand the inbox over");
    }
}

fn letter(message: Message, keys: &Keys) -> Option<Letter> {
    let (seq, arrived, delivered, behind) = match message.info() {
        Ok(info) => {
            let arrived = info.published.timestamp_millis();
            (info.stream_sequence, arrived, info.delivered, info.pending)
        }
        Err(error) => {
            tracing::warn!(%error, "the inbox delivered something that is no message of a stream");
            return None;
        }
    };
    let id = format!("inbox-{seq}-{arrived}");
    let body = keys.open(&message.subject, message.headers.as_ref(), message.payload.clone());
    let body = body.map_err(|error| Refusal::new("command.sealed", error.to_string()));
    Some(Letter { message, body, seq, again: delivered > 1, arrived, behind, id })
}

/// Commands of one lane keep their order.
fn lane(read: &Result<Order, Refusal>, seq: u64) -> String {
    match read {
        Ok(Order::Entity(order) | Order::Rehearsal(order)) => {
            format!("{}/{}/{}", order.kind, order.owner, order.name)
        }
        Ok(Order::Run(_, order)) => format!("run/{}", order.run),
        Err(_) => format!("refused/{seq}"),
    }
}

/// Brings one command to its end: into the log, or refused.
async fn carry(desk: &Desk, letter: &Letter, read: Result<Order, Refusal>, mut place: Place) {
    while_saying_so(letter, place.reached()).await;
    let mut pause = Pause::new();
    loop {
        let refusal = match &read {
            Err(refusal) => Some(refusal.clone()),
            Ok(order) => match while_saying_so(letter, hand_over(desk, letter, order)).await {
                CommandReply::Accepted(_) => None,
                CommandReply::Refused(refusal) => Some(refusal),
                CommandReply::Unavailable { words } => {
                    tracing::debug!(id = letter.id, %words, "no engine takes the command in now");
                    pause.wait().await;
                    continue;
                }
            },
        };
        match finish(desk, letter, refusal.as_ref()).await {
            Ok(()) => return counted(letter, &read),
            Err(words) => {
                tracing::warn!(id = letter.id, %words, "cannot finish a command yet");
                pause.wait().await;
            }
        }
    }
}

/// Counts a command that has left the inbox.
fn counted(letter: &Letter, read: &Result<Order, Refusal>) {
    let now = SystemClock.now().as_millis().saturating_sub(letter.arrived);
    let span = Duration::from_millis(u64::try_from(now).unwrap_or(0));
    metric::INBOX_SECONDS.took(span, []);
    if read.is_err() {
        metric::TURNED_AWAY.count(["inbox"]);
    }
}

async fn hand_over(desk: &Desk, letter: &Letter, order: &Order) -> CommandReply {
    let by = letter.by();
    match order.clone() {
        // Nobody would hear what would happen.
        Order::Rehearsal(_) => CommandReply::Refused(asked_in_vain()),
        Order::Entity(order) => {
            let id = order.id.clone().unwrap_or_else(|| letter.id.clone());
            forward(&desk.client, order, id, by).await
        }
        Order::Run(owner, order) => {
            let id = order.id.clone().unwrap_or_else(|| letter.id.clone());
            order_run(&desk.client, &owner, order, id, by).await
        }
    }
}

fn asked_in_vain() -> Refusal {
    let words = "the inbox answers nobody; ask what would happen on stead.api";
    Refusal::new("command.dry-run", words).field("dry_run")
}

async fn finish(desk: &Desk, letter: &Letter, refusal: Option<&Refusal>) -> Result<(), String> {
    if let Some(refusal) = refusal {
        let body = letter.body.as_ref().map_or(&b""[..], |body| body);
        let said = Said::of(&letter.message.subject, body);
        let refused = Refused::now(said, refusal, letter.by());
        refusals::publish(&desk.platform, &refused, &letter.id)
            .await
            .map_err(|error| format!("the refusal is not kept: {error}"))?;
    }
    if !desk.platform.connection.keys.is_empty() {
        wipe(desk, letter).await;
    }
    // An acknowledgement that is lost brings the command once more, and its id makes it harmless.
    if let Err(error) = letter.message.double_ack().await {
        tracing::debug!(id = letter.id, %error, "the inbox may deliver this command once more");
    }
    Ok(())
}

/// Has the server write over what the command said, which may have come to it plain: without this
/// it only forgets where that lies.
async fn wipe(desk: &Desk, letter: &Letter) {
    let Ok(inbox) = desk.platform.connection.js.get_stream_no_info(INBOX_STREAM).await else {
        return;
    };
    if let Err(error) = inbox.delete_message(letter.seq).await {
        tracing::debug!(id = letter.id, %error, "a command that is carried out may not be wiped");
    }
}

/// Tells the server, again and again, that the command is being worked on.
async fn while_saying_so<T>(letter: &Letter, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = sleep(STILL_HERE) => {
                if let Err(error) = letter.message.ack_with(AckKind::Progress).await {
                    tracing::debug!(%error, "cannot say that a command is still here");
                }
            }
        }
    }
}

/// Leaves the command to another engine.
async fn give_back(letter: &Letter) {
    let given_back = letter.message.ack_with(AckKind::Nak(Some(DUE_AGAIN))).await;
    if let Err(error) = given_back {
        tracing::debug!(%error, "could not give a command back");
    }
}
