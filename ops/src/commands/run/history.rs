//! `stead run history`: what stands in the log.

use stead_nats::SteadClient;

use super::find;
use crate::cli::Global;
use crate::exit::Ended;
use crate::output;
use crate::story::words::{hanging, moment};
use crate::story::{Moment, moments};

/// Prints a run's history: for people an event a line, for machines a transition a line, to the
/// byte as it is stored, so that its digests can be checked.
pub async fn print(global: &Global, client: &SteadClient, text: &str) -> Result<(), Ended> {
    let run = find::run(client, text).await?;
    if global.json {
        for message in find::recorded(client, &run).await? {
            output::line(&String::from_utf8_lossy(&message.bytes));
        }
        return Ok(());
    }
    let width = output::width_or(usize::MAX);
    for event in moments(&find::history(client, &run).await?) {
        output::line(&line(&event, width));
    }
    Ok(())
}

fn line(event: &Moment, width: usize) -> String {
    // An event is written as its name and what it says.
    let body = serde_json::to_value(&event.event).unwrap_or_default();
    let body = body.as_object().and_then(|object| object.values().next());
    let body = body.map(ToString::to_string).unwrap_or_default();
    let head = format!("{:>4}  {}  {:<18}", event.n, moment(event.at), event.event.name());
    hanging(&head, &body, width, 8)
}
