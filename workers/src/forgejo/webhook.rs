//! The door for webhooks: Forgejo tells of a push, and the templates that are made of that branch
//! are looked at.
//!
//! | request | answer |
//! |---|---|
//! | `POST /forgejo`, signed, of a push to a branch that counts | 202: it is being looked at |
//! | the same of anything else | 204 |
//! | not signed, or with another key | 401 |
//!
//! The signature says that Forgejo has written this at some time. It says neither when nor which
//! delivery it is: whoever has seen one can send it again, under another number. So nothing that
//! it says is carried out. A `template.check` is left in the inbox, and what the branch ends with
//! is asked of Forgejo itself; what was tried before is not tried again. Its id is made of what is
//! signed and of the minute: whoever repeats one, under whatever number, has Forgejo asked once a
//! minute at most.

pub mod read;

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hmac::Mac;
use serde::Deserialize;
use serde_json::{Map, Value};
use stead_runtime::ports::Clock;
use stead_runtime::vital;
use stead_runtime::worker::Inbox;
use stead_schemas::command::template::{KIND, WEBHOOK_ID};
use stead_schemas::owner::Owner;
use stead_schemas::site::Deployment;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::StartError;
use crate::listener::{Bounded, Most};
use crate::vault::{Key, Secrets};

/// The largest webhook that is read, in bytes. Forgejo lists a few commits, and their files.
const BODY_BYTES_MAX: usize = 512 * 1024;
/// How long a request may take. Forgejo itself gives up after 5 seconds.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a connection may take to ask for everything.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(30);
/// How many connections are open at once. Nobody but Forgejo has anything to say here.
const CONNECTIONS_MAX: Most = Most { all: 64, of_one: 64 };
/// How much of a signature tells what is signed from everything else.
const SHOWN_BYTES: usize = 12;
/// A minute, in milliseconds.
const MINUTE_MS: i64 = 60_000;

/// Where webhooks come in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the door listens.
    pub listen: SocketAddr,
    /// Where the key lies that webhooks are signed with; its field is `key`.
    pub secret: String,
}

/// What is made of which repository, as it is said last.
#[derive(Clone, Default)]
pub struct Deployments(Arc<RwLock<Vec<Deployment>>>);

impl Deployments {
    /// Says it anew: pushes that come from now on are about these.
    pub fn replace(&self, deployments: Vec<Deployment>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = deployments;
    }

    fn of(&self, push: &read::Push) -> Vec<Deployment> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|one| push.is_about(one)).cloned().collect()
    }
}

impl From<Vec<Deployment>> for Deployments {
    fn from(deployments: Vec<Deployment>) -> Self {
        Self(Arc::new(RwLock::new(deployments)))
    }
}

/// A door that is open until it is shut down or dropped.
pub struct Webhooks {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Webhooks {
    pub(crate) async fn open(
        config: &Config,
        secrets: Secrets,
        deployments: Deployments,
        inbox: Arc<dyn Inbox>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let cannot = |source| StartError::Door { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let listener = Bounded::new(listener, CONNECTION_TIME_MAX, CONNECTIONS_MAX);
        let key = Key::new(config.secret.clone(), secrets);
        let router = router(Arc::new(Door { key, deployments, inbox, clock }));
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = vital::begin("the door for webhooks", async move {
            let until = async { drop(stopped.await) };
            let served = axum::serve(listener, router).with_graceful_shutdown(until).await;
            if let Err(error) = served {
                tracing::error!(%error, "the door for webhooks ended");
            }
        });
        Ok(Self { address, stop, serving })
    }

    /// Where Forgejo is to send them.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/forgejo", self.address)
    }

    /// Answers what was asked, then closes.
    pub async fn shutdown(self) {
        drop(self.stop);
        if self.serving.await.is_err() {
            tracing::error!("the door for webhooks was torn down");
        }
    }
}

/// What every request needs.
struct Door {
    key: Key,
    deployments: Deployments,
    inbox: Arc<dyn Inbox>,
    clock: Arc<dyn Clock>,
}

/// Why a webhook is not let in.
#[derive(Debug, PartialEq, Eq)]
enum Closed {
    /// It is not signed with our key.
    Unsigned,
    /// It is signed, and cannot be read.
    Unreadable(&'static str),
    /// Something that is needed does not answer. Forgejo does not send it again; whoever looks at
    /// the branch finds the push all the same.
    NotNow(String),
}

impl IntoResponse for Closed {
    fn into_response(self) -> Response {
        match self {
            Self::Unsigned => StatusCode::UNAUTHORIZED.into_response(),
            Self::Unreadable(words) => (StatusCode::BAD_REQUEST, words).into_response(),
            Self::NotNow(words) => {
                tracing::warn!(words, "a webhook is lost");
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            }
        }
    }
}

fn router(door: Arc<Door>) -> Router {
    Router::new()
        .route("/forgejo", post(take))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(in_time))
        .with_state(door)
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIME_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Closed::NotNow("it took too long".to_owned()).into_response(),
    }
}

async fn take(
    State(door): State<Arc<Door>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Closed> {
    let signed = door.check(&headers, &body).await?;
    if !read::is_push(&headers) {
        return Ok(StatusCode::NO_CONTENT);
    }
    let id = format!("{WEBHOOK_ID}{signed}-{}", door.clock.now().as_millis() / MINUTE_MS);
    let push = read::push(&body).ok_or(Closed::Unreadable("this is no push\n"))?;
    let mut looked_at = false;
    for deployment in door.deployments.of(&push) {
        door.have_looked_at(&deployment, &id).await?;
        looked_at = true;
    }
    Ok(if looked_at { StatusCode::ACCEPTED } else { StatusCode::NO_CONTENT })
}

impl Door {
    /// Whether the body is signed with our key, and how its signature begins. Takes the same time
    /// either way.
    async fn check(&self, headers: &HeaderMap, body: &[u8]) -> Result<String, Closed> {
        let given = read::signature(headers).ok_or(Closed::Unsigned)?;
        let signer = self.key.signer().await;
        let mut signer = signer.map_err(|failure| Closed::NotNow(failure.to_string()))?;
        signer.update(body);
        signer.verify_slice(&given).map_err(|_| Closed::Unsigned)?;
        Ok(given[..SHOWN_BYTES].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    async fn have_looked_at(&self, of: &Deployment, id: &str) -> Result<(), Closed> {
        let not_now = |words: String| Closed::NotNow(words);
        let owner = Owner::new(of.owner()).map_err(|error| not_now(error.to_string()))?;
        let mut fields = Map::new();
        fields.insert("id".to_owned(), Value::from(id));
        fields.insert("name".to_owned(), Value::from(of.template.clone()));
        self.inbox.leave(&owner, KIND, "check", fields).await.map_err(not_now)
    }
}

#[cfg(test)]
mod tests;
