//! Checkups on their way: whoever wants to know asks one worker of each system, since workers
//! alone can log in to it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Message, Request, RequestErrorKind};
use futures_util::StreamExt;
use stead_runtime::checkup::{Checker, LOOK_MAX};
use stead_runtime::vital;
use stead_schemas::checkup::{CheckupReply, CheckupRequest};
use stead_schemas::subjects;

use crate::bus::json;
use crate::connect::{Connection, until_heard};
use crate::partition::SubscribeError;

/// Workers of one system share this queue group: each checkup is made by one of them.
const GROUP: &str = "workers";
/// Checkups that one worker makes at a time.
const AT_ONCE: usize = 4;
/// How long a worker may take to say that it is there.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What became of a checkup.
#[derive(Clone, Debug, PartialEq)]
pub enum Examined {
    /// No worker of this system listens.
    NoWorker,
    /// One listens, and did not answer so that it could be understood.
    Unanswered(String),
    /// It looked.
    Answered(CheckupReply),
}

/// Makes checkups of these systems for as long as the connection lives.
///
/// # Errors
/// If the connection is closed.
pub async fn serve_checkups(
    connection: &Connection,
    systems: &[&str],
    checker: Checker,
) -> Result<(), SubscribeError> {
    let client = connection.api.clone();
    let checker = Arc::new(checker);
    for system in systems {
        let subject = subjects::checkup(system);
        let asked = client.queue_subscribe(subject.clone(), GROUP.into()).await;
        let asked = asked.map_err(|error| SubscribeError { subject, words: error.to_string() })?;
        let (client, checker) = (client.clone(), Arc::clone(&checker));
        let system = (*system).to_owned();
        vital::begin("what makes checkups", async move {
            let each = |message| answer(&client, &checker, &system, message);
            asked.for_each_concurrent(AT_ONCE, each).await;
        });
    }
    until_heard(&client).await;
    Ok(())
}

async fn answer(client: &Client, checker: &Checker, system: &str, message: Message) {
    let Some(reply) = message.reply else { return };
    match serde_json::from_slice::<CheckupRequest>(&message.payload) {
        Ok(request) => {
            let seen = checker.check(system, request).await;
            if let Err(error) = client.publish(reply, json(&seen)).await {
                tracing::warn!(system, %error, "cannot tell what a checkup has seen");
            }
        }
        Err(error) => tracing::warn!(system, %error, "cannot read a checkup"),
    }
}

/// Has one worker of the system make a checkup.
pub async fn examine(connection: &Connection, system: &str, request: &CheckupRequest) -> Examined {
    let looks = u32::try_from(request.asks.len()).unwrap_or(u32::MAX);
    let within = ANSWER_WITHIN + LOOK_MAX.saturating_mul(looks);
    let asked = Request::new().payload(json(request)).timeout(Some(within));
    match connection.api.send_request(subjects::checkup(system), asked).await {
        Ok(answer) => match serde_json::from_slice(&answer.payload) {
            Ok(reply) => Examined::Answered(reply),
            Err(error) => Examined::Unanswered(format!("its answer cannot be read: {error}")),
        },
        Err(error) if error.kind() == RequestErrorKind::NoResponders => Examined::NoWorker,
        Err(error) => Examined::Unanswered(error.to_string()),
    }
}
