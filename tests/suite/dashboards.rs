//! The dashboards: Grafana can read them, they ask only for metrics that there are, and a real
//! Prometheus that scrapes a stage under load has something to show in every panel. So do the
//! alerts.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use stead_contract::{Specs, skipped};
use stead_lab::CallFault;
use stead_runtime::metric::{Kind, METRICS, Metric};
use tempfile::TempDir;

use crate::incidents::Bundle;
use crate::stage::{Desk, Setting, Stage, free_addresses, until};

fn ops() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops")
}

fn dashboards() -> Vec<(String, Value)> {
    let folder = ops().join("grafana/dashboards");
    let files = std::fs::read_dir(folder).expect("the folder of dashboards");
    let mut all: Vec<(String, Value)> = files
        .map(|file| {
            let path = file.expect("a file").path();
            let text = std::fs::read(&path).expect("readable");
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, serde_json::from_slice(&text).expect("JSON"))
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// The queries of a dashboard, each with the title of its panel.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let of_panel = |panel: &Value| {
        let title = panel["title"].as_str().expect("a title").to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        let query = |target: Value| target["expr"].as_str().expect("a query").to_owned();
        targets.into_iter().map(move |target| (title.clone(), query(target))).collect::<Vec<_>>()
    };
    panels.iter().flat_map(of_panel).collect()
}

/// The metrics that a query names.
fn metrics_in(query: &str) -> BTreeSet<&str> {
    let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("stead_")).collect()
}

/// The line of the table that knows it, as Prometheus stores it.
fn table_line(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| match metric.kind {
        Kind::Counter | Kind::Gauge => metric.name == name,
        Kind::Histogram(_) => {
            ["_bucket", "_sum", "_count"].iter().any(|end| format!("{}{end}", metric.name) == name)
        }
    })
}

#[test]
fn grafana_can_read_every_dashboard() {
    let Some(specs) = Specs::find() else { return };
    let schema = specs.file("grafana/dashboard.jsonschema.json");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for (name, dashboard) in dashboards() {
        let faults = validator.iter_errors(&dashboard);
        let faults: Vec<_> =
            faults.map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
        assert!(faults.is_empty(), "{name}: {faults:#?}");
    }
}

#[test]
fn dashboards_and_alerts_ask_only_for_metrics_that_there_are() {
    let mut asked = 0;
    for (name, dashboard) in dashboards() {
        assert_eq!(dashboard["uid"], name);
        for (title, query) in queries(&dashboard) {
            asked += 1;
            assert!(!metrics_in(&query).is_empty(), "{name}: {title}");
            for metric in metrics_in(&query) {
                assert!(table_line(metric).is_some(), "{name}: {title}: there is no {metric}");
            }
        }
    }
    assert!(asked > 40, "{asked} queries");
    let alerts = std::fs::read_to_string(ops().join("alerts/stead.yml")).expect("the alerts");
    for line in alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")) {
        for metric in metrics_in(line) {
            assert!(table_line(metric).is_some(), "there is no {metric}");
        }
    }
}

#[test]
fn every_metric_is_on_a_dashboard() {
    let queries: Vec<_> =
        dashboards().iter().flat_map(|(_, dashboard)| queries(dashboard)).collect();
    let asked: BTreeSet<&str> = queries.iter().flat_map(|(_, query)| metrics_in(query)).collect();
    for metric in METRICS {
        let parts = ["", "_bucket", "_sum", "_count"].map(|end| format!("{}{end}", metric.name));
        let is_shown = parts.iter().any(|name| asked.contains(name.as_str()));
        assert!(is_shown, "{} is on no dashboard", metric.name);
    }
}

#[test]
fn whatever_a_dashboard_lets_one_choose_chooses_in_each_panel_that_could() {
    for (name, dashboard) in dashboards() {
        let choices = choices(&dashboard);
        for (title, query) in queries(&dashboard) {
            for (_, label) in &choices {
                let mut metrics = metrics_in(&query).into_iter().filter_map(table_line);
                let has_it = metrics.any(|metric| metric.labels.iter().any(|it| it.name == label));
                let chooses = query.contains(&format!("{label}=~\"${label}\""));
                assert_eq!(chooses, has_it, "{name}: {title}: {query}");
            }
        }
    }
}

/// A Prometheus that scrapes a stage. Killed when dropped.
struct Prometheus {
    child: Child,
    at: SocketAddr,
    _dir: TempDir,
}

impl Prometheus {
    fn start(program: &Path, at: SocketAddr, targets: &[SocketAddr]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
        let config = json!({
            "global": { "scrape_interval": "500ms", "scrape_timeout": "500ms" },
            "scrape_configs": [{ "job_name": "stead", "static_configs": [{ "targets": targets }] }],
        });
        // JSON is YAML, too.
        let file = dir.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string()).expect("a file");
        let child = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={at}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("prometheus starts");
        Self { child, at, _dir: dir }
    }

    /// The numbers that a query comes to; nothing if it comes to none. Not a number is none.
    async fn ask(&self, query: &str) -> Option<Vec<f64>> {
        let client = reqwest::Client::new();
        let request = client.get(format!("http://{}/api/v1/query", self.at));
        let answer = request.query(&[("query", query)]).send().await.ok()?;
        let answer: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        assert!(answer["status"] == "success" || answer["errorType"] != "bad_data", "{answer}");
        let found = answer["data"]["result"].as_array()?.iter();
        let number = |found: &Value| found["value"][1].as_str()?.parse::<f64>().ok();
        let numbers: Vec<f64> = found.filter_map(number).filter(|value| !value.is_nan()).collect();
        (!numbers.is_empty()).then_some(numbers)
    }

    /// Waits until a query comes to more than nought.
    async fn until_above_0(&self, query: &str) {
        until(&format!("{query} is above 0"), || async {
            self.ask(query).await?.iter().any(|value| *value > 0.0).then_some(())
        })
        .await;
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // An error is a process that has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The Prometheus to run, if there is one.
fn program() -> Option<PathBuf> {
    let named = std::env::var_os("STEAD_PROMETHEUS").map(PathBuf::from);
    let in_tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/prometheus");
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let folders = named.into_iter().chain([in_tools]).chain(std::env::split_paths(&on_path));
    let found = folders.map(|folder| folder.join("prometheus")).find(|path| path.is_file());
    assert!(
        found.is_some() || std::env::var_os("CI").is_none(),
        "there is no Prometheus, and where CI is set nothing is skipped (STEAD_PROMETHEUS)"
    );
    found
}

/// A query as Grafana would ask it: over the time of this test, and for everything.
fn as_asked(query: &str) -> String {
    query.replace("$__rate_interval", "10m").replace("$kind", ".*").replace("$system", ".*")
}

/// What a query comes to that falls back on 0.
const FALLBACKS: [&str; 2] = [" or on() vector(0)", " or vector(0)"];

/// The query without what it falls back on.
fn without_fallback(query: &str) -> &str {
    FALLBACKS.iter().find_map(|fallback| query.strip_suffix(fallback)).unwrap_or(query)
}

/// What a dashboard lets one choose from, each as a query and as the label that is chosen from.
fn choices(dashboard: &Value) -> Vec<(String, String)> {
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let asked = variables.iter().filter(|variable| variable["type"] == "query");
    let choice = |variable: &Value| {
        let query = variable["query"].as_str().expect("a query");
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (metric, label) = inner.and_then(|it| it.split_once(", ")).expect("values of a label");
        (format!("count by ({label}) ({metric}{{{label}!=\"\"}})"), label.to_owned())
    };
    asked.map(choice).collect()
}

/// What a site has besides, that is shown: a pool, a limit, a backup.
const SITE: &str = "
[[pool]]
name = \"debian\"
template = \"debian-12\"
ready = 2

[[limits]]
name = \"clones per node\"
steps = [\"proxmox.clone-vm\"]
per = \"node\"
at_once = 2

[[backups]]
name = \"homes\"
cron = \"0 3 29 2 *\"
of.zfs = { dataset = \"tank/coder-home\", target = \"backup/coder-home\" }
";

/// What the stage is busy with: creates, troubled ones too, changes, refusals, deletes.
async fn load(stage: &Stage, desk: &Desk, round: usize) {
    stage.lab.break_call_times("proxmox", "", CallFault::FailPassing, 1).expect("a vendor");
    desk.carry_out("create", json!({})).await;
    desk.ask("workspace", "create", json!({ "name": "dev" })).await.expect_err("it is there");
    desk.carry_out("stop", json!({})).await;
    desk.carry_out("start", json!({})).await;
    let bad = serde_json::from_value(json!({ "name": "dev", "colour": "red" })).expect("fields");
    let published = stage.client.publish_command(&desk.owner, "workspace", "create", &bad).await;
    published.expect("the inbox takes it");
    if round > 0 {
        let call = "POST /workspaces";
        stage.lab.break_call_times("coder", call, CallFault::FailLasting, 1).expect("a vendor");
        let troubled =
            desk.ask("workspace", "create", json!({ "name": format!("t{round}") })).await;
        desk.outcome(&troubled.expect("it is let in")).await;
    }
}

/// What goes wrong: Vault is sealed for a while, Coder lets nobody in, and the worker dies with a step in
/// its hands. And a timer fires, by which what is deleted is kept for a second.
async fn trouble(stage: &mut Stage, prometheus: &Prometheus, [john, ann, bob]: &[Desk; 3]) {
    stage.lab.break_("vault", "sealed").expect("a fault");
    let stop = john.order("stop", json!({})).await;
    prometheus.until_above_0(r#"max(stead_vendor_down{system="vault"})"#).await;
    prometheus.until_above_0("sum(stead_steps_open)").await;
    stage.lab.mend();
    john.outcome(&stop).await;

    stage.lab.break_("coder", "unauthorized").expect("a fault");
    let start = john.order("start", json!({})).await;
    prometheus.until_above_0(r#"sum(stead_vendor_calls_total{outcome="auth"})"#).await;
    stage.lab.mend();
    john.outcome(&start).await;

    stage.lab.break_("proxmox", "task-stuck").expect("a fault");
    let stop = ann.order("stop", json!({})).await;
    let at_work = r#"sum(stead_worker_steps_open{system="proxmox", state="running"})"#;
    prometheus.until_above_0(at_work).await;
    stage.kill_worker();
    prometheus.until_above_0(r#"sum(stead_step_attempts_total{outcome="silent"})"#).await;
    stage.lab.mend();
    stage.start_worker();
    ann.outcome(&stop).await;

    bob.carry_out("delete", json!({})).await;
    prometheus.until_above_0("sum(increase(stead_timer_late_seconds_count[10m]))").await;
}

/// Panels that must show more than nought after that.
const TROUBLED: [&str; 2] = ["Vendors that are down", "Not let in"];

/// What this Prometheus has kept goes into a bundle where the site names it.
async fn a_bundle_holds_what_it_has_kept(stage: &Stage, at: SocketAddr) {
    let named = [("STEAD_INCIDENT_PROMETHEUS", format!("http://{at}"))];
    let (bundle, told) = Bundle::of_with(stage, "john/dev", "kept", &[], &named).await;
    let text = bundle.text().replace([' ', '\n'], "");
    assert!(text.contains("\"resultType\":\"matrix\""), "no series over time: {told:#}");
    for series in ["stead_commands_total", "stead_step_seconds_count", "stead_partitions_owned"] {
        let named = format!("\"__name__\":\"{series}\"");
        assert!(text.contains(&named), "no {series} in the bundle: {told:#}");
    }
    assert!(!told["missing"].to_string().contains("prometheus"), "{told:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_shows_something_under_load() {
    let Some(program) = program() else {
        return skipped("there is no Prometheus (ops/lib/prometheus.sh fetches one)");
    };
    let (addresses, at) = (free_addresses(), free_addresses()[0]);
    let setting = Setting { metrics: Some(addresses), site: SITE, ..Setting::default() };
    let mut stage = Stage::with(Setting { grace_seconds: 1, ..setting }).await;
    let prometheus = Prometheus::start(&program, at, &stage.metrics());
    let until_counted = async |rounds: usize| {
        let query = r#"sum(stead_commands_total{verb="start", outcome="done"})"#;
        until("Prometheus has seen what was done", || async {
            let seen = prometheus.ask(query).await?;
            (seen[0] >= rounds as f64).then_some(())
        })
        .await;
    };
    let desks = [stage.desk("john").await, stage.desk("ann").await, stage.desk("bob").await];
    for (round, desk) in desks.iter().enumerate() {
        load(&stage, desk, round).await;
        // A rate is seen between two scrapes.
        until_counted(round + 1).await;
    }
    trouble(&mut stage, &prometheus, &desks).await;
    let token = ["token", "create", "ci", "--owner=john", "--repository=templates", "--wait"];
    assert!(stage.verb(&token).await.status.success());
    for (name, dashboard) in dashboards() {
        for (query, label) in choices(&dashboard) {
            let what = format!("{name}: there is a {label} to choose: {query}");
            until(&what, || prometheus.ask(&query)).await;
        }
        for (title, query) in queries(&dashboard) {
            let query = as_asked(&query);
            let wanted = without_fallback(&query);
            let what = format!("{name}: {title} shows something: {wanted}");
            match TROUBLED.contains(&title.as_str()) {
                true => prometheus.until_above_0(wanted).await,
                false => until(&what, || async { prometheus.ask(wanted).await.map(drop) }).await,
            }
        }
    }
    a_bundle_holds_what_it_has_kept(&stage, at).await;
    stage.finish().await;
}
