//! `stead incident`: why a run went wrong, and all that is known of it in one file.

use crate::cli::Global;
use crate::cli::incident::Incident;
use crate::exit::Ended;

mod explain;
mod export;
mod gather;
#[cfg(test)]
mod tests;

pub use explain::explained;

/// Carries the verb out.
pub async fn carry_out(global: &Global, verb: &Incident) -> Result<(), Ended> {
    match verb {
        Incident::Explain(options) => explain::carry_out(global, options).await,
        Incident::Export(options) => export::carry_out(global, options).await,
    }
}
