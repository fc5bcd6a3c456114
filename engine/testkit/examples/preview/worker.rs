//! Carries the steps out. The web server is a map here; yours has a client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use stead_runtime::worker::{StepContext, Worker};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;

use crate::steps::{AwaitPage, Publish, Published, Withdraw};

/// Which names are taken, and by whose marker.
#[derive(Clone, Default)]
pub struct Server(Arc<Mutex<BTreeMap<String, String>>>);

impl Server {
    fn put(&self, name: &str, marker: &str) -> String {
        let mut sites = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sites.entry(name.to_owned()).or_insert_with(|| marker.to_owned()).clone()
    }

    fn remove(&self, name: &str, marker: &str) {
        let mut sites = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sites.get(name).is_some_and(|found| found == marker) {
            sites.remove(name);
        }
    }
}

pub fn worker(server: Server) -> Worker<Server> {
    Worker::new("sites", server).on(publish).on(withdraw).on(await_page)
}

async fn publish(server: Server, cx: StepContext, ask: Publish) -> Result<Published, Failure> {
    cx.still_wanted()?;
    // Look, act and mark in one: whoever was first has the name, and it carries the marker.
    if server.put(&ask.name, &ask.marker) != ask.marker {
        return Err(Failure::new(Class::Conflict, "the name is somebody else's"));
    }
    Ok(Published { url: format!("https://{}.preview.example", ask.name) })
}

async fn withdraw(server: Server, _: StepContext, ask: Withdraw) -> Result<Done, Failure> {
    server.remove(&ask.name, &ask.marker);
    Ok(Done {})
}

async fn await_page(server: Server, cx: StepContext, ask: AwaitPage) -> Result<Done, Failure> {
    cx.progress(format!("asking {}", ask.url));
    let sites = server.0.lock().unwrap_or_else(PoisonError::into_inner);
    if sites.keys().any(|name| ask.url.contains(name.as_str())) {
        return Ok(Done {});
    }
    Err(Failure::new(Class::Retry, "no page yet"))
}
