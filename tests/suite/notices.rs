//! People are told by the real processes: what cannot be sent is kept, and comes once under its id.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::stage::{Setting, Stage, until};

/// A chat that is called by a webhook.
#[derive(Clone, Default)]
pub struct Chat(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    is_away: bool,
    /// Each call: its id, its signature, and what it says.
    calls: Vec<(String, String, Value)>,
}

impl Chat {
    /// Opens a chat that is away, and says where its webhook is.
    pub async fn open() -> (Self, String) {
        let chat = Self::default();
        chat.0.lock().expect("no panic").is_away = true;
        let router = Router::new().route("/hook", post(take)).with_state(chat.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (chat, url)
    }

    pub fn comes_back(&self) {
        self.0.lock().expect("no panic").is_away = false;
    }

    pub fn goes_away(&self) {
        self.0.lock().expect("no panic").is_away = true;
    }

    fn calls(&self) -> Vec<(String, String, Value)> {
        self.0.lock().expect("no panic").calls.clone()
    }
}

async fn take(State(chat): State<Chat>, headers: HeaderMap, body: String) -> StatusCode {
    let field = |name: &str| headers[name].to_str().expect("a text").to_owned();
    let mut told = chat.0.lock().expect("no panic");
    let words = serde_json::from_str(&body).expect("JSON");
    told.calls.push((field("webhook-id"), field("webhook-signature"), words));
    if told.is_away { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_sent_is_kept_while_the_engine_is_killed_and_comes_under_the_same_id() {
    let (chat, url) = Chat::open().await;
    let notify = format!(
        "[[notify]]\nname = \"chat\"\ntopics = [\"vendor-down\"]\nwebhook = \"{url}\"\n\
         secret = \"vault:secret/data/stead/webhook\"\n"
    );
    let setting = Setting { site: notify.leak(), ..Setting::default() };
    let mut stage = Stage::with(setting).await;
    let asked = stage.process(&["notify", "test"], "asked.log");
    until("the chat was called", || async { (!chat.calls().is_empty()).then_some(()) }).await;
    stage.kill_engine(0);
    drop(asked);
    let before = chat.calls().len();
    stage.start_engine(0);
    until("it is called again", || async { (chat.calls().len() > before).then_some(()) }).await;
    let shown = stage.verb(&["notify", "list"]).await;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("chat") && shown.contains("never"), "{shown}");
    chat.comes_back();
    let is_told = || async {
        let shown = stage.verb(&["notify", "list"]).await;
        String::from_utf8_lossy(&shown.stdout).contains(" ago").then_some(())
    };
    until("it is told", is_told).await;
    let calls = chat.calls();
    let (id, ..) = &calls[0];
    for (other, signature, words) in &calls {
        assert_eq!(other, id, "it is one message");
        assert!(signature.starts_with("v1,"), "{signature}");
        assert!(words.to_string().contains("wants to see whether this arrives"), "{words}");
    }
    let told = stage.verb(&["notify", "test"]).await;
    let words = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success() && words.contains("a test was sent to chat"), "{told:?}");
    assert_ne!(&chat.calls().last().expect("a call").0, id, "another test is another message");
    stage.finish().await;
}
