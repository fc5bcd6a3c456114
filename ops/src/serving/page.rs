//! `ops/METRICS.md`, made from the table, and whether it is what the table says.

use std::path::Path;

use stead_runtime::metric::{Kind, METRICS, Metric, Values};

const HEAD: &str = "\
# Metrics

Engines serve them where `engine.metrics` says, workers where `workers.metrics` or `--metrics` says,
at `/metrics`, in the format of Prometheus. Beside them are `/healthz`, which fails when an engine
hangs, and `/readyz`, which fails when it cannot do its work: an engine that owns nothing is ready, one
that cannot append is not.

No label ever names a run, an owner or anything else that people make up. What has not happened yet is
0 wherever all values of the labels are known beforehand: what is counted by steps, or by words of the
workflows, is there from its first count on. This page is made from
`engine/runtime/src/metric/table.rs`: `STEAD_UPDATE=1 cargo test -p stead metrics_page`.
";

fn page() -> String {
    let sections: Vec<String> = METRICS.iter().map(section).collect();
    format!("{HEAD}\n{}", sections.join("\n"))
}

fn section(metric: &Metric) -> String {
    let mut text = format!(
        "## `{}`\n\nA {} of {}. {}\n",
        metric.name,
        metric.kind.word(),
        metric.by.words(),
        metric.help.trim(),
    );
    if !metric.labels.is_empty() {
        text.push_str("\n| label | values |\n|---|---|\n");
    }
    for label in metric.labels {
        let values = match label.values {
            Values::These(values) => {
                values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
            }
            Values::Of(words) => words.to_owned(),
        };
        text.push_str(&format!("| `{}` | {values} |\n", label.name));
    }
    if let Kind::Histogram(bounds) = metric.kind {
        let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
        text.push_str(&format!("\nBuckets: {}.\n", bounds.join(", ")));
    }
    text
}

#[test]
fn the_metrics_page_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("METRICS.md");
    let page = page();
    if std::env::var_os("STEAD_UPDATE").is_some() {
        std::fs::write(&path, &page).expect("ops can be written to");
    }
    let written = std::fs::read_to_string(&path).expect("the page is there");
    assert!(
        written == page,
        "ops/METRICS.md is not what the table says; STEAD_UPDATE=1 cargo test -p stead metrics_page"
    );
}
