//! What processes say of themselves over HTTP: what is shown is in the table, what is in the
//! table is shown, and whether a process lives and can do its work is the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use stead_lab::CallFault;
use stead_runtime::metric::{By, Kind, METRICS, Metric, Values};
use stead_schemas::dispatch::StepReply;
use stead_schemas::event::Outcome;
use stead_schemas::ids::RunId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fed;
use crate::stage::{Desk, Setting, Stage, Wire, free_addresses, until, within};

/// How soon `run why` says that nobody listens.
const SAID_WITHIN: Duration = Duration::from_secs(5);

/// What is at this path of a process: the status, and the text. Nothing while nobody listens.
pub async fn page(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let answer = reqwest::get(format!("http://{address}{path}")).await.ok()?;
    let status = answer.status().as_u16();
    Some((status, answer.text().await.ok()?))
}

/// One line of what Prometheus reads.
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').expect("a value");
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}').expect("an end").split("\",").filter(|l| !l.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once("=\"").expect("a label");
        (name.to_owned(), value.trim_end_matches('"').to_owned())
    };
    let (name, value) = (name.to_owned(), value.parse().expect("a number"));
    Sample { name, labels: labels.map(pair).collect(), value }
}

fn samples(text: &str) -> Vec<Sample> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(sample).collect()
}

/// What a page says of this metric.
pub fn samples_of(text: &str, metric: &Metric) -> Vec<f64> {
    let is_of = |sample: &Sample| metric_of(&sample.name).is_some_and(|of| of.name == metric.name);
    samples(text).into_iter().filter(is_of).map(|sample| sample.value).collect()
}

fn kinds(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines.filter_map(|line| line.split_once(' ')).collect()
}

/// The line of the table that a sample belongs to.
fn metric_of(sample: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| match metric.kind {
        Kind::Counter | Kind::Gauge => metric.name == sample,
        Kind::Histogram(_) => sample
            .strip_prefix(metric.name)
            .is_some_and(|end| ["_bucket", "_sum", "_count"].contains(&end)),
    })
}

/// Checks a whole page against the table.
fn check_page(text: &str, by: By) {
    let kinds = kinds(text);
    for (name, kind) in &kinds {
        let metric = METRICS.iter().find(|metric| metric.name == *name);
        let metric = metric.unwrap_or_else(|| panic!("{name} is in no table"));
        assert_eq!(metric.kind.word(), *kind, "{name}");
        assert!(metric.by.covers(by), "{name} is not for {}", by.words());
    }
    for sample in samples(text) {
        check_sample(&sample);
    }
    for metric in METRICS.iter().filter(|metric| metric.by.covers(by)) {
        let known = metric.labels.iter().all(|label| matches!(label.values, Values::These(_)));
        if known && !matches!(metric.kind, Kind::Histogram(_)) {
            assert!(kinds.contains_key(metric.name), "{} is not shown from the start", metric.name);
        }
    }
}

fn check_sample(sample: &Sample) {
    let name = &sample.name;
    let metric = metric_of(name).unwrap_or_else(|| panic!("{name} is in no table"));
    let wanted: BTreeSet<&str> = metric.labels.iter().map(|label| label.name).collect();
    let found: BTreeSet<&str> =
        sample.labels.keys().map(String::as_str).filter(|label| *label != "le").collect();
    assert_eq!(found, wanted, "{name}");
    for label in metric.labels {
        let value = &sample.labels[label.name];
        if let Values::These(values) = label.values {
            assert!(values.contains(&value.as_str()), "{name}: {} is `{value}`", label.name);
        }
        let made_up = ["john", "dragon", "zzz"].iter().any(|word| value.contains(word));
        assert!(!made_up, "{name}: {} is `{value}`, which somebody made up", label.name);
    }
}

/// The sum of all samples of this name whose labels say this.
pub fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |sample: &Sample| {
        sample.name == name
            && labels.iter().all(|(label, value)| sample.labels.get(*label).unwrap() == value)
    };
    samples(text).iter().filter(|sample| fits(sample)).map(|sample| sample.value).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shown_is_what_the_table_says() {
    let addresses = free_addresses();
    let mut stage = Stage::with(Setting { metrics: Some(addresses), ..Setting::default() }).await;
    let [engine, _, worker] = addresses;
    that_alerts_see_the_first_count([engine, worker]).await;
    let john = stage.desk("john").await;
    stage.lab.break_call_times("proxmox", "", CallFault::FailPassing, 1).expect("a vendor");
    john.carry_out("create", json!({})).await;
    john.ask("workspace", "create", json!({ "name": "dev" })).await.expect_err("it is there");
    john.ask("workspace", "zzz", json!({ "name": "dev" })).await.expect_err("no such verb");
    john.ask("dragon", "create", json!({ "name": "dev" })).await.expect_err("no such kind");
    john.carry_out("stop", json!({})).await;

    let shown = until("the engine has counted its runs", || async {
        let (_, text) = page(engine, "/metrics").await?;
        (sum(&text, "stead_runs", &[("phase", "stopped")]) > 0.0).then_some(text)
    });
    let text = shown.await;
    check_page(&text, By::Engine);
    let command = |verb, outcome| {
        let labels = [("kind", "workspace"), ("verb", verb), ("outcome", outcome)];
        sum(&text, "stead_commands_total", &labels)
    };
    let counted = [("create", "accepted"), ("create", "done"), ("create", "refused")];
    assert_eq!(counted.map(|(verb, outcome)| command(verb, outcome)), [1.0, 1.0, 1.0]);
    assert_eq!(command("stop", "done"), 1.0);
    assert!(sum(&text, "stead_commands_turned_away_total", &[("door", "api")]) >= 2.0);
    assert_eq!(sum(&text, "stead_workspace_ready_seconds_count", &[]), 1.0);
    let clone = [("system", "proxmox"), ("step", "clone-vm"), ("outcome", "done")];
    assert_eq!(sum(&text, "stead_step_seconds_count", &clone), 1.0);
    let attempts = |labels: &[(&str, &str)]| sum(&text, "stead_step_attempts_total", labels);
    assert!(attempts(&[]) - attempts(&[("outcome", "done")]) >= 1.0, "{text}");
    assert_eq!(sum(&text, "stead_partitions_owned", &[]), 2.0);
    assert!(sum(&text, "stead_append_seconds_count", &[]) > 20.0);
    assert_eq!(sum(&text, "stead_nats_connections_lost", &[]), 0.0);
    // A nought would be an alert: that a token ends now, that a copy is due.
    for of_none in ["stead_token_days_left", "stead_backup_overdue_hours"] {
        assert!(sum(&text, of_none, &[]).is_nan(), "there is neither token nor backup: {of_none}");
    }

    assert_eq!(sum(&text, "stead_owner_changes_total", &[]), 2.0);

    let (of_engine, (_, text)) = (text, page(worker, "/metrics").await.expect("it shows itself"));
    check_page(&text, By::Worker);
    fed::check(&[&of_engine, &text]);
    assert_eq!(sum(&text, "stead_worker_step_seconds_count", &clone), 1.0);
    assert_eq!(sum(&text, "stead_worker_steps_open", &[]), 0.0);
    for system in ["coder", "proxmox", "truenas", "vault"] {
        let calls = [("system", system), ("outcome", "done")];
        for name in ["stead_vendor_call_seconds_count", "stead_vendor_calls_total"] {
            assert!(sum(&text, name, &calls) > 0.0, "{system}: {name}");
        }
    }
    that_no_worker_listens_is_said_and_counted(&mut stage, &john).await;
    that_a_vendor_is_down_is_shown(&stage, &john).await;
    stage.finish().await;
}

/// What is not there before it has happened once does not grow when it does, to whoever asks by how much.
async fn that_alerts_see_the_first_count(processes: [SocketAddr; 2]) {
    let mut there = Vec::new();
    for process in processes {
        let shown = until("it shows what it counts", || async {
            let (_, text) = page(process, "/metrics").await?;
            let is_up = ["stead_commands_total", "stead_vendor_calls_total"];
            is_up.iter().any(|name| text.contains(&format!("\n{name}{{"))).then_some(text)
        });
        there.extend(samples(&shown.await));
    }
    let alerts = include_str!("../../ops/alerts/stead.yml");
    let counted = alerts.split("rate(").skip(1).chain(alerts.split("increase(").skip(1));
    let mut asked = 0;
    for selector in counted.filter_map(|rest| rest.split_once('[').map(|(before, _)| before)) {
        let (name, labels) = selector.split_once('{').unwrap_or((selector, "}"));
        let Some(metric) = metric_of(name).filter(|metric| metric.kind == Kind::Counter) else {
            continue;
        };
        asked += 1;
        let wanted: Vec<(&str, &str)> = labels
            .split(&['{', ',', '}'])
            .filter_map(|label| label.trim().split_once('='))
            .map(|(label, value)| (label, value.trim_matches(['~', '"'])))
            .collect();
        let fits = |sample: &&Sample| {
            let says = |(label, value): &(&str, &str)| {
                label.ends_with('!') || value.split('|').any(|one| sample.labels[*label] == one)
            };
            sample.name == metric.name && wanted.iter().all(says)
        };
        assert!(there.iter().any(|sample| fits(&sample)), "{selector} is not there at first");
    }
    assert!(asked > 5, "{asked} counters are asked for");
}

/// Somebody who was not asked says that a step is done.
async fn that_a_forged_answer_is_counted(stage: &Stage, john: &Desk, run: &RunId) {
    let waiting = john.view(run).await.waiting.remove(0);
    let done = serde_json::to_vec(&StepReply::Done(json!({}))).expect("an answer");
    let mut wire = Wire::connect(stage.nats.port()).await;
    for partition in 0..2 {
        let at = format!("stead.part.{partition}.answer.{run}.{}.0.guessed", waiting.seq);
        wire.publish(&at, &done).await;
    }
    let engine = stage.metrics()[0];
    until("it is counted", || async {
        let (_, text) = page(engine, "/metrics").await?;
        (sum(&text, "stead_forged_answers_total", &[]) == 1.0).then_some(())
    })
    .await;
    assert_eq!(john.view(run).await.waiting[0].seq, waiting.seq, "and changes nothing");
}

/// As long as it is down, and no longer.
async fn that_a_vendor_is_down_is_shown(stage: &Stage, john: &Desk) {
    let worker = stage.metrics()[1];
    stage.lab.break_("vault", "sealed").expect("a fault");
    let stop = john.order("stop", json!({})).await;
    until_said(worker, "/metrics", 200, "stead_vendor_down{system=\"vault\"} 1").await;
    stage.lab.mend();
    let outcome = john.outcome(&stop).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    until_said(worker, "/metrics", 200, "stead_vendor_down{system=\"vault\"} 0").await;
}

/// The worker is told to stop, and what waits for it goes on when another one is there.
async fn that_no_worker_listens_is_said_and_counted(stage: &mut Stage, john: &Desk) {
    stage.stop_worker().await;
    let start = john.order("start", json!({})).await;
    let ordered = Instant::now();
    until("`run why` says that nobody listens", || async {
        let told = stage.verb(&["run", "why", start.run.as_str()]).await;
        let said = String::from_utf8_lossy(&told.stdout).into_owned();
        said.contains("no worker listens for").then_some(())
    })
    .await;
    assert!(ordered.elapsed() < SAID_WITHIN, "said after {:?}", ordered.elapsed());
    let engine = stage.metrics()[0];
    until("the run is counted", || async {
        let (_, text) = page(engine, "/metrics").await?;
        let count = sum(&text, "stead_runs_waiting", &[("reason", "no-worker")]);
        (count == 1.0).then_some(())
    })
    .await;
    that_a_forged_answer_is_counted(stage, john, &start.run).await;
    stage.start_worker();
    let outcome = john.outcome(&start).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
}

/// Waits until a process says this of itself.
pub async fn until_said(address: SocketAddr, path: &str, status: u16, words: &str) {
    until(&format!("{path} is {status}, {words}"), || async {
        let (found, text) = page(address, path).await?;
        (found == status && text.contains(words)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_owns_nothing_is_ready_and_one_that_cannot_append_is_not() {
    let addresses = free_addresses();
    let setting =
        Setting { partitions: 1, engines: 2, metrics: Some(addresses), ..Setting::default() };
    let mut stage = Stage::with(setting).await;
    for address in addresses {
        until_said(address, "/readyz", 200, "ok").await;
    }
    let owned = async |address| {
        let (_, text) = page(address, "/metrics").await.expect("metrics");
        sum(&text, "stead_partitions_owned", &[])
    };
    let owned = [owned(addresses[0]).await, owned(addresses[1]).await];
    assert_eq!(owned.iter().sum::<f64>(), 1.0, "one of them owns nothing");

    // Everything stays connected, and nothing answers.
    stage.nats.pause();
    until_said(addresses[0], "/readyz", 503, "the engine could write no lease").await;
    until_said(addresses[0], "/healthz", 200, "ok").await;
    stage.nats.resume();
    until_said(addresses[0], "/readyz", 200, "ok").await;

    stage.nats.kill9();
    for address in addresses {
        until_said(address, "/readyz", 503, "cannot reach the NATS server").await;
    }
    let lost = "stead_nats_connections_lost{connection=\"log\"} 1";
    until_said(addresses[0], "/metrics", 200, lost).await;
    stage.nats.restart().await;
    for address in addresses {
        until_said(address, "/readyz", 200, "ok").await;
    }
    until_said(addresses[0], "/metrics", 200, &lost.replace(" 1", " 0")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_takes_nothing_is_told_of_wherever_one_looks() {
    let addresses = free_addresses();
    let setting = Setting { partitions: 1, metrics: Some(addresses), ..Setting::default() };
    let stage = Stage::with(setting).await;
    let john = stage.desk("john").await;
    john.carry_out("create", json!({})).await;
    let mut streams = stage.streams().await;
    let log = streams.logs().await.remove(0);
    // There is room for the command itself, and not for all that comes of it.
    let room = streams.count(&log).await + 2;
    streams.alter(&log, "max_msgs", json!(room)).await;
    let stop = john.order("stop", json!({})).await;
    let engine = addresses[0];
    until_said(engine, "/readyz", 503, "an append has not been acknowledged").await;
    until("the metrics say it", || async {
        let (_, text) = page(engine, "/metrics").await?;
        let waiting = sum(&text, "stead_runs_waiting", &[("reason", "log")]);
        (waiting == 1.0 && sum(&text, "stead_append_oldest_seconds", &[]) > 5.0).then_some(())
    })
    .await;
    let why = stage.verb(&["run", "why", stop.run.as_str()]).await;
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    for words in ["log: the log does not take its transition", "whoever runs NATS"] {
        assert!(why.contains(words), "{why}");
    }
    until("the engine's log says what the server answers", || async {
        let said = stage.said();
        let mut lines = said.iter().flat_map(|(_, text)| text.lines());
        let told = |line: &str| {
            line.contains("the log does not take an append") && line.contains("maximum messages")
        };
        lines.any(told).then_some(())
    })
    .await;
    streams.alter(&log, "max_msgs", json!(-1)).await;
    assert!(matches!(john.outcome(&stop).await, Outcome::Done(_)));
    until_said(engine, "/readyz", 200, "ok").await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_slow_or_asks_for_something_else_is_turned_away() {
    let addresses = free_addresses();
    let stage = Stage::with(Setting { metrics: Some(addresses), ..Setting::default() }).await;
    let address = addresses[0];
    until_said(address, "/readyz", 200, "ok").await;
    until_said(address, "/secrets", 404, "there are /metrics, /healthz and /readyz").await;

    let mut slow = TcpStream::connect(address).await.expect("it listens");
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: ").await.expect("it reads");
    let mut answer = Vec::new();
    // An error is a connection that was cut.
    within("a slow client is cut off", slow.read_to_end(&mut answer)).await.ok();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(!answer.contains("stead_"), "{answer}");

    let mut long = TcpStream::connect(address).await.expect("it listens");
    let head = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    // It need not read all of it.
    long.write_all(head.as_bytes()).await.ok();
    let mut answer = Vec::new();
    within("a long head is refused", long.read_to_end(&mut answer)).await.ok();
    assert!(!String::from_utf8_lossy(&answer).contains("stead_"));

    let posted = reqwest::Client::new().post(format!("http://{address}/metrics")).send().await;
    assert_eq!(posted.expect("an answer").status().as_u16(), 405);
    drop(stage);
}
