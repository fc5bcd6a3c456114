//! The folder of the descriptions: found once, each file read once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jsonschema::Validator;
use serde_json::Value;

use crate::skipped;

/// Where `ops/lib/deploy.py` looks, too.
const KUBERNETES: &str = "../../.tools/kubernetes-validate/kubernetes_validate/\
                          kubernetes-json-schema/v1.37.0-local-strict";

/// The vendors' descriptions.
pub struct Specs {
    folder: PathBuf,
    read: Mutex<Read>,
}

#[derive(Default)]
struct Read {
    files: HashMap<String, Arc<Value>>,
    validators: HashMap<String, Arc<Validator>>,
}

impl Specs {
    /// The descriptions, if they are at hand.
    ///
    /// # Panics
    /// If `STEAD_SPECS` names no folder: somebody wants them to be used.
    #[must_use]
    pub fn find() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<Specs>> = OnceLock::new();
        let look = || {
            let found = Self::look(std::env::var_os("STEAD_SPECS").map(PathBuf::from));
            if found.is_none() {
                skipped("the vendors' API descriptions are not at hand (STEAD_SPECS)");
            }
            found
        };
        FOUND.get_or_init(look).as_ref()
    }

    fn look(named: Option<PathBuf>) -> Option<Self> {
        let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/specs");
        let must = named.is_some();
        let folder = named.unwrap_or_else(|| PathBuf::from(beside));
        assert!(!must || folder.is_dir(), "STEAD_SPECS names no folder: {}", folder.display());
        folder.is_dir().then(|| Self { folder, read: Mutex::default() })
    }

    /// A file of the folder.
    ///
    /// # Panics
    /// If it is not there or is no JSON.
    #[must_use]
    pub fn file(&self, name: &str) -> Arc<Value> {
        if let Some(file) = self.read().files.get(name) {
            return Arc::clone(file);
        }
        let path = self.folder.join(name);
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let file = serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let file = Arc::new(file);
        self.read().files.insert(name.to_owned(), Arc::clone(&file));
        file
    }

    /// A part of a file that is put together once.
    pub(crate) fn made(&self, name: &str, make: impl FnOnce() -> Value) -> Arc<Value> {
        if let Some(made) = self.read().files.get(name) {
            return Arc::clone(made);
        }
        let made = Arc::new(make());
        self.read().files.insert(name.to_owned(), Arc::clone(&made));
        made
    }

    /// What `kubernetes-validate` says of a kind, if that package is at hand.
    pub(crate) fn kubernetes(&self, name: &str) -> Option<Arc<Value>> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(KUBERNETES).join(name);
        path.is_file().then(|| self.file(path.to_str().unwrap_or_default()))
    }

    /// The validator of this name, made if there is none yet.
    pub(crate) fn validator(&self, name: &str, make: impl FnOnce() -> Value) -> Arc<Validator> {
        if let Some(validator) = self.read().validators.get(name) {
            return Arc::clone(validator);
        }
        let made = jsonschema::validator_for(&make());
        let made = Arc::new(made.unwrap_or_else(|error| panic!("{name} is broken: {error}")));
        self.read().validators.insert(name.to_owned(), Arc::clone(&made));
        made
    }

    fn read(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Specs;

    #[test]
    fn a_folder_that_is_named_must_be_there() {
        let wrong = std::panic::catch_unwind(|| Specs::look(Some("/nowhere".into())).is_some());
        let words = wrong.unwrap_err();
        assert!(words.downcast_ref::<String>().unwrap().contains("names no folder: /nowhere"));
        assert!(Specs::look(Some(env!("CARGO_MANIFEST_DIR").into())).is_some());
    }
}
