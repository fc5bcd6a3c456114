//! What a process that serves says of itself over HTTP: `/metrics` for Prometheus, `/healthz`
//! whether it lives, `/readyz` whether it can do its work.
//!
//! It reads the head of a request and nothing else, answers, and closes: whoever is slow, or too
//! many, is cut off. It holds nothing secret, and listens where the configuration says; the
//! example says loopback.
//!
//! `health.rs` finds out how the process is.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use stead_runtime::metric::{self, By, Kind, METRICS};
use stead_runtime::vital;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::exit::Ended;

pub mod health;

pub use health::Health;

/// Connections at a time; more are closed at once.
const CONNECTIONS_MAX: usize = 32;
/// How long the head of a request may take.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long a whole request may take, until its answer has been read.
const REQUEST_WITHIN: Duration = Duration::from_secs(15);
/// The largest head that is read, in bytes; the smallest that hyper knows.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// How often what was recorded is sorted into the histograms' buckets.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// The version of the format that Prometheus reads.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// What is shown, to whoever asks.
struct Shown {
    metrics: PrometheusHandle,
    health: Arc<Health>,
}

/// Begins to collect metrics and to show them at these addresses.
pub async fn serve(addresses: &[SocketAddr], by: By, health: Arc<Health>) -> Result<(), Ended> {
    if addresses.is_empty() {
        return Ok(());
    }
    let shown = Arc::new(Shown { metrics: collect(by)?, health });
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    for address in addresses {
        let cannot = |error| Ended::Failed(format!("cannot serve metrics on {address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let accepting = accept(listener, Arc::clone(&shown), Arc::clone(&places));
        vital::begin("what shows metrics", accepting);
    }
    vital::begin("what keeps metrics", async move {
        loop {
            sleep(UPKEEP_EVERY).await;
            shown.metrics.run_upkeep();
        }
    });
    Ok(())
}

/// Makes this process collect what it counts, in the buckets of the table.
fn collect(by: By) -> Result<PrometheusHandle, Ended> {
    let cannot = |error| Ended::Failed(format!("cannot collect metrics: {error}"));
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS {
        if let Kind::Histogram(bounds) = metric.kind {
            let matcher = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(matcher, bounds).map_err(cannot)?;
        }
    }
    let handle = builder.install_recorder().map_err(cannot)?;
    metric::begin(by);
    metric::BUILD_INFO.set(1.0, [env!("CARGO_PKG_VERSION")]);
    Ok(handle)
}

async fn accept(listener: TcpListener, shown: Arc<Shown>, places: Arc<Semaphore>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many files are open, most likely: that passes.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let shown = Arc::clone(&shown);
        tokio::spawn(async move {
            if timeout(REQUEST_WITHIN, talk(stream, &shown)).await.is_err() {
                tracing::debug!("somebody was too slow to be shown metrics");
            }
            drop(place);
        });
    }
}

async fn talk(stream: TcpStream, shown: &Shown) {
    let answer = |request: Request<Incoming>| {
        let answer = shown.answer(request.method(), request.uri().path());
        async { Ok::<_, Infallible>(answer) }
    };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "somebody who asked for metrics went away");
    }
}

impl Shown {
    fn answer(&self, method: &Method, path: &str) -> Response<String> {
        if method != Method::GET && method != Method::HEAD {
            let mut refused = said(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match path {
            "/metrics" => plain(StatusCode::OK, self.metrics.render()),
            "/healthz" => verdict(self.health.lives()),
            "/readyz" => verdict(self.health.is_ready()),
            _ => said(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz"),
        }
    }
}

fn verdict(verdict: Result<(), String>) -> Response<String> {
    match verdict {
        Ok(()) => said(StatusCode::OK, "ok"),
        Err(words) => said(StatusCode::SERVICE_UNAVAILABLE, &words),
    }
}

fn said(status: StatusCode, words: &str) -> Response<String> {
    plain(status, format!("{words}\n"))
}

fn plain(status: StatusCode, text: String) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

#[cfg(test)]
mod page;
