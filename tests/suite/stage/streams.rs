//! What lies in the streams, read from the server without a line of Stead's own code.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::wait::within;
use super::wire::Wire;

/// Nobody answers for a stream that is without a leader, however long one waits.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(3);

/// A message of a stream.
#[derive(Clone, Debug)]
pub struct Kept {
    pub seq: u64,
    pub subject: String,
    pub headers: String,
    pub body: Vec<u8>,
}

impl Kept {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key == name).then_some(value.trim())
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// A look at the streams of one server.
pub struct Streams {
    port: u16,
    wire: Wire,
}

impl Streams {
    pub async fn open(port: u16) -> Self {
        Self { port, wire: Wire::connect(port).await }
    }

    /// The names of all streams.
    pub async fn names(&mut self) -> Vec<String> {
        let found = self.ask("STREAM.NAMES", json!({})).await;
        let names = found["streams"].as_array().into_iter().flatten();
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The names of the streams that are the event log.
    pub async fn logs(&mut self) -> Vec<String> {
        let mut names = self.names().await;
        names.retain(|name| name.starts_with("STEAD_LOG_"));
        assert!(!names.is_empty(), "there is a log");
        names
    }

    /// How many transitions are in the log. Beside them, it holds who took a partition over.
    pub async fn transitions(&mut self) -> u64 {
        let mut count = 0;
        for stream in self.logs().await {
            let kept = self.messages(&stream).await;
            count += kept.iter().filter(|message| !message.subject.ends_with(".owner")).count();
        }
        u64::try_from(count).expect("a number")
    }

    /// The number of the last message that was written to the stream.
    pub async fn last_seq(&mut self, stream: &str) -> u64 {
        self.state(stream).await["last_seq"].as_u64().expect("a sequence")
    }

    /// How many messages the stream holds.
    pub async fn count(&mut self, stream: &str) -> u64 {
        self.state(stream).await["messages"].as_u64().expect("a number")
    }

    /// How many consumers all streams together have.
    pub async fn consumers(&mut self) -> u64 {
        let mut count = 0;
        for name in self.names().await {
            count += self.state(&name).await["consumer_count"].as_u64().expect("a number");
        }
        count
    }

    /// Everything that the stream holds, oldest first.
    pub async fn messages(&mut self, stream: &str) -> Vec<Kept> {
        let state = self.state(stream).await;
        let [first, last] = ["first_seq", "last_seq"].map(|field| state[field].as_u64().unwrap());
        let mut all = Vec::new();
        for seq in first..=last {
            let found = self.ask(&format!("STREAM.MSG.GET.{stream}"), json!({ "seq": seq })).await;
            if found["error"].is_object() {
                // Taken out of a work queue.
                continue;
            }
            all.push(kept(&found["message"]));
        }
        all
    }

    /// Changes a setting of a stream, as somebody might by hand.
    pub async fn alter(&mut self, stream: &str, setting: &str, value: Value) {
        let info = self.ask(&format!("STREAM.INFO.{stream}"), json!({})).await;
        let mut config = info["config"].clone();
        config[setting] = value;
        let altered = self.ask(&format!("STREAM.UPDATE.{stream}"), config).await;
        assert!(altered["error"].is_null(), "{stream}: {altered}");
    }

    /// Deletes a stream; false if there is none.
    pub async fn delete(&mut self, stream: &str) -> bool {
        self.ask(&format!("STREAM.DELETE.{stream}"), json!({})).await["success"] == true
    }

    /// Puts other messages in the place of what a stream holds, as somebody may who has every right. A
    /// message keeps its headers as long as it can lie where they say.
    pub async fn replace(&mut self, stream: &str, messages: &[Kept]) {
        let info = self.ask(&format!("STREAM.INFO.{stream}"), json!({})).await;
        assert!(self.delete(stream).await, "{stream} is deleted");
        let made = self.ask(&format!("STREAM.CREATE.{stream}"), info["config"].clone()).await;
        assert!(made["error"].is_null(), "{made}");
        for message in messages {
            let headers = message.headers.lines().filter_map(|line| line.split_once(": "));
            let headers: Vec<_> = headers.filter(|(name, _)| !name.contains("-Batch-")).collect();
            let (subject, body) = (&message.subject, &message.body);
            let mut kept = self.wire.request_with(subject, &headers, body).await;
            if String::from_utf8_lossy(&kept.body).contains("\"error\"") {
                kept = self.wire.request(subject, body).await;
            }
            assert!(kept.headers.is_empty(), "it is kept: {kept:?}");
        }
    }

    async fn state(&mut self, stream: &str) -> Value {
        let info = self.ask(&format!("STREAM.INFO.{stream}"), json!({})).await;
        assert!(info["error"].is_null(), "{stream}: {info}");
        info["state"].clone()
    }

    async fn ask(&mut self, what: &str, body: Value) -> Value {
        let (subject, body) = (format!("$JS.API.{what}"), body.to_string());
        let answer = within("the server answers", async {
            loop {
                let asked = self.wire.request(&subject, body.as_bytes());
                match tokio::time::timeout(ASKED_AGAIN_AFTER, asked).await {
                    Ok(answer) => return answer,
                    Err(_) => self.wire = Wire::connect(self.port).await,
                }
            }
        });
        let answer = answer.await;
        serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{what}: {answer:?}"))
    }
}

fn kept(message: &Value) -> Kept {
    let text = |field: &str| message[field].as_str().unwrap_or_default();
    let decoded = |field: &str| STANDARD.decode(text(field)).expect("base64");
    Kept {
        seq: message["seq"].as_u64().expect("a sequence"),
        subject: text("subject").to_owned(),
        headers: String::from_utf8_lossy(&decoded("hdrs")).into_owned(),
        body: decoded("data"),
    }
}
