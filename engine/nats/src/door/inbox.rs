//! The durable inbox: each command is taken out only once it is in the log or refused.
//!
//! All engines share one consumer, and the server lets one of them pull at a time, so that the
//! commands to one entity keep their order; when that engine is gone, the next takes over within
//! seconds. A command that no owner takes in stays where it is and is tried again, with the same
//! id, so that it acts once.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::{Config, Stream};
use async_nats::jetstream::consumer::{AckPolicy, PriorityPolicy, PullConsumer};
use async_nats::jetstream::{AckKind, Message};
use futures_util::StreamExt;
use stead_schemas::dispatch::{Caller, CommandReply};
use stead_schemas::refusal::Refusal;
use stead_schemas::subjects::INBOX_STREAM;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lanes::{Lanes, Place};
use super::read::{Catalogue, Order, read_command};
use super::refusals::{self, Said};
use super::{Shutdown, forward, order_run, shut};
use crate::client::SteadClient;
use crate::connect::Connection;
use crate::pause::Pause;
use crate::platform::{Platform, ensure_inbox};

/// The consumer of all engines, and their group in it.
const ENGINES: &str = "engines";
/// Commands that one engine works on at a time.
const IN_FLIGHT_MAX: usize = 256;
/// How long the server waits for a word before it gives a command to somebody else: the time that
/// the commands of a dead engine are late.
const ACK_WAIT: Duration = Duration::from_secs(6);
/// How often a command that waits gives that word.
const STILL_HERE: Duration = Duration::from_secs(2);
/// One pull. Well below the pin's end, so that an engine that lives keeps it.
const PULL: Duration = Duration::from_secs(2);
/// How long the engine that pulls may be silent before another does.
const PIN: Duration = Duration::from_secs(6);

/// When a command that was given back is given out again: not before the server knows that we
/// no longer pull, or it would come back to us.
const GIVEN_OUT_AFTER: Duration = Duration::from_millis(500);

/// What each command needs.
struct Desk {
    client: SteadClient,
    platform: Platform,
    catalogue: Arc<Catalogue>,
}

/// One message of the inbox.
struct Letter {
    message: Message,
    seq: u64,
    /// Unique even when the inbox is lost and its numbers begin again.
    id: String,
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
    let mut pause = Pause::new();
    let handed_on = shutdown.clone();
    loop {
        let pulled = tokio::select! {
            pulled = pull(&desk, &handed_on) => pulled,
            () = shut(&mut shutdown) => break,
        };
        match pulled {
            Ok(()) => pause = Pause::new(),
            Err(words) => tracing::warn!(%words, "the inbox cannot be read; trying again"),
        }
        tokio::select! {
            () = pause.wait() => {}
            () = shut(&mut shutdown) => break,
        }
    }
    release_pin(&desk.platform).await;
}

/// Reads the inbox until the stream of messages ends.
async fn pull(desk: &Arc<Desk>, shutdown: &Shutdown) -> Result<(), String> {
    let mut messages = open(&desk.platform).await?;
    let places = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let mut lanes = Lanes::default();
    while let Some(message) = messages.next().await {
        let message = match message {
            Ok(message) => message,
            Err(error) if is_passing(&error) => {
                tracing::debug!(%error, "the inbox is silent");
                continue;
            }
            Err(error) => return Err(error.to_string()),
        };
        let Ok(permit) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        begin(desk, &mut lanes, message, permit, shutdown.clone());
    }
    Ok(())
}

/// A silence is no end: the stream goes on when the server is back.
fn is_passing(error: &async_nats::jetstream::consumer::pull::MessagesError) -> bool {
    use async_nats::jetstream::consumer::pull::MessagesErrorKind;
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
        .max_messages_per_batch(IN_FLIGHT_MAX)
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
        max_ack_pending: 4 * i64::try_from(IN_FLIGHT_MAX).unwrap_or(i64::MAX),
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

fn begin(
    desk: &Arc<Desk>,
    lanes: &mut Lanes,
    message: Message,
    permit: OwnedSemaphorePermit,
    mut shutdown: Shutdown,
) {
    let Some(letter) = letter(message) else { return };
    let read = read_command(&desk.catalogue, &letter.message.subject, &letter.message.payload);
    let place = lanes.enter(lane(&read, letter.seq));
    let desk = Arc::clone(desk);
    tokio::spawn(async move {
        tokio::select! {
            () = carry(&desk, &letter, read, place) => {}
            () = shut(&mut shutdown) => give_back(&letter).await,
        }
        drop(permit);
    });
}

fn letter(message: Message) -> Option<Letter> {
    let (seq, published) = match message.info() {
        Ok(info) => (info.stream_sequence, info.published.timestamp_millis()),
        Err(error) => {
            tracing::warn!(%error, "the inbox delivered something that is no message of a stream");
            return None;
        }
    };
    Some(Letter { message, seq, id: format!("inbox-{seq}-{published}") })
}

/// Commands of one lane keep their order.
fn lane(read: &Result<Order, Refusal>, seq: u64) -> String {
    match read {
        Ok(Order::Entity(order)) => format!("{}/{}/{}", order.kind, order.owner, order.name),
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
            Ok(()) => return,
            Err(words) => {
                tracing::warn!(id = letter.id, %words, "cannot finish a command yet");
                pause.wait().await;
            }
        }
    }
}

async fn hand_over(desk: &Desk, letter: &Letter, order: &Order) -> CommandReply {
    let by = Caller::Inbox { message: letter.seq };
    match order.clone() {
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

async fn finish(desk: &Desk, letter: &Letter, refusal: Option<&Refusal>) -> Result<(), String> {
    if let Some(refusal) = refusal {
        let said = Said::of(&letter.message.subject, &letter.message.payload);
        refusals::publish(&desk.platform, &said, refusal, &letter.id)
            .await
            .map_err(|error| format!("the refusal is not kept: {error}"))?;
    }
    // An acknowledgement that is lost brings the command once more, and its id makes it harmless.
    if let Err(error) = letter.message.double_ack().await {
        tracing::debug!(id = letter.id, %error, "the inbox may deliver this command once more");
    }
    Ok(())
}

/// Tells the server, again and again, that the command is being worked on.
async fn while_saying_so<T>(letter: &Letter, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(STILL_HERE) => {
                if let Err(error) = letter.message.ack_with(AckKind::Progress).await {
                    tracing::debug!(%error, "cannot say that a command is still here");
                }
            }
        }
    }
}

/// Leaves the command to another engine.
async fn give_back(letter: &Letter) {
    let given_back = letter.message.ack_with(AckKind::Nak(Some(GIVEN_OUT_AFTER))).await;
    if let Err(error) = given_back {
        tracing::debug!(%error, "could not give a command back");
    }
}
