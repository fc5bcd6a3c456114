//! A plain JSON-RPC client of TrueNAS.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::rig::{DEADLINE, Rig, text};

pub struct Nas {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next: i64,
    pub notifications: Vec<Value>,
}

impl Nas {
    pub async fn connect(rig: &Rig) -> Self {
        let (socket, _) = connect_async(&rig.lab.addresses().truenas_url).await.expect("a socket");
        Self { socket, next: 1, notifications: Vec::new() }
    }

    pub async fn login(rig: &Rig) -> Self {
        let mut nas = Self::connect(rig).await;
        let answer = nas.call("auth.login_ex", Self::key(rig).await).await.expect("an answer");
        assert_eq!(answer["result"]["response_type"], "SUCCESS", "{answer}");
        nas
    }

    pub async fn key(rig: &Rig) -> Value {
        let api = rig.secret("truenas/api").await;
        json!([{ "mechanism": "API_KEY_PLAIN", "username": api["username"], "api_key": api["api_key"] }])
    }

    /// The whole answer, or `None` if the socket closed first.
    pub async fn call(&mut self, method: &str, params: Value) -> Option<Value> {
        let id = self.next;
        self.next += 1;
        self.raw(
            &json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string(),
        )
        .await;
        loop {
            let message = self.message().await?;
            if message["id"] == id {
                return Some(message);
            }
            self.notifications.push(message);
        }
    }

    pub async fn raw(&mut self, text: &str) {
        // The answer, or the end of the socket, says whether it arrived.
        let _ = self.socket.send(Message::text(text)).await;
    }

    pub async fn message(&mut self) -> Option<Value> {
        let next =
            tokio::time::timeout(DEADLINE, self.socket.next()).await.expect("an answer in time");
        match next {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).ok(),
            _ => None,
        }
    }

    /// The result of a call that must succeed.
    pub async fn ok(&mut self, method: &str, params: Value) -> Value {
        let answer = self.call(method, params).await.expect("an answer");
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The error of a call that must fail.
    pub async fn err(&mut self, method: &str, params: Value) -> Value {
        let answer = self.call(method, params).await.expect("an answer");
        assert!(answer.get("error").is_some(), "{method}: {answer}");
        answer["error"].clone()
    }

    /// The record of a job that has ended.
    pub async fn job(&mut self, id: &Value) -> Value {
        loop {
            let job = self.ok("core.get_jobs", json!([[["id", "=", id]], { "get": true }])).await;
            if !matches!(text(&job["state"]).as_str(), "WAITING" | "RUNNING") {
                return job;
            }
        }
    }

    /// A home that a guest can use.
    pub async fn home(&mut self, name: &str) {
        let id = format!("tank/coder-home/{name}");
        let mark = json!([{ "key": "stead:marker", "value": format!("run-{name}") }]);
        self.ok(
            "pool.dataset.create",
            json!([{ "name": id, "refquota": 10_i64 << 30, "user_properties": mark }]),
        )
        .await;
        let path = format!("/mnt/{id}");
        let owner =
            json!([{ "path": path, "uid": 1000, "gid": 1000, "mode": "700", "options": {} }]);
        let job = self.ok("filesystem.setperm", owner).await;
        assert_eq!(self.job(&job).await["state"], "SUCCESS");
        self.ok("sharing.nfs.create", json!([{ "path": path, "comment": format!("run-{name}") }]))
            .await;
    }
}
