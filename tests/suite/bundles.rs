//! What goes into a bundle beside the histories of one run: which runs did something at a time, what
//! they were configured with, what was measured and what was logged.

use serde_json::json;
use stead_schemas::ids::RunId;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::incidents::{Bundle, PLAIN};
use crate::stage::{Setting, Stage, free_addresses};

/// Somebody who has kept metrics: what he is asked, to the one who answers him.
async fn keeper() -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/kept", listener.local_addr().expect("an address"));
    let asked = tokio::spawn(async move {
        let mut stream = BufReader::new(listener.accept().await.expect("somebody asks").0);
        let mut first = String::new();
        stream.read_line(&mut first).await.expect("a request");
        let mut line = String::new();
        while stream.read_line(&mut line).await.expect("a header") > 2 {
            line.clear();
        }
        let (body, close) = (r#"{"status":"what was kept"}"#, "Connection: close");
        let answer = format!("HTTP/1.1 200 OK\r\n{close}\r\nContent-Length: {}", body.len());
        let answer = format!("{answer}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.expect("he listens");
        first
    });
    (url, asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_holds_the_time_that_was_asked_for_and_what_stood_around_it() {
    let addresses = free_addresses();
    let mut stage = Stage::with(Setting { metrics: Some(addresses), ..Setting::default() }).await;
    let john = stage.desk("john").await;
    let dev = john.carry_out("create", json!({})).await;
    let other = john.carry_out("create", json!({ "name": "other" })).await;
    let history = john.history(&other.run).await.expect("a history");
    john.carry_out("stop", json!({})).await;
    let last = history.last().expect("it was created").at;
    let times = format!("{}..{last}", history[0].at);
    let (kept_at, asked) = keeper().await;
    let worker = addresses[2].to_string();
    let logs: Vec<String> = stage.said().iter().map(|(at, _)| at.display().to_string()).collect();
    let mut options = vec!["--prometheus", kept_at.as_str(), "--metrics", worker.as_str()];
    options.extend(logs.iter().flat_map(|log| ["--log-file", log.as_str()]));

    let plain = [&options[..], PLAIN].concat();
    let (bundle, told) = Bundle::of(&stage, &times, "range", &plain).await;
    let runs = told["runs"].as_array().expect("runs").iter();
    let runs: Vec<&str> = runs.filter_map(|run| run["run"].as_str()).collect();
    assert!(runs.contains(&other.run.as_str()), "{runs:?}");
    assert!(!runs.contains(&dev.run.as_str()), "it did nothing then: {runs:?}");
    let text = bundle.text();
    for part in [
        "what was kept",
        "stead_partitions_owned 2",
        "stead_worker_step_seconds_count{",
        "a command is accepted",
        "\"templates\"",
        "john",
    ] {
        assert!(text.contains(part), "`{part}` is not in the bundle: {told:#}");
    }
    let request = asked.await.expect("he is asked");
    let start = format!("start={}&", history[0].at.as_millis() / 1000);
    assert!(request.starts_with("GET /kept/api/v1/query_range?") && request.contains(&start));

    // By its name, with others for the people in it, and with the logs that the site names.
    let named = [("STEAD_INCIDENT_LOGS", logs.join(", "))];
    let (bundle, told) = Bundle::of_with(&stage, "john/dev", "dev", &options[2..4], &named).await;
    assert_eq!(told["runs"][0]["name"], "owner-1/dev", "{told:#}");
    assert!(!told.to_string().contains(dev.run.as_str()), "{told:#}");
    let text = bundle.text();
    assert!(text.contains("a command is accepted") && !text.contains("john"), "{told:#}");
    stage.stop_engine(0).await;
    it_can_be_had_while_no_engine_runs(&stage, &dev.run, &other.run, &times).await;
    stage.start_engine(0);
    stage.finish().await;
}

/// What happened stands in the log; what only an engine knows is said to be missing.
async fn it_can_be_had_while_no_engine_runs(stage: &Stage, dev: &RunId, other: &RunId, at: &str) {
    for words in [
        &["incident", "explain", dev.as_str()][..],
        &["incident", "explain", "john/dev"],
        &["replay", "john/dev"],
        &["run", "history", "john/dev"],
        &["run", "timeline", "john/dev"],
    ] {
        let told = stage.verb(words).await;
        let said = String::from_utf8_lossy(&told.stderr);
        assert!(told.status.success() && !told.stdout.is_empty(), "{words:?}: {said}");
    }
    for (what, run) in [(dev.as_str(), dev), ("john/dev", dev), (at, other)] {
        let (_, told) = Bundle::of(stage, what, "silent", PLAIN).await;
        let runs = told["runs"].as_array().expect("runs").iter();
        let runs: Vec<&str> = runs.filter_map(|run| run["run"].as_str()).collect();
        assert!(runs.contains(&run.as_str()), "{what}: {runs:?}");
        assert_eq!(runs.contains(&dev.as_str()), run == dev, "{what}: {runs:?}");
        let missing = format!("what {run} shows: no engine answered");
        assert!(told["missing"].to_string().contains(&missing), "{told:#}");
    }
}
