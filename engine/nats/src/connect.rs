//! The way to the server: several connections, so that a bulk read does not hold up an
//! acknowledgement and a flood of steps does not hold up a lease.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{Context, ContextBuilder};
use async_nats::{Client, ConnectOptions, Event, Request, RequestErrorKind, ServerAddr};
use stead_runtime::metric;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::access::{self, KeyError, inbox_prefix};
use crate::pause::Pause;
use crate::seal::Keys;

/// The oldest server whose promises the event log rests on: with fsync on every append, older
/// ones can lose acknowledged messages when the power fails.
pub const SERVER_MIN: (i64, i64, i64) = (2, 15, 1);
/// How long one request to JetStream may take before its outcome counts as unknown.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// A connection that is silent this long is asked whether it lives; after three silences it is
/// given up and made anew.
const PING_EVERY: Duration = Duration::from_secs(10);
/// Messages that may wait in one subscription before the client drops some.
const SUBSCRIPTION_CAPACITY: usize = 128 * 1024;

/// Where the server is and who we are.
#[derive(Clone)]
pub struct ConnectSettings {
    /// One address, or several with commas between: `nats://127.0.0.1:4222`.
    pub url: String,
    /// What the server's own lists call us: `stead-engine`.
    pub name: String,
    /// How we prove who we are.
    pub login: Login,
    /// A file with the certificate authority that signed the server's certificate.
    pub tls_ca: Option<PathBuf>,
    /// What replies to us start with, where permissions ask for more than `_INBOX`. Whoever logs in
    /// by a key has one of its own without saying so.
    pub inbox_prefix: Option<String>,
    /// What the subjects of the JetStream API begin with; for those outside the streams' account it
    /// is not `$JS.API`.
    pub js_prefix: Option<String>,
    /// What commands say that they come from; nobody checks it.
    pub says: Option<String>,
    /// Whether everybody who gives commands comes from another account of the server, which then
    /// says who it is.
    pub callers_are_proved: bool,
    /// The keys to payloads that are sealed, where they are to be.
    pub keys: Keys,
    /// How long to try for the first connection. Later ones are tried for ever.
    pub patience: Duration,
}

/// How we prove who we are.
#[derive(Clone, Default)]
pub enum Login {
    /// Not at all, or by the address.
    #[default]
    None,
    /// By a user name and a password.
    Password {
        /// The user.
        user: String,
        /// The password; it is never shown.
        password: String,
    },
    /// By a credentials file.
    Credentials(PathBuf),
    /// By a key: its seed, which is never shown and never sent.
    Key(String),
}

impl ConnectSettings {
    /// Settings without a login, for the server at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            name: name.into(),
            login: Login::None,
            tls_ca: None,
            inbox_prefix: None,
            js_prefix: None,
            says: None,
            callers_are_proved: false,
            keys: Keys::default(),
            patience: Duration::from_secs(5),
        }
    }

    /// The addresses without the secrets they may hold.
    fn shown_url(&self) -> String {
        let shown =
            self.url.split(',').map(|url| match (url.split_once("://"), url.rsplit_once('@')) {
                (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
                (None, Some((_, host))) => host.to_string(),
                _ => url.to_string(),
            });
        shown.collect::<Vec<_>>().join(",")
    }
}

// By hand, so that no secret can reach a log.
impl fmt::Debug for ConnectSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ConnectSettings")
            .field("url", &self.shown_url())
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address cannot be read.
    #[error("`{url}` is not the address of a NATS server; one looks like nats://127.0.0.1:4222")]
    Address {
        /// The address without secrets.
        url: String,
    },
    /// The credentials file cannot be read.
    #[error("the credentials file {} cannot be read", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The key's seed is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The server knows us not, or not with this password.
    #[error("the NATS server at {url} refuses this login")]
    Login {
        /// The address without secrets.
        url: String,
    },
    /// Nobody there.
    #[error("no NATS server answers at {url}")]
    Silent {
        /// The address without secrets.
        url: String,
        /// What went wrong last.
        source: async_nats::ConnectError,
    },
    /// The server may lose what it has acknowledged.
    #[error(
        "the NATS server at {url} is version {found}; stead needs 2.15.1 or newer, because older \
         ones can lose acknowledged events"
    )]
    TooOld {
        /// The address without secrets.
        url: String,
        /// The version it says it is.
        found: String,
    },
}

/// Open connections to the server. Cheap to clone; they reconnect by themselves, for ever.
#[derive(Clone)]
pub struct Connection {
    /// For appends alone: their acknowledgements wait behind nothing.
    pub(crate) log: Client,
    /// Changes whenever that connection breaks: what it was waiting for will not come.
    pub(crate) log_broken: watch::Receiver<u64>,
    /// For steps and answers. A request that nobody listens to comes back only to the connection
    /// that sent it, so the partition's inbox must be on this one too.
    pub(crate) bus: Client,
    /// For leases alone: whoever cannot renew one in time stops work on a partition.
    pub(crate) leases: Client,
    /// JetStream, through `leases`.
    pub(crate) leases_js: Context,
    /// For all the rest.
    pub(crate) api: Client,
    /// JetStream, through `api`.
    pub(crate) js: Context,
    /// What the subjects of its API begin with.
    pub(crate) js_prefix: String,
    /// What commands say that they come from.
    pub(crate) says: Option<String>,
    /// Whether the server says who gives commands.
    pub(crate) callers_are_proved: bool,
    /// The keys to what is sealed.
    pub(crate) keys: Keys,
}

/// What the subjects of the JetStream API begin with in the streams' own account.
const JS_PREFIX: &str = "$JS.API";

impl Connection {
    /// Whether every part of it stands this moment.
    #[must_use]
    pub fn stands(&self) -> bool {
        let parts = [&self.log, &self.bus, &self.leases, &self.api];
        parts.iter().all(|client| client.connection_state() == State::Connected)
    }

    /// Waits until the server has taken in everything sent so far, some seconds at most. Whoever
    /// ends does so last: what a client still holds when it goes is never sent.
    pub async fn flush(&self) {
        let parts = [&self.log, &self.bus, &self.leases, &self.api];
        futures_util::future::join_all(parts.map(until_heard)).await;
    }

    /// Whether JetStream answers: in a cluster it does once its servers have agreed on a leader.
    pub async fn has_jetstream(&self) -> bool {
        self.js.query_account().await.is_ok()
    }
}

/// Waits until the server has taken in everything that this client sent, subscriptions above all.
///
/// The client's own flush only fills the network. The server works through one connection in
/// order, so that its answer to a request sent now, that nobody listens, comes after the rest.
pub(crate) async fn until_heard(client: &Client) {
    let request = Request::new().timeout(Some(ANSWER_WITHIN));
    match client.send_request(client.new_inbox(), request).await {
        Err(error) if error.kind() != RequestErrorKind::NoResponders => {
            tracing::warn!(%error, "cannot tell whether the server has heard everything");
        }
        _ => {}
    }
}

/// Connects, and makes sure that the server can keep what it promises.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(settings: &ConnectSettings) -> Result<Connection, ConnectError> {
    let (broken, log_broken) = watch::channel(0);
    let log = connect_one(settings, "log", &broken).await?;
    let unheard = watch::channel(0).0;
    let bus = connect_one(settings, "bus", &unheard).await?;
    let leases = connect_one(settings, "leases", &unheard).await?;
    let api = connect_one(settings, "api", &unheard).await?;
    if !log.is_server_compatible(SERVER_MIN.0, SERVER_MIN.1, SERVER_MIN.2) {
        let found = log.server_info().version;
        return Err(ConnectError::TooOld { url: settings.shown_url(), found });
    }
    let js_prefix = settings.js_prefix.clone().unwrap_or_else(|| JS_PREFIX.to_owned());
    let jetstream = |client: &Client| {
        let builder = ContextBuilder::new().timeout(ANSWER_WITHIN).api_prefix(&js_prefix);
        builder.build(client.clone())
    };
    Ok(Connection {
        leases_js: jetstream(&leases),
        js: jetstream(&api),
        log,
        log_broken,
        bus,
        leases,
        api,
        js_prefix,
        says: settings.says.clone(),
        callers_are_proved: settings.callers_are_proved,
        keys: settings.keys.clone(),
    })
}

async fn connect_one(
    settings: &ConnectSettings,
    what: &'static str,
    broken: &watch::Sender<u64>,
) -> Result<Client, ConnectError> {
    use async_nats::ConnectErrorKind::{Authentication, AuthorizationViolation, ServerParse};

    let deadline = Instant::now() + settings.patience;
    let addresses = addresses(settings)?;
    let mut pause = Pause::new();
    loop {
        let error = match options(settings, what, broken).await?.connect(&addresses[..]).await {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        let url = settings.shown_url();
        match error.kind() {
            Authentication | AuthorizationViolation => return Err(ConnectError::Login { url }),
            ServerParse => return Err(ConnectError::Address { url }),
            _ if Instant::now() >= deadline => {
                return Err(ConnectError::Silent { url, source: error });
            }
            _ => pause.wait().await,
        }
    }
}

fn addresses(settings: &ConnectSettings) -> Result<Vec<ServerAddr>, ConnectError> {
    let parsed: Result<Vec<ServerAddr>, _> =
        settings.url.split(',').map(|url| url.trim().parse()).collect();
    parsed.map_err(|_| ConnectError::Address { url: settings.shown_url() })
}

async fn options(
    settings: &ConnectSettings,
    what: &'static str,
    broken: &watch::Sender<u64>,
) -> Result<ConnectOptions, ConnectError> {
    let broken = broken.clone();
    let standing = Standing::new(what);
    let mut options = ConnectOptions::new()
        .name(format!("{}/{what}", settings.name))
        .ping_interval(PING_EVERY)
        .max_reconnects(None)
        .reconnect_delay_callback(reconnect_delay)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .event_callback(move |event| {
            if event == Event::Disconnected {
                broken.send_modify(|times| *times += 1);
            }
            standing.note(&event);
            tell(&event);
            std::future::ready(())
        });
    if let Some(prefix) = inbox_prefix_of(settings)? {
        options = options.custom_inbox_prefix(prefix);
    }
    if let Some(ca) = &settings.tls_ca {
        options = options.add_root_certificates(ca.clone());
    }
    match &settings.login {
        Login::None => Ok(options),
        Login::Password { user, password } => {
            Ok(options.user_and_password(user.clone(), password.clone()))
        }
        Login::Key(seed) => Ok(options.nkey(seed.trim().to_owned())),
        Login::Credentials(path) => options
            .credentials_file(path)
            .await
            .map_err(|source| ConnectError::Credentials { path: path.clone(), source }),
    }
}

fn inbox_prefix_of(settings: &ConnectSettings) -> Result<Option<String>, KeyError> {
    match (&settings.inbox_prefix, &settings.login) {
        (Some(prefix), _) => Ok(Some(prefix.clone())),
        (None, Login::Key(seed)) => access::public_key(seed).map(|key| Some(inbox_prefix(&key))),
        (None, Login::None | Login::Password { .. } | Login::Credentials(_)) => Ok(None),
    }
}

/// Soon at first, since a server usually comes back at once, then every two seconds.
fn reconnect_delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or(u32::MAX).min(7);
    Duration::from_millis(20 * 2_u64.pow(doublings)).min(Duration::from_secs(2))
}

/// Whether a connection stands, as metrics show it.
struct Standing {
    connection: &'static str,
    is_lost: AtomicBool,
}

impl Standing {
    const fn new(connection: &'static str) -> Self {
        Self { connection, is_lost: AtomicBool::new(false) }
    }

    fn note(&self, event: &Event) {
        let connection = [self.connection];
        match event {
            Event::Connected => metric::NATS_CONNECTS.count(connection),
            Event::Disconnected => metric::NATS_DISCONNECTS.count(connection),
            Event::LameDuckMode
            | Event::Draining
            | Event::Closed
            | Event::SlowConsumer(_)
            | Event::ServerError(_)
            | Event::ClientError(_) => return,
        }
        let is_lost = *event == Event::Disconnected;
        if self.is_lost.swap(is_lost, Relaxed) != is_lost {
            metric::NATS_LOST.step(if is_lost { 1.0 } else { -1.0 }, connection);
        }
    }
}

fn tell(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to the NATS server"),
        Event::Disconnected => tracing::warn!("lost the connection to the NATS server"),
        Event::LameDuckMode => tracing::info!("the NATS server is about to stop"),
        Event::Draining | Event::Closed => tracing::debug!("a NATS connection is closed"),
        Event::SlowConsumer(subscription) => {
            metric::NATS_SLOW.count([]);
            tracing::warn!(
                subscription,
                "messages come faster than we read them; some are dropped"
            );
        }
        Event::ServerError(error) => tracing::warn!(%error, "the NATS server complains"),
        Event::ClientError(error) => tracing::warn!(%error, "the NATS connection has trouble"),
    }
}

#[cfg(test)]
mod tests {
    use stead_runtime::metric::kept::Kept;

    use super::{Event, tell};

    #[test]
    fn messages_that_came_too_fast_are_counted() {
        let kept = Kept::default();
        kept.during(|| tell(&Event::SlowConsumer(7)));
        assert_eq!(kept.counts("stead_nats_slow_consumer_total"), [1]);
    }
}
