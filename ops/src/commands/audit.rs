//! `stead audit`: who commanded what, and whether the record of it is whole.
//!
//! Everything is read from the log and the archive themselves, a page at a time, while engines
//! run or while none does.

use super::run::client;
use crate::cli::Global;
use crate::cli::audit::Audit;
use crate::exit::Ended;

mod export;
mod log;
pub(super) mod source;
mod verify;

/// Carries the verb out.
pub async fn carry_out(global: &Global, verb: &Audit) -> Result<(), Ended> {
    let client = client(global).await?;
    match verb {
        Audit::Log(options) => log::print(global, &client, options).await,
        Audit::Verify => verify::print(global, &client).await,
        Audit::Export { position } => export::print(&client, position.as_deref()).await,
    }
}
