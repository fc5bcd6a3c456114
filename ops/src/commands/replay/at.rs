//! `stead replay --to`: where a run stood at a moment.

use crate::cli::Global;
use crate::commands::source::Source;
use crate::exit::Ended;
use crate::output;
use crate::story::instant;
use crate::story::standing::standing;

/// Carries the verb out.
pub async fn carry_out(global: &Global, source: &Source, to: &str) -> Result<(), Ended> {
    let n = instant::transition(&source.history, to).map_err(Ended::Usage)?;
    let standing = standing(&source.history, n, &source.related().await?);
    if global.json {
        output::json(&standing);
    } else {
        output::line(&standing.told(output::width()));
    }
    Ok(())
}
