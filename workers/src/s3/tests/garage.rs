//! A real Garage, where there is one: `STEAD_GARAGE` names the program, or it lies in `.tools`.
//! `cargo install garage --version 2.5.0 --root .tools/garage-2.5.0` puts it there.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use stead_contract::skipped;
use tokio::time::Instant;

use super::super::generic;
use super::life;
use crate::testing::{Stage, config};
use crate::{Workers, s3};

const TOKEN: &str = "vault:secret/data/s3/real";
const DEADLINE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A server of its own, which ends with the test.
struct Garage {
    child: Child,
    admin: String,
    address: String,
    _folder: tempfile::TempDir,
}

impl Drop for Garage {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/garage-2.5.0/bin/garage");
    let named = std::env::var_os("STEAD_GARAGE").map(PathBuf::from);
    named.or_else(|| Some(ours).filter(|program| program.exists()))
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

impl Garage {
    async fn start(program: &Path, token: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let (rpc, s3, admin) = (free_port(), free_port(), free_port());
        let secret = "5f".repeat(32);
        let text = format!(
            "metadata_dir = \"{at}/meta\"\ndata_dir = \"{at}/data\"\ndb_engine = \"sqlite\"\n\
             replication_factor = 1\nrpc_bind_addr = \"127.0.0.1:{rpc}\"\n\
             rpc_public_addr = \"127.0.0.1:{rpc}\"\nrpc_secret = \"{secret}\"\n\
             [s3_api]\ns3_region = \"garage\"\napi_bind_addr = \"127.0.0.1:{s3}\"\n\
             [admin]\napi_bind_addr = \"127.0.0.1:{admin}\"\nadmin_token = \"{token}\"\n"
        );
        let file = folder.path().join("garage.toml");
        std::fs::write(&file, text).unwrap();
        let log = std::fs::File::create(folder.path().join("garage.log")).unwrap();
        let child = Command::new(program)
            .arg("-c")
            .arg(&file)
            .args(["server", "--single-node"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let url = |port| format!("http://127.0.0.1:{port}");
        let garage = Self { child, admin: url(admin), address: url(s3), _folder: folder };
        garage.is_healthy(token).await;
        garage
    }

    async fn is_healthy(&self, token: &str) {
        let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
        let deadline = Instant::now() + DEADLINE;
        loop {
            let url = format!("{}/v2/GetClusterHealth", self.admin);
            let answer = client.get(url).bearer_auth(token).send().await;
            let text = match answer {
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            if text.contains("healthy") && !text.contains("unhealthy") {
                return;
            }
            assert!(Instant::now() < deadline, "Garage did not come up: {text}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

#[tokio::test]
async fn a_bucket_lives_and_dies_in_a_real_garage() {
    let Some(program) = program() else {
        return skipped("no Garage is at hand; STEAD_GARAGE=/path/to/garage names one");
    };
    let stage = Stage::open().await;
    let token = "canary-of-a-real-garage";
    let garage = Garage::start(&program, token).await;
    let values = BTreeMap::from([("token", token.to_owned())]);
    stage.workers.secrets().write(TOKEN, &values, 0).await.unwrap();
    let mut config = config(&stage.lab);
    config.s3 = Some(s3::Config {
        admin: Some(garage.admin.parse().unwrap()),
        address: garage.address.parse().unwrap(),
        region: "garage".to_owned(),
    });
    let workers = Workers::new(config).unwrap();
    life::live(&stage, &workers, TOKEN).await;
    assert!(stage.lab.requests().iter().all(|call| call.vendor == "vault"));
}

#[tokio::test]
async fn a_bucket_lives_and_dies_in_a_real_garage_whose_administration_nobody_asks() {
    let Some(program) = program() else {
        return skipped("no Garage is at hand; STEAD_GARAGE=/path/to/garage names one");
    };
    let stage = Stage::open().await;
    let token = "canary-of-a-real-garage";
    let garage = Garage::start(&program, token).await;
    // Whoever runs a site makes this key by hand.
    let body = json!({ "name": "site", "allow": { "createBucket": true } });
    let url = format!("{}/v2/CreateKey", garage.admin);
    let header = ("authorization", format!("Bearer {token}"));
    let key = stage.as_stranger(Method::POST, &url, header, body).await;
    let text = |field: &str| key[field].as_str().unwrap().to_owned();
    let (id, secret) = (text("accessKeyId"), text("secretAccessKey"));
    generic::tests::live_with(&stage, &garage.address, &id, &secret).await;
}
