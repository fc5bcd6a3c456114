//! The seed server: what a guest fetches at each boot, and where it reports.
//!
//! | request | answer |
//! |---|---|
//! | `GET /ci/<run>/<token>/{meta-data,user-data,vendor-data,network-config}` | the seed |
//! | `POST /ci/<run>/<token>/events` | cloud-init's own events, logged; its stages shown live |
//! | `POST /ci/<run>/<token>/report` | what the guest found, handed to the engines |

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use stead_runtime::vital;
use stead_runtime::worker::Engines;
use stead_schemas::dispatch::{OutsideAnswer, OutsideReply, StepReply};
use stead_schemas::ids::RunId;
use stead_schemas::step::Step;
use stead_schemas::step::coder::AwaitAgent;
use stead_schemas::step::guest::AwaitHome;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::door::{Closed, Door, workspace_of};
use super::read::{self, Report};
use super::seeds::{Whose, meta_data};
use super::{Config, SeedUrls, Seeds};
use crate::StartError;
use crate::http::shortened;
use crate::listener::{Bounded, Most};

/// The largest event or report that is read, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a guest's request may take; cloud-init gives up on an event after 5 seconds.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a connection may take to ask for everything. A guest opens one for each document.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(60);
/// How many connections are open at once. A guest opens a few; what one address may have is enough for
/// a proxy through which all guests come.
const CONNECTIONS_MAX: Most = Most { all: 512, of_one: 128 };
/// How long telling how far a guest is may hold it up.
const TELLING_MAX: Duration = Duration::from_secs(1);

/// A seed server that runs until it is shut down or dropped.
pub struct SeedServer {
    address: SocketAddr,
    urls: SeedUrls,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl SeedServer {
    /// Opens the server.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start(
        config: &Config,
        seeds: Seeds,
        engines: Arc<dyn Engines>,
    ) -> Result<Self, StartError> {
        let listen = config.listen;
        let cannot = |source| StartError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let listener = Bounded::new(listener, CONNECTION_TIME_MAX, CONNECTIONS_MAX);
        let urls = seeds.urls().clone();
        urls.listening_on(address);
        let door = Door { urls: urls.clone(), engines };
        let router = router(Arc::new(Desk { door, seeds }));
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = vital::begin("the seed server", async move {
            let until = async { drop(stopped.await) };
            let served = axum::serve(listener, router).with_graceful_shutdown(until).await;
            if let Err(error) = served {
                tracing::error!(%error, "the seed server ended");
            }
        });
        Ok(Self { address, urls, stop, serving })
    }

    /// How guests reach it.
    #[must_use]
    pub fn url(&self) -> String {
        self.urls.public_url().map_or_else(|| format!("http://{}", self.address), str::to_owned)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers what was asked, then closes.
    pub async fn shutdown(self) {
        drop(self.stop);
        if self.serving.await.is_err() {
            tracing::error!("the seed server was torn down");
        }
    }
}

/// What every request needs.
struct Desk {
    door: Door,
    seeds: Seeds,
}

type Place = Path<(String, String)>;

fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/ci/{run}/{token}/meta-data", get(send_meta_data))
        .route("/ci/{run}/{token}/user-data", get(send_user_data))
        .route("/ci/{run}/{token}/vendor-data", get(nothing))
        // An empty 200: newer guests ask for this first, and again ten times if it is a 404.
        .route("/ci/{run}/{token}/network-config", get(nothing))
        .route("/ci/{run}/{token}/events", post(event))
        .route("/ci/{run}/{token}/report", post(report))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(in_time))
        .with_state(desk)
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIME_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Closed::NotNow("a guest's request took too long".to_owned()).into_response(),
    }
}

async fn nothing(State(desk): State<Arc<Desk>>, Path((run, token)): Place) -> Result<(), Closed> {
    desk.door.admit(&run, &token).await.map(drop)
}

async fn send_meta_data(
    State(desk): State<Arc<Desk>>,
    Path((run, token)): Place,
) -> Result<String, Closed> {
    let run = desk.door.admit(&run, &token).await?;
    let summary = desk.door.living(&run).await?.summary;
    Ok(meta_data(run.as_str(), &summary.owner, &summary.name))
}

async fn send_user_data(
    State(desk): State<Arc<Desk>>,
    Path((run, token)): Place,
) -> Result<String, Closed> {
    let run = desk.door.admit(&run, &token).await?;
    let view = desk.door.living(&run).await?;
    let workspace = workspace_of(&view)?;
    let wanting = |what: &str| Closed::NotNow(format!("{run} has no {what} yet"));
    let home_source = workspace.home_source.ok_or_else(|| wanting("home"))?;
    let coder_id = workspace.coder_id.ok_or_else(|| wanting("Coder workspace"))?;
    let seed_url = desk.door.urls.seed_url(run.as_str()).await.map_err(not_now)?;
    let (owner, name, guest) = (&view.summary.owner, &*view.summary.name, workspace.guest);
    let storage_card = workspace.storage_card.as_deref();
    let volume = workspace.volume.as_ref();
    let (home_source, coder_id) = (&home_source, &coder_id);
    let whose = Whose { owner, name, home_source, coder_id, guest, storage_card, volume };
    let seed = desk.seeds.user_data(&whose, Some(&seed_url)).await.map_err(not_now)?;
    tracing::info!(%run, "a guest fetched its seed");
    Ok(seed)
}

fn not_now(failure: stead_schemas::failure::Failure) -> Closed {
    Closed::NotNow(failure.to_string())
}

/// cloud-init waits for the answer, so it gets one whatever it sends.
async fn event(
    State(desk): State<Arc<Desk>>,
    Path((run, token)): Place,
    body: Bytes,
) -> Result<StatusCode, Closed> {
    let run = desk.door.admit(&run, &token).await?;
    let event = read::event(&body);
    let read::Event { name, kind, result } = &event;
    tracing::info!(%run, name, kind, result, "cloud-init");
    if let Some(words) = event.progress() {
        let told = tokio::time::timeout(TELLING_MAX, desk.door.is_at(&run, words)).await;
        if told.is_err() {
            tracing::debug!(%run, "no engine hears how far the guest is");
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn report(
    State(desk): State<Arc<Desk>>,
    Path((run, token)): Place,
    body: Bytes,
) -> Result<StatusCode, Closed> {
    let run = desk.door.admit(&run, &token).await?;
    let Some(report) = read::report(&body) else {
        return Ok(StatusCode::BAD_REQUEST);
    };
    let (stage, detail) = (shortened(&report.stage), shortened(&report.detail.to_string()));
    tracing::info!(%run, stage, "a guest reports");
    // It names the home, and so the owner.
    tracing::debug!(%run, detail, "what the guest says");
    if report.stage == "home-verified" {
        desk.door.home_verified(&run, &report).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

impl Door {
    /// Says how far a guest is. It is shown while somebody waits for the guest, and lost otherwise.
    async fn is_at(&self, run: &RunId, words: String) {
        let reply = StepReply::Heartbeat { progress: Some(words) };
        let answer = OutsideAnswer { run: run.clone(), step: AwaitHome::NAME.to_owned(), reply };
        if let Err(words) = self.engines.answer(answer).await {
            tracing::debug!(%run, words, "no engine hears how far the guest is");
        }
    }

    /// Hands the report in. The guest is asked to come again until it is in the log.
    async fn home_verified(&self, run: &RunId, report: &Report) -> Result<(), Closed> {
        let home = serde_json::to_value(report.of_home())
            .map_err(|error| Closed::NotNow(error.to_string()))?;
        let (step, reply) = (AwaitHome::NAME.to_owned(), StepReply::Done(home));
        let answer = OutsideAnswer { run: run.clone(), step, reply };
        match self.engines.answer(answer).await.map_err(Closed::NotNow)? {
            OutsideReply::Accepted => Ok(()),
            OutsideReply::NotWaiting => self.excuse(run).await,
        }
    }

    /// Nobody waits for the report, now. A guest that is early has to come again; one that was
    /// heard before and does not know it, or was rebooted by its user, has not.
    async fn excuse(&self, run: &RunId) -> Result<(), Closed> {
        let view = self.living(run).await?;
        let is_ahead = |what: &str| what.contains('.') && what != AwaitAgent::NAME;
        match view.waiting.iter().find(|waiting| is_ahead(&waiting.what)) {
            Some(waiting) => Err(Closed::NotNow(format!("{run} is still at {}", waiting.what))),
            None => Ok(()),
        }
    }
}
