//! `stead incident explain`: what went wrong first, what followed, and what is left.

use std::collections::BTreeMap;

use stead_schemas::ids::RunId;
use stead_schemas::public::RunView;

use crate::cli::Global;
use crate::cli::incident::Explain;
use crate::commands::replay::{chain, verdict};
use crate::commands::run::find::Entities;
use crate::commands::source::{self, Origin, Source};
use crate::exit::Ended;
use crate::output;
use crate::story::explain::{Case, Explanation, explain};

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Explain) -> Result<(), Ended> {
    let source = source::open(global, &options.run).await?;
    let explanation = explained(&source, options.search).await?;
    if global.json {
        output::json(&explanation);
    } else {
        output::line(&explanation.told(output::width()));
    }
    Ok(())
}

/// Explains a run; so many others of its kind are searched for the same trouble.
pub async fn explained(source: &Source, search: usize) -> Result<Explanation, Ended> {
    let related = source.related().await?;
    let alike = source.alike(search).await?;
    let views = views(source, related.iter().filter_map(|one| one.first())).await;
    let broken = chain(source).err();
    // A kind of run that this build does not know can be explained all the same.
    let diverges = verdict(source).ok().and_then(|verdict| verdict.decisions.err());
    let diverges = diverges.map(|divergence| divergence.to_string());
    let case = Case {
        history: &source.history,
        related: &related,
        alike: &alike,
        views: &views,
        broken: broken.as_deref(),
        diverges: diverges.as_deref(),
    };
    explain(&case).ok_or_else(|| Ended::Failed("there is no transition in it".to_owned()))
}

/// What the run and those that it asked show, as far as an engine tells: what happened stands in the
/// histories.
async fn views(
    source: &Source,
    firsts: impl Iterator<Item = &stead_schemas::transition::Transition>,
) -> BTreeMap<RunId, RunView> {
    let mut views = BTreeMap::new();
    match &source.from {
        Origin::Bundle(bundle) => views.clone_from(&bundle.views),
        Origin::File => {}
        Origin::Platform(client) => {
            let mut entities = Entities::of(client);
            let runs = firsts.map(|first| first.run.clone()).chain([source.run.clone()]);
            for run in runs {
                if let Some(view) = entities.view(&run).await {
                    views.insert(run, view);
                }
            }
        }
    }
    views
}
