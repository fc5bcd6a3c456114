//! A seed server, as small as it can be: serves one guest, keeps what it reports.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde_json::{Value, json};

#[derive(Clone, Default)]
pub struct Seed {
    desk: Arc<Mutex<Desk>>,
    pub url: String,
}

#[derive(Default)]
struct Desk {
    instance: String,
    user_data: String,
    pub fetched: Vec<String>,
    pub reports: Vec<Value>,
    pub events: Vec<Value>,
}

/// Which of the agent unit's safeguards a guest gets.
#[derive(Clone, Copy)]
pub struct Unit {
    pub requires_mount: bool,
    pub verifies: bool,
    pub upholds: bool,
}

pub const SAFE: Unit = Unit { requires_mount: true, verifies: true, upholds: true };

impl Seed {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seed = Self { desk: Arc::default(), url };
        let routes = Router::new()
            .route("/seed/{part}", get(part))
            .route("/report", post(report))
            .route("/event", post(event))
            .with_state(seed.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        seed
    }

    /// What guests get from now on.
    pub fn serve(&self, instance: &str, home: &str, token: &str, unit: Unit) {
        let document = self.document(home, token, unit);
        self.serve_raw(instance, format!("#cloud-config\n{document}"));
    }

    pub fn serve_raw(&self, instance: &str, user_data: String) {
        let mut desk = self.desk.lock().expect("a desk");
        instance.clone_into(&mut desk.instance);
        desk.user_data = user_data;
    }

    fn document(&self, home: &str, token: &str, unit: Unit) -> Value {
        let line = |wanted: bool, line: &str| {
            if wanted { format!("{line}\n") } else { String::new() }
        };
        let service = format!(
            "[Unit]\n{}[Service]\nUser=coder\n{}ExecStart=/usr/local/bin/coder agent\n",
            line(unit.requires_mount, "RequiresMountsFor=/home/coder"),
            line(unit.verifies, "ExecStartPre=/usr/local/sbin/stead-verify-home"),
        );
        let target = format!("[Unit]\n{}", line(unit.upholds, "Upholds=coder-agent.service"));
        json!({
            "mounts": [[format!("127.0.0.1:/mnt/tank/coder-home/{home}"), "/home/coder", "nfs4", "noauto,nofail,_netdev,hard,vers=4.2"]],
            "write_files": [
                { "path": "/etc/coder-agent/env", "permissions": "0600", "content": format!("CODER_AGENT_TOKEN={token}\n") },
                { "path": "/usr/local/sbin/stead-verify-home", "permissions": "0755",
                  "content": format!("#!/bin/sh\n# stead-report: {}/report\n", self.url) },
                { "path": "/etc/systemd/system/coder-agent.service", "content": service },
                { "path": "/etc/systemd/system/coder.target", "content": target },
            ],
            "runcmd": [["systemctl", "start", "--no-block", "coder.target"]],
            "reporting": { "stead": { "type": "webhook", "endpoint": format!("{}/event", self.url), "timeout": 5, "retries": 1 } },
        })
    }

    pub fn fetched(&self) -> Vec<String> {
        self.desk.lock().expect("a desk").fetched.clone()
    }

    pub fn reports(&self, stage: &str) -> Vec<Value> {
        let desk = self.desk.lock().expect("a desk");
        desk.reports.iter().filter(|report| report["stage"] == stage).cloned().collect()
    }

    pub fn events(&self) -> Vec<Value> {
        self.desk.lock().expect("a desk").events.clone()
    }
}

async fn part(State(seed): State<Seed>, Path(part): Path<String>) -> Result<String, StatusCode> {
    let mut desk = seed.desk.lock().expect("a desk");
    desk.fetched.push(part.clone());
    match part.as_str() {
        "network-config" | "vendor-data" => Ok(String::new()),
        "meta-data" => Ok(format!("instance-id: {}\nlocal-hostname: lab\n", desk.instance)),
        "user-data" => Ok(desk.user_data.clone()),
        _ => Err(StatusCode::NOT_FOUND),
    }
}

async fn report(State(seed): State<Seed>, body: String) {
    let report = serde_json::from_str(&body).expect("JSON");
    seed.desk.lock().expect("a desk").reports.push(report);
}

async fn event(State(seed): State<Seed>, body: String) {
    let event = serde_json::from_str(&body).expect("JSON");
    seed.desk.lock().expect("a desk").events.push(event);
}
