//! `stead notify`: who is told of what, whether it arrives, and a test of that.

use std::time::Duration;

use serde_json::{Map, Value, json};
use stead_nats::SteadClient;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::command::notice::{KIND, NAME, NoticeView, RouteView};
use stead_schemas::notice::Topic;
use stead_schemas::time::Timestamp;

use super::give;
use super::run::{client, find};
use crate::cli::Global;
use crate::cli::notify::Notify;
use crate::exit::Ended;
use crate::output;
use crate::story::table::table;
use crate::story::words::span;

/// How long a test is waited for. A way that is dead is tried for longer.
const TEST_WITHIN: Duration = Duration::from_secs(60);

/// Carries the verb out.
pub async fn carry_out(global: &Global, verb: &Notify) -> Result<(), Ended> {
    let client = client(global).await?;
    match verb {
        Notify::List => list(global, &client).await,
        Notify::Test => test(global, &client).await,
    }
}

async fn list(global: &Global, client: &SteadClient) -> Result<(), Ended> {
    let lines = client.list_kind(KIND, None).await?;
    let latest = lines.into_iter().max_by_key(|line| line.run.life());
    let view = match latest {
        Some(line) => find::view(client, &line.run).await?.view,
        None => Value::Null,
    };
    let view: NoticeView = serde_json::from_value(view).unwrap_or_default();
    if global.json {
        output::json(&view);
    } else if view.routes.is_empty() {
        output::line("nobody was told of anything yet; `stead notify test` tells everybody");
    } else {
        output::line(&told(&view.routes, SystemClock.now(), output::width()));
    }
    Ok(())
}

fn told(routes: &[RouteView], now: Timestamp, width: usize) -> String {
    let rows: Vec<[String; 4]> = routes
        .iter()
        .map(|route| {
            let sent = route.sent_at.map(|at| format!("{} ago", span(now.since(at))));
            [
                route.name.clone(),
                route.waiting.to_string(),
                sent.unwrap_or_else(|| "never".to_owned()),
                route.trouble.clone().unwrap_or_else(|| "none".to_owned()),
            ]
        })
        .collect();
    table(["ROUTE", "WAITING", "LAST SENT", "TROUBLE"], &rows, width)
}

async fn test(global: &Global, client: &SteadClient) -> Result<(), Ended> {
    let by = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    let fields = Map::from_iter([
        ("name".to_owned(), json!(NAME)),
        ("topic".to_owned(), json!(Topic::Test)),
        ("about".to_owned(), json!("stead")),
        ("words".to_owned(), json!(format!("{by} wants to see whether this arrives."))),
    ]);
    let told = give::carry_out(global, client, (KIND, "tell"), &fields);
    let Ok(told) = tokio::time::timeout(TEST_WITHIN, told).await else {
        list(global, client).await?;
        let words = "the test has not arrived everywhere within a minute; it is tried on";
        return Err(Ended::Failed(words.to_owned()));
    };
    let (_, result) = told?;
    if global.json {
        output::json(&result);
        return Ok(());
    }
    let routes = result["routes"].as_array().cloned().unwrap_or_default();
    let names: Vec<&str> = routes.iter().filter_map(Value::as_str).collect();
    output::line(&format!("a test was sent to {}", names.join(", ")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use stead_schemas::command::notice::RouteView;
    use stead_schemas::time::Timestamp;

    use super::told;

    #[test]
    fn each_way_shows_what_waits_and_what_went_wrong() {
        let route = |name: &str, waiting, sent, trouble: Option<&str>| RouteView {
            name: name.to_owned(),
            waiting,
            sent_at: sent,
            next: None,
            trouble: trouble.map(ToOwned::to_owned),
        };
        let at = Timestamp::from_millis(0);
        let now = Timestamp::from_millis(60_000);
        let routes = [
            route("chat", 3, None, Some("the webhook is in trouble (503)")),
            route("operators", 0, Some(at), None),
        ];
        let told = told(&routes, now, 100);
        let lines: Vec<&str> = told.lines().map(str::trim_end).collect();
        assert!(lines[1].contains("chat") && lines[1].contains("never"), "{told}");
        assert!(lines[1].ends_with("in trouble (503)"), "{told}");
        assert!(lines[2].contains("ago") && lines[2].ends_with("none"), "{told}");
    }
}
