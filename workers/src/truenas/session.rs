//! One logged-in WebSocket: JSON-RPC 2.0, many calls at a time, told apart by their ids. A task
//! of its own moves the messages; when the socket closes, whoever waits for an answer learns
//! that it will not come. Connecting again is `client.rs`'s business.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use stead_runtime::vital;
use stead_schemas::failure::{Class, Failure};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::classify::{RpcError, classify};
use crate::http::Effect;
use crate::measured::Call;
use crate::trouble::Trouble;
use crate::vault::Secret;

/// The middleware queues what is above 10 and refuses what is above 20.
const CALLS_AT_ONCE: usize = 10;
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long connecting and logging in may take.
const LOGIN_TIME_MAX: Duration = Duration::from_secs(30);
/// Giving up closes the socket, and TrueNAS then cancels what runs on it: so be patient.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(15 * 60);
/// How often an idle socket is tried; one that stays silent for two beats is dead.
const BEAT: Duration = Duration::from_secs(20);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Answer = Result<Value, RpcError>;

/// A connection on which we are logged in.
pub(super) struct Session {
    outbox: mpsc::Sender<Message>,
    line: Arc<Line>,
    slots: Semaphore,
}

/// What the moving task and the callers share.
struct Line {
    calls: Mutex<Calls>,
    /// Counts what was heard about jobs; its number means nothing.
    jobs: watch::Sender<u64>,
}

#[derive(Default)]
struct Calls {
    next: u64,
    is_closed: bool,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
}

impl Session {
    /// Connects and logs in with the API key in `secret`. Everybody waits for it, so that it takes no
    /// longer than [`LOGIN_TIME_MAX`].
    pub(super) async fn open(address: &str, secret: &Secret) -> Result<Self, Failure> {
        let silent =
            |_| Failure::new(Class::VendorDown, "TrueNAS did not answer our login in time");
        let entered = tokio::time::timeout(LOGIN_TIME_MAX, Self::entered(address, secret)).await;
        entered.map_err(silent)?
    }

    async fn entered(address: &str, secret: &Secret) -> Result<Self, Failure> {
        let entering = async {
            let session = Self::on(connect(address).await?);
            session.log_in(secret).await?;
            Ok(session)
        };
        let session: Self = Call::login("truenas").measured::<_, Failure>(entering).await?;
        session.call("core.subscribe", json!(["core.get_jobs"]), Effect::None).await?;
        Ok(session)
    }

    fn on(socket: Socket) -> Self {
        let (outbox, letters) = mpsc::channel(CALLS_AT_ONCE);
        let line = Arc::new(Line { calls: Mutex::default(), jobs: watch::Sender::new(0) });
        vital::begin("a session with TrueNAS", carry(socket, letters, line.clone()));
        Self { outbox, line, slots: Semaphore::new(CALLS_AT_ONCE) }
    }

    async fn log_in(&self, secret: &Secret) -> Result<(), Failure> {
        let login = json!([{
            "mechanism": "API_KEY_PLAIN",
            "username": secret.field("username")?,
            "api_key": secret.field("api_key")?,
        }]);
        let answer = self.answered("auth.login_ex", login, Effect::None).await?;
        match answer["response_type"].as_str().unwrap_or_default() {
            "SUCCESS" => Ok(()),
            "EXPIRED" => Err(Failure::new(Class::Auth, "our TrueNAS key has expired")),
            "REDIRECT" => Err(Failure::new(Class::VendorDown, "this TrueNAS is the standby node")),
            kind => Err(Failure::new(Class::Auth, "TrueNAS does not accept our key").vendor(kind)),
        }
    }

    /// Calls a method and waits for its answer.
    pub(super) async fn call(
        &self,
        method: &str,
        params: Value,
        effect: Effect,
    ) -> Result<Value, Trouble> {
        Call::of("truenas", effect).measured(self.answered(method, params, effect)).await
    }

    async fn answered(
        &self,
        method: &str,
        params: Value,
        effect: Effect,
    ) -> Result<Value, Trouble> {
        let Ok(_slot) = self.slots.acquire().await else { return Err(closed(Class::Retry)) };
        let (id, answer) = self.line.expect_answer()?;
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        if self.outbox.send(Message::text(call.to_string())).await.is_err() {
            return Err(closed(Class::Retry));
        }
        match tokio::time::timeout(ANSWER_TIME_MAX, answer).await {
            Ok(Ok(answer)) => answer.map_err(|error| classify(&error, effect)),
            Ok(Err(_)) => Err(closed(effect.when_lost())),
            Err(_) => {
                self.line.close();
                Err(Trouble::new(effect.when_lost(), "TrueNAS did not answer in time"))
            }
        }
    }

    /// Whether the socket is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.line.calls().is_closed
    }

    /// Hears whenever some job has changed.
    pub(super) fn jobs(&self) -> watch::Receiver<u64> {
        self.line.jobs.subscribe()
    }
}

impl Line {
    fn calls(&self) -> std::sync::MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect_answer(&self) -> Result<(u64, oneshot::Receiver<Answer>), Trouble> {
        let (sender, answer) = oneshot::channel();
        let mut calls = self.calls();
        if calls.is_closed {
            return Err(closed(Class::Retry));
        }
        calls.next += 1;
        let id = calls.next;
        calls.waiting.insert(id, sender);
        Ok((id, answer))
    }

    /// From here on no call is taken in, and those that wait are told so.
    fn close(&self) {
        let mut calls = self.calls();
        calls.is_closed = true;
        calls.waiting.clear();
    }

    fn hear(&self, text: &str) {
        let Ok(message) = serde_json::from_str::<Value>(text) else { return };
        match message["id"].as_u64() {
            Some(id) => self.deliver(id, message),
            None if message["params"]["collection"] == "core.get_jobs" => {
                self.jobs.send_modify(|heard| *heard = heard.wrapping_add(1));
            }
            None => {}
        }
    }

    fn deliver(&self, id: u64, mut message: Value) {
        let Some(caller) = self.calls().waiting.remove(&id) else { return };
        let answer = match message.get_mut("error").map(Value::take) {
            Some(error) if !error.is_null() => {
                Err(serde_json::from_value(error).unwrap_or_default())
            }
            _ => Ok(message["result"].take()),
        };
        // The caller may have given up; then nobody wants to know.
        drop(caller.send(answer));
    }
}

fn closed(class: Class) -> Trouble {
    Trouble::new(class, "the connection to TrueNAS closed before its answer was here")
}

/// Moves messages until the socket closes or nobody holds the session any more.
async fn carry(mut socket: Socket, mut letters: mpsc::Receiver<Message>, line: Arc<Line>) {
    let mut beat = tokio::time::interval(BEAT);
    let mut silent_beats = 0;
    while !line.calls().is_closed && silent_beats <= 2 {
        tokio::select! {
            letter = letters.recv() => {
                let Some(letter) = letter else { break };
                if !is_sent(&mut socket, letter).await {
                    break;
                }
            }
            heard = socket.next() => {
                silent_beats = 0;
                match heard {
                    Some(Ok(Message::Text(text))) => line.hear(&text),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                    Some(Ok(_)) => {}
                }
            }
            _ = beat.tick() => {
                silent_beats += 1;
                if !is_sent(&mut socket, Message::Ping(Vec::new().into())).await {
                    break;
                }
            }
        }
    }
    line.close();
}

/// Sends a message; whoever takes none for as long as a beat is gone.
async fn is_sent(socket: &mut Socket, message: Message) -> bool {
    tokio::time::timeout(BEAT, socket.send(message)).await.is_ok_and(|sent| sent.is_ok())
}

async fn connect(address: &str) -> Result<Socket, Failure> {
    let down =
        |said: String| Failure::new(Class::VendorDown, "TrueNAS cannot be reached").vendor(said);
    let connecting = tokio_tungstenite::connect_async_with_config(address, None, true);
    match tokio::time::timeout(CONNECT_TIME_MAX, connecting).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(down(error.to_string())),
        Err(_) => Err(down("no connection in time".to_owned())),
    }
}
