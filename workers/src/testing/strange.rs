//! Vendors that answer what nobody would: what is asked of them in golden histories panics nobody, tells no
//! secret, and fails in words, unless a status alone says that it is done. TrueNAS, which is spoken to in another way, lets nobody in here.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use futures_util::future::join_all;
use serde_json::Value;
use stead_runtime::worker::{AnyWorker, StepContext};
use stead_schemas::dispatch::Route;
use stead_schemas::event::Event;
use stead_schemas::transition::Transition;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::{Stage, config, run};
use crate::{Workers, WorkersConfig};

/// For so long a step may go on asking. Some do until something has come, an agent or the end of a build,
/// which an answer that says nothing of it has not.
const ASKS_FOR: Duration = Duration::from_secs(2);

/// What every call is answered, whatever it asks for.
const ANSWERS: [(u16, &str); 17] = [
    (200, ""),
    (200, "null"),
    (200, "7"),
    (200, "[]"),
    (200, "[null]"),
    (200, "{}"),
    (200, r#"{"data":null}"#),
    (200, r#"{"data":[{}]}"#),
    (200, r#"{"data":"#),
    (200, "\u{1}\u{0}<html><body>Welcome</body></html>"),
    (204, ""),
    (302, "<html>"),
    (400, "[[]]"),
    (404, "404 page not found"),
    (410, "<html>"),
    (418, r#"{"errors":7,"message":[],"detail":{}}"#),
    (500, "\u{1b}[2J"),
];

/// Those who answer so.
const STRANGE: [&str; 7] =
    ["authentik", "coder", "forgejo", "kubernetes", "proxmox", "s3", "truenas"];

type Answer = Arc<Mutex<(u16, &'static str)>>;

async fn answer(State(answer): State<Answer>) -> Response<Body> {
    let (status, body) = *answer.lock().unwrap();
    Response::builder().status(status).body(Body::from(body)).unwrap()
}

/// A vendor that says to everybody what it is told to say.
async fn vendor(said: &Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer).with_state(Arc::clone(said));
    tokio::spawn(async move { axum::serve(listener, router).await });
    place.to_string()
}

/// These workers, where everybody but Vault is that vendor.
fn at(place: &str, mut config: WorkersConfig) -> WorkersConfig {
    let url = format!("http://{place}");
    config.proxmox.address = url.parse().unwrap();
    config.truenas.address = format!("ws://{place}/api/current").parse().unwrap();
    config.coder.address = url.parse().unwrap();
    config.forgejo.as_mut().unwrap().address = url.parse().unwrap();
    config.authentik.as_mut().unwrap().address = url.parse().unwrap();
    let kubernetes = config.kubernetes.as_mut().unwrap();
    (kubernetes.address, kubernetes.registry) = (url.parse().unwrap(), url.parse().unwrap());
    let s3 = config.s3.as_mut().unwrap();
    (s3.admin, s3.address) = (Some(url.parse().unwrap()), url.parse().unwrap());
    config
}

/// Each step that a worker was asked for in a golden history, once.
fn golden() -> BTreeMap<String, Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/tests/golden");
    let mut asked = BTreeMap::new();
    for file in fs::read_dir(folder).unwrap().flatten() {
        let text = fs::read_to_string(file.path()).unwrap();
        let lines = text.lines().map(|line| Transition::decode(line.as_bytes()).unwrap());
        for event in lines.flat_map(|transition| transition.events) {
            let Event::StepScheduled(step) = event else { continue };
            let system = step.step.split('.').next().unwrap_or_default();
            if step.route == Route::Worker && STRANGE.contains(&system) {
                asked.insert(step.step, step.request);
            }
        }
    }
    asked
}

/// What becomes of each step in words; nothing if it is taken for done.
async fn ask_all(stage: &Stage, workers: &Workers) -> BTreeMap<String, Option<String>> {
    let all = workers.all();
    let ask = async |(step, request): (String, Value)| {
        let system = step.split_once('.').unwrap().0;
        let worker: &Arc<dyn AnyWorker> =
            all.iter().find(|worker| worker.system() == system).unwrap();
        let work = worker.begin(&step, StepContext::unwatched(run()), request);
        let Ok(done) = timeout(ASKS_FOR, work).await else { return (step, Some("asks on".into())) };
        stage.check_secrets(&format!("{done:?}"));
        (step, done.err().map(|failure| failure.to_string()))
    };
    join_all(golden().into_iter().map(ask)).await.into_iter().collect()
}

#[tokio::test]
async fn whatever_a_vendor_answers_a_step_fails_in_words_or_is_done_by_its_status() {
    let stage = Stage::open().await;
    let said = Answer::new(Mutex::new(ANSWERS[0]));
    let place = vendor(&said).await;
    let workers = Workers::new(at(&place, config(&stage.lab))).unwrap();
    for answer in ANSWERS {
        *said.lock().unwrap() = answer;
        for (step, words) in ask_all(&stage, &workers).await {
            match words {
                Some(words) => assert!(
                    !words.trim().is_empty() && !words.contains('\u{1b}'),
                    "{step}: {words}"
                ),
                // Of some calls the status says all.
                None => assert!(answer.0 < 300, "{answer:?}: {step} is taken for done"),
            }
        }
    }
}
