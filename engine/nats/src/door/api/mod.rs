//! The service interface: every public verb is an endpoint of the NATS service `stead`, so that
//! `nats micro info stead` shows what can be asked, with the schema of each command.
//!
//! Every request is answered: what no endpoint serves is refused by one subscription to all of
//! `stead.api.>`. Whoever wants to hear how his command ended is kept waiting (`wait.rs`).

pub mod asked;
mod replies;
mod spared;
mod wait;

use std::collections::HashMap;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::service::endpoint::Endpoint;
use async_nats::service::{Request, Service, ServiceExt};
use async_nats::{Message, Subscriber};
use futures_util::stream::select_all;
use futures_util::{FutureExt, StreamExt};
use stead_runtime::metric;
use stead_schemas::dispatch::{Caller, CommandReply};
use stead_schemas::refusal::Refusal;
use stead_schemas::subjects::API_SUBJECTS;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::read::{Catalogue, Order, PublicVerb};
use super::refusals::{self, Refused, Said};
use super::{Shutdown, origin, rehearse, shut};
use crate::client::SteadClient;
use crate::connect::{Connection, until_heard};
use crate::partition::may_be_answered;
use crate::platform::Platform;
use asked::Asked;
use replies::Reply;
use spared::Spared;

/// The name of the service.
const SERVICE: &str = "stead";
/// What it is.
const ABOUT: &str = "Durable workflows for development workspaces";
/// Each request goes to one engine.
const GROUP: &str = "engines";
/// A group of its own: in the same one, the server would give a request either to its endpoint
/// or to the catch-all.
const CATCH_ALL_GROUP: &str = "engines-catch-all";
/// Requests that one engine works on at a time.
const IN_FLIGHT_MAX: usize = 1024;
/// Lists that one engine makes at a time.
const LISTS_MAX: usize = 16;
/// Callers that may wait at one engine for the outcome of a command.
const WAITING_MAX: usize = 1024;
/// How long answering those who still wait may take when the door is shut.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

/// The service cannot be offered.
#[derive(Debug, thiserror::Error)]
#[error("the service interface cannot be opened: {0}")]
pub struct ApiError(pub String);

/// What each request needs.
pub(super) struct Counter {
    pub(super) client: SteadClient,
    pub(super) catalogue: Arc<Catalogue>,
    served: Vec<PublicVerb>,
    places: Arc<Semaphore>,
    chairs: Semaphore,
    lists: Semaphore,
    spared: Mutex<Spared>,
    shutdown: Shutdown,
    /// Gone with the last request that is being answered.
    _open: mpsc::Sender<Infallible>,
}

/// Serves the public verbs until `shutdown` says so.
///
/// # Errors
/// If the service cannot be offered at all.
pub async fn run_api(
    connection: &Connection,
    platform: &Platform,
    catalogue: Arc<Catalogue>,
    version: &str,
    mut shutdown: Shutdown,
) -> Result<(), ApiError> {
    let platform = Platform { connection: connection.clone(), ..platform.clone() };
    let served = asked::endpoints(&catalogue);
    let (service, endpoints) = offer(connection, &catalogue, &served, version).await?;
    let strays = connection.api.queue_subscribe(API_SUBJECTS, CATCH_ALL_GROUP.into()).await;
    let strays = strays.map_err(|error| ApiError(error.to_string()))?;
    let (open, mut all_answered) = mpsc::channel(1);
    let counter = Arc::new(Counter {
        client: SteadClient::new(&platform),
        catalogue,
        served,
        places: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
        chairs: Semaphore::new(WAITING_MAX),
        lists: Semaphore::new(LISTS_MAX),
        spared: Mutex::default(),
        shutdown: shutdown.clone(),
        _open: open,
    });
    let was_asked = tokio::select! {
        () = serve(&counter, endpoints) => false,
        () = refuse_strays(connection, &counter, strays) => false,
        () = shut(&mut shutdown) => true,
    };
    drop(counter);
    if timeout(ANSWERED_WITHIN, all_answered.recv()).await.is_err() {
        tracing::debug!("some requests are not answered; whoever asked will ask again");
    }
    // Who was answered last has its answer before the service is gone.
    until_heard(&connection.api).await;
    service.stop().await.map_err(|error| ApiError(error.to_string()))?;
    match was_asked {
        true => Ok(()),
        false => Err(ApiError("its subscriptions have ended".to_owned())),
    }
}

async fn offer(
    connection: &Connection,
    catalogue: &Catalogue,
    served: &[PublicVerb],
    version: &str,
) -> Result<(Service, Vec<Endpoint>), ApiError> {
    let service = connection
        .api
        .service_builder()
        .description(ABOUT)
        .queue_group(GROUP)
        .start(SERVICE, version)
        .await
        .map_err(|error| ApiError(error.to_string()))?;
    let mut endpoints = Vec::new();
    for verb in served {
        let mut metadata = HashMap::from([
            ("about".to_string(), verb.about.clone()),
            ("schema".to_string(), verb.schema.clone()),
        ]);
        if catalogue.has(&verb.kind, &verb.verb) {
            metadata.insert("wait".to_string(), wait::about());
        }
        let endpoint = service
            .endpoint_builder()
            .name(format!("{}-{}", verb.kind, verb.verb))
            .metadata(metadata)
            .add(format!("stead.api.*.{}.{}", verb.kind, verb.verb))
            .await
            .map_err(|error| ApiError(error.to_string()))?;
        endpoints.push(endpoint);
    }
    Ok((service, endpoints))
}

async fn serve(counter: &Arc<Counter>, endpoints: Vec<Endpoint>) {
    let mut requests = select_all(endpoints);
    while let Some(request) = requests.next().await {
        let Ok(permit) = Arc::clone(&counter.places).acquire_owned().await else { return };
        let counter = Arc::clone(counter);
        tokio::spawn(async move {
            let answer = AssertUnwindSafe(counter.answer(&request.message, permit));
            let reply = answer.catch_unwind().await.unwrap_or_else(|_| bug());
            counter.keep(&request.message, &reply).await;
            respond(&request, reply.fitting(counter.client.reply_bytes_max())).await;
        });
    }
}

async fn respond(request: &Request, reply: Reply) {
    if !request.message.reply.as_deref().is_some_and(may_be_answered) {
        return;
    }
    let sent = request.respond_with_headers(Ok(reply.body), reply.headers).await;
    if let Err(error) = sent {
        tracing::debug!(%error, "a reply cannot be sent");
    }
}

/// Answers what no endpoint serves, so that nobody waits in vain.
async fn refuse_strays(connection: &Connection, counter: &Counter, mut strays: Subscriber) {
    while let Some(message) = strays.next().await {
        let refusal = asked::stray(&counter.catalogue, &counter.served, &message.subject);
        let Some(refusal) = refusal else { continue };
        let to = message.reply.clone().filter(|to| may_be_answered(to));
        let Some(to) = to else { continue };
        let reply = turned_away(&refusal);
        counter.keep(&message, &reply).await;
        let reply = reply.fitting(counter.client.reply_bytes_max());
        let sent = connection.api.publish_with_headers(to, reply.headers, reply.body).await;
        if let Err(error) = sent {
            tracing::debug!(%error, "a refusal cannot be sent");
        }
    }
}

/// Whoever asks for what panics here is told: it would wait in vain, and others go on.
fn bug() -> Reply {
    let words = "the engine met a bug of ours in this; its log has the details".to_owned();
    Reply::command(&CommandReply::Unavailable { words })
}

/// The reply to what no owner has seen.
fn turned_away(refusal: &Refusal) -> Reply {
    metric::TURNED_AWAY.count(["api"]);
    Reply::refused(refusal)
}

impl Counter {
    /// Answers a request. Its place is free again when it is answered, or when the caller waits.
    async fn answer(&self, message: &Message, place: OwnedSemaphorePermit) -> Reply {
        let asked = || {
            let wait = wait::wanted(message)?;
            let asked = asked::read(&self.catalogue, &message.subject, &message.payload)?;
            Ok((asked, wait))
        };
        let by = self.caller(message);
        match asked() {
            Ok((Asked::Order(Order::Entity(order)), Some(wait))) => {
                drop(place);
                self.order_and_wait(order, by, wait).await
            }
            Ok((asked, _)) => self.carry_out(asked, by).await,
            Err(refusal) => turned_away(&refusal),
        }
    }

    fn caller(&self, message: &Message) -> Caller {
        let are_proved = self.client.platform().connection.callers_are_proved;
        origin::caller(message.headers.as_ref(), are_proved)
    }

    /// Keeps what is refused, before whoever asked hears of it. A question is no command.
    async fn keep(&self, message: &Message, reply: &Reply) {
        let Some(refusal) = &reply.refusal else { return };
        let said = Said::of(&message.subject, &message.payload);
        if asked::READ_VERBS.contains(&said.verb.as_str()) {
            return;
        }
        let refused = Refused::now(said, refusal, self.caller(message));
        let is_kept = {
            let mut spared = self.spared.lock().unwrap_or_else(PoisonError::into_inner);
            spared.takes(refused.command.owner.as_ref(), refused.at)
        };
        if is_kept {
            refusals::tell(self.client.platform(), &refused).await;
        }
    }

    async fn carry_out(&self, asked: Asked, by: Caller) -> Reply {
        match asked {
            Asked::Order(Order::Rehearsal(order)) => {
                Reply::rehearsal(&rehearse(&self.client, order).await)
            }
            Asked::Order(Order::Entity(order)) => Reply::command(&self.order(order, by).await),
            Asked::Order(Order::Run(owner, order)) => {
                Reply::command(&self.order_run(&owner, order, by).await)
            }
            Asked::List { owner, kind, after } => self.list(owner, kind, after).await,
            Asked::ShowEntity { owner, kind, name } => self.show_entity(&owner, &kind, &name).await,
            Asked::ShowRun { owner, run } => self.show_run(&owner, &run).await,
        }
    }
}
