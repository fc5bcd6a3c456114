//! How commands come in: published to the durable inbox (`inbox.rs`), or asked through the
//! service interface (`api/`). Both read a command the same way (`read.rs`) and hand it to the
//! engine that owns the entity's partition.
//!
//! A door keeps nothing and decides only what needs no history: whether the command can be read.

mod ages;
pub mod api;
mod in_order;
mod inbox;
mod lanes;
pub mod origin;
mod pools;
pub mod read;
mod refusals;
mod watch;

use stead_schemas::command::run::RunCommand;
use stead_schemas::dispatch::{
    Accepted, Caller, CommandReply, EntityCommand, OrderRun, RehearsalReply,
};
use stead_schemas::event::ByHand;
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;

use crate::bus::json;
use crate::client::SteadClient;

pub use api::{ApiError, run_api};
pub use inbox::run_inbox;
pub use pools::run_pools;
pub use read::{Catalogue, PublicVerb};
pub use refusals::{Refused, Said};
pub use watch::run_watch;

use read::EntityOrder;

/// Says `true` when the door is to be shut.
pub type Shutdown = tokio::sync::watch::Receiver<bool>;

/// Resolves when the door is to be shut.
async fn shut(shutdown: &mut Shutdown) {
    // A sender that is gone can no longer ask us to go on.
    let _gone = shutdown.wait_for(|shut| *shut).await;
}

/// Hands a command to the owner of its entity's partition.
async fn forward(client: &SteadClient, order: EntityOrder, id: String, by: Caller) -> CommandReply {
    let EntityOrder { kind, owner, name, verb, fields, .. } = order;
    let command = EntityCommand { kind, owner, name, verb, fields, id, by };
    let partition = command.key().partition(client.platform().partitions);
    client.forward(partition, &command).await
}

/// Asks the owner of its entity's partition what would become of a command.
async fn rehearse(client: &SteadClient, order: EntityOrder) -> RehearsalReply {
    let EntityOrder { kind, owner, name, verb, fields, id, .. } = order;
    let (id, by) = (id.unwrap_or_default(), Caller::Api);
    let command = EntityCommand { kind, owner, name, verb, fields, id, by };
    let partition = command.key().partition(client.platform().partitions);
    let reply = client.ask(partition, "rehearse", json(&command)).await;
    reply.unwrap_or_else(|error| RehearsalReply::Unavailable { words: error.to_string() })
}

/// Does something to a run by hand, if it is a run of this owner.
async fn order_run(
    client: &SteadClient,
    owner: &Owner,
    asked: RunCommand,
    id: String,
    by: Caller,
) -> CommandReply {
    let unavailable =
        |error: crate::client::ClientError| CommandReply::Unavailable { words: error.to_string() };
    match client.view(&asked.run).await {
        Ok(Some(view)) if view.summary.owner == *owner => {}
        // Whether another owner has such a run is nobody's business.
        Ok(_) => return CommandReply::Refused(no_such_run(owner)),
        Err(error) => return unavailable(error),
    }
    let RunCommand { run, why, order, .. } = asked;
    let order = OrderRun { run, by: ByHand { by, why, id: Some(id.clone()) }, order };
    match client.order(&order).await {
        Ok(Ok(())) => CommandReply::Accepted(Accepted::new(order.run, id, false)),
        Ok(Err(refusal)) => CommandReply::Refused(refusal),
        Err(error) => unavailable(error),
    }
}

fn no_such_run(owner: &Owner) -> Refusal {
    Refusal::new("run.unknown", format!("`{owner}` has no such run")).field("run")
}
