//! An incident in one file: histories and what stood around them, to be looked at on a machine
//! that has no platform.
//!
//! A bundle is a compressed archive (`pack.rs`) of a manifest, a history for each run as the log
//! held it, what each run showed when the bundle was made, and what else could be had. `redact.rs`
//! gives people and hosts other names. Nothing here reads a platform: `commands/incident/` does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stead_schemas::ids::RunId;
use stead_schemas::public::RunView;
use stead_schemas::time::Timestamp;

mod found;
pub mod pack;
mod prose;
pub mod redact;
#[cfg(test)]
mod tests;

/// The shape of the bundles that this build writes.
pub const VERSION: u8 = 1;
/// How a bundle's file name usually ends.
pub const ENDING: &str = ".stead.tar.gz";

/// See the module's head.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// What is in it and what is not.
    pub manifest: Manifest,
    /// The transitions of each run, as the log held them.
    pub histories: BTreeMap<RunId, Vec<Vec<u8>>>,
    /// What each run showed when the bundle was made.
    pub views: BTreeMap<RunId, RunView>,
    /// Texts beside them, by name: `metrics.txt`, `prometheus.json`, `site.json`, `logs/<file>`.
    pub texts: BTreeMap<String, String>,
}

/// The first file of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The shape of the bundle; see [`VERSION`].
    pub v: u8,
    /// The build that made it.
    pub build: String,
    /// When.
    pub at: Timestamp,
    /// What was asked for, in the words in which it was: a run, an owner's workspace, a time.
    pub about: String,
    /// The run that it is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The runs in it.
    pub runs: Vec<Listed>,
    /// Whether people and hosts have other names in it than they had. The histories' digests are
    /// then those of the changed text.
    pub redacted: bool,
    /// What could not be had, or was left out, and why.
    pub missing: Vec<String>,
}

/// A run in a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Its id.
    pub run: RunId,
    /// What it is called: `john/dev`.
    pub name: String,
    /// The build that began it.
    pub build: String,
    /// How many transitions it has.
    pub transitions: u64,
    /// What was wrong with the chain of its history when the bundle was made; nothing is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// Where the build that made the bundle decides otherwise; nothing is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverges: Option<String>,
}

impl Bundle {
    /// The run that a text means: an id, or a name such as `john/dev`, the latest of that name.
    /// Without a text the run that the bundle is about, or the only one in it.
    ///
    /// # Errors
    /// In words, if it means none.
    pub fn which(&self, text: Option<&str>) -> Result<RunId, String> {
        let named = |listed: &&Listed| match text {
            Some(text) => listed.run.as_str() == text || listed.name == text,
            None => self.manifest.run.as_ref().is_none_or(|run| *run == listed.run),
        };
        let mut found: Vec<&Listed> = self.manifest.runs.iter().filter(named).collect();
        if text.is_some() {
            // A workspace comes before whatever else its owner has of that name.
            found.sort_by_key(|listed| (listed.run.kind() == "workspace", listed.run.life()));
        }
        match (&found[..], text) {
            ([.., one], Some(_)) | ([one], None) => Ok(one.run.clone()),
            (_, text) => Err(self.choice(text)),
        }
    }

    fn choice(&self, text: Option<&str>) -> String {
        let names = self.manifest.runs.iter().map(|one| format!("  {} {}", one.run, one.name));
        let names: Vec<String> = names.collect();
        let head = match text {
            Some(text) => format!("there is no run `{text}` in this bundle; there are"),
            None => "several runs are in this bundle; write FILE#RUN, with one of".to_owned(),
        };
        format!("{head}\n{}", names.join("\n"))
    }
}
