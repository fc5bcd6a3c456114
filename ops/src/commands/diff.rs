//! `stead diff`: where two runs part.

use serde_json::json;

use super::source;
use crate::cli::Global;
use crate::cli::incident::Diff;
use crate::exit::Ended;
use crate::output;
use crate::story::apart::{Exactness, apart};

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Diff) -> Result<(), Ended> {
    let one = source::open(global, &options.one).await?;
    let other = source::open(global, &options.other).await?;
    let exactness = if options.exact { Exactness::Letter } else { Exactness::Sense };
    let found = apart(&one.history, &other.history, exactness);
    if global.json {
        output::json(&json!({ "one": one.run, "other": other.run, "diff": found }));
        return Ok(());
    }
    output::line(&format!("the first is {}, the second {}", one.run, other.run));
    output::line(&found.told(output::width()));
    Ok(())
}
