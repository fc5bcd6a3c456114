//! How commands come in: published to the durable inbox (`inbox.rs`), or asked through the
//! service interface (`api/`). Both read a command the same way (`read.rs`) and hand it to the
//! engine that owns the entity's partition.
//!
//! A door keeps nothing and decides only what needs no history: whether the command can be read.

pub mod api;
mod inbox;
mod lanes;
pub mod read;
mod refusals;

use stead_schemas::dispatch::{Caller, CommandReply, EntityCommand};
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;

use crate::client::SteadClient;

pub use api::{ApiError, run_api};
pub use inbox::run_inbox;
pub use read::{Catalogue, PublicVerb};

use read::{CancelOrder, EntityOrder};

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

/// Stops what a run does, if it is a run of this owner.
async fn cancel(
    client: &SteadClient,
    owner: &Owner,
    order: CancelOrder,
    id: String,
    by: Caller,
) -> CommandReply {
    let unavailable =
        |error: crate::client::ClientError| CommandReply::Unavailable { words: error.to_string() };
    match client.view(&order.run).await {
        Ok(Some(view)) if view.summary.owner == *owner => {}
        // Whether another owner has such a run is nobody's business.
        Ok(_) => return CommandReply::Refused(no_such_run(owner)),
        Err(error) => return unavailable(error),
    }
    match client.cancel(&order.run, &order.why, by).await {
        Ok(Ok(())) => CommandReply::Accepted(stead_schemas::dispatch::Accepted {
            run: order.run,
            command: id,
            repeated: false,
        }),
        Ok(Err(refusal)) => CommandReply::Refused(refusal),
        Err(error) => unavailable(error),
    }
}

fn no_such_run(owner: &Owner) -> Refusal {
    Refusal::new("run.unknown", format!("`{owner}` has no such run")).field("run")
}
