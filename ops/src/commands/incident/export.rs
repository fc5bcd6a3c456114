//! `stead incident export`: what is known of an incident, in one file.

use std::io::Write;
use std::path::Path;

use serde_json::json;
use stead_schemas::transition::Transition;
use uuid::Uuid;

use super::gather::gather;
use crate::assemble::BUILD;
use crate::bundle::pack::pack;
use crate::bundle::redact::redacted;
use crate::bundle::{Bundle, ENDING};
use crate::cli::Global;
use crate::cli::incident::Export;
use crate::commands::replay::judge;
use crate::exit::Ended;
use crate::output;
use crate::story::words::{counted, hanging};

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Export) -> Result<(), Ended> {
    let file = &options.output;
    if file.exists() && !options.force {
        let words = format!("{} is there already; --force replaces it", file.display());
        return Err(Ended::Usage(words));
    }
    let mut bundle = gather(global, options).await?;
    if !options.plain {
        bundle = redacted(&bundle, &Uuid::now_v7().to_string()).map_err(Ended::Failed)?;
        judge_again(&mut bundle);
    }
    let bytes = pack(&bundle)
        .map_err(|error| Ended::Failed(format!("cannot pack what was found: {error}")))?;
    write(file, &bytes, options.force)?;
    tell(global, file, &bundle, bytes.len());
    Ok(())
}

/// What this build makes of the histories under their new names.
fn judge_again(bundle: &mut Bundle) {
    for listed in &mut bundle.manifest.runs {
        let lines = &bundle.histories[&listed.run];
        let history: Vec<Transition> =
            lines.iter().filter_map(|line| Transition::decode(line).ok()).collect();
        let was_fine = listed.diverges.is_none();
        let now =
            judge(&listed.run, lines, &history).ok().and_then(|verdict| verdict.decisions.err());
        if let (true, Some(divergence)) = (was_fine, now) {
            let words = format!("since it was redacted, {BUILD} decides otherwise: {divergence}");
            listed.diverges = Some(words);
        }
    }
}

/// Writes the whole file or nothing of it.
fn write(file: &Path, bytes: &[u8], force: bool) -> Result<(), Ended> {
    let failed =
        |error: std::io::Error| Ended::Failed(format!("cannot write {}: {error}", file.display()));
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let mut part = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    part.write_all(bytes).and_then(|()| part.as_file().sync_all()).map_err(failed)?;
    let kept = match force {
        true => part.persist(file),
        false => part.persist_noclobber(file),
    };
    kept.map(drop).map_err(|error| failed(error.error))
}

fn tell(global: &Global, file: &Path, bundle: &Bundle, bytes: usize) {
    let manifest = &bundle.manifest;
    if global.json {
        return output::json(&json!({ "file": file, "bytes": bytes, "manifest": manifest }));
    }
    let runs = counted(manifest.runs.len() as u64, "run");
    let size = bytes.div_ceil(1024);
    let redacted = if manifest.redacted { ", redacted" } else { "" };
    output::line(&format!("{}: {runs}, {size} KiB{redacted}", file.display()));
    let width = output::width();
    for listed in &manifest.runs {
        let length = counted(listed.transitions, "transition");
        output::line(&hanging(
            "  ",
            &format!("{} {}, {length}", listed.run, listed.name),
            width,
            4,
        ));
        let wrong = listed.broken.iter().chain(&listed.diverges);
        for words in wrong {
            output::line(&hanging("    but ", words, width, 8));
        }
    }
    for missing in &manifest.missing {
        output::line(&hanging("  not in it: ", missing, width, 4));
    }
    if !file.to_string_lossy().ends_with(".gz") {
        output::note(&format!("such files usually end in {ENDING}"));
    }
}
