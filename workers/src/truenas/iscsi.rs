//! What iSCSI is made of, and whose it is. An extent names a volume and a target is what a machine
//! logs in at; their comment or alias carries our marker, and they are named after it. A group of
//! initiators says who may log in, and has no name but its comment. What joins a target and an extent
//! is theirs.

use serde_json::{Map, Value, json};
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};

use super::client::Nas;
use super::share::{comment, marked_in};
use crate::trouble::unless_missing;

/// A kind of thing that iSCSI is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// The word that its methods have.
    word: &'static str,
    /// The field that carries our mark, if it has one.
    mark: Option<&'static str>,
}

pub(super) const EXTENT: Kind = Kind { word: "extent", mark: Some("comment") };
pub(super) const GROUP: Kind = Kind { word: "initiator", mark: Some("comment") };
pub(super) const JOINT: Kind = Kind { word: "targetextent", mark: None };
pub(super) const TARGET: Kind = Kind { word: "target", mark: Some("alias") };

impl Kind {
    pub(super) fn method(self, what: &str) -> String {
        format!("iscsi.{}.{what}", self.word)
    }

    /// The field that carries our mark.
    pub(super) fn mark(self) -> &'static str {
        self.mark.unwrap_or("id")
    }

    /// The mark of ours that a thing carries, as the middleware shows it.
    pub(super) fn marker_of(self, entry: &Value) -> Option<String> {
        marked_in(&entry[self.mark?])
    }
}

/// One thing, as it is looked for.
pub(super) struct Wanted<'a> {
    kind: Kind,
    /// By which fields it is told from all others.
    by: Vec<(&'static str, Value)>,
    marker: &'a str,
}

impl<'a> Wanted<'a> {
    /// The extent or the target of this marker.
    pub(super) fn named(kind: Kind, marker: &'a str) -> Self {
        Self { kind, by: vec![("name", json!(marker))], marker }
    }

    /// The group of this marker.
    pub(super) fn group(marker: &'a str) -> Self {
        Self { kind: GROUP, by: vec![("comment", json!(comment(marker)))], marker }
    }

    /// What joins this target to this extent.
    pub(super) fn joint(target: u64, extent: u64, marker: &'a str) -> Self {
        let by = vec![("target", json!(target)), ("extent", json!(extent))];
        Self { kind: JOINT, by, marker }
    }

    /// What there is, if anything.
    ///
    /// # Errors
    /// As a conflict, if it is not ours.
    pub(super) async fn find(&self, nas: &Nas) -> Result<Option<Value>, Failure> {
        let filters: Vec<_> = self.by.iter().map(|(name, is)| json!([name, "=", is])).collect();
        let mut found = nas.look(&self.kind.method("query"), json!([filters])).await?;
        let Some(entry) = found.get_mut(0).map(Value::take) else { return Ok(None) };
        let is_ours = |mark| entry[mark] == comment(self.marker).as_str();
        if self.kind.mark.is_none_or(is_ours) {
            return Ok(Some(entry));
        }
        let words = format!(
            "the iSCSI {} {} is there and carries no marker of ours",
            self.kind.word, self.marker
        );
        Err(Failure::new(Class::Conflict, words))
    }

    /// Makes it, or changes the one that is there, until it is as `fields` say. Returns its number.
    pub(super) async fn ensure(
        &self,
        (nas, cx): (&Nas, &StepContext),
        fields: Value,
    ) -> Result<u64, Failure> {
        let mut fields = fields.as_object().cloned().unwrap_or_default();
        fields.extend(self.by.iter().map(|(name, is)| ((*name).to_owned(), is.clone())));
        let mark = self.kind.mark.map(|mark| (mark.to_owned(), json!(comment(self.marker))));
        fields.extend(mark);
        let found = self.find(nas).await?;
        if let Some(number) = found.as_ref().and_then(|entry| as_wanted(entry, &fields)) {
            return Ok(number);
        }
        cx.still_wanted()?;
        let done = match &found {
            Some(entry) => {
                let differs = |(name, is): &(&String, &Value)| entry[name.as_str()] != **is;
                let change: Map<_, _> = fields
                    .iter()
                    .filter(differs)
                    .map(|(name, is)| (name.clone(), is.clone()))
                    .collect();
                nas.act(&self.kind.method("update"), json!([entry["id"], change])).await
            }
            None => nas.act(&self.kind.method("create"), json!([fields])).await,
        };
        match self.find(nas).await?.as_ref().and_then(|entry| as_wanted(entry, &fields)) {
            Some(number) => Ok(number),
            None => Err(done.err().map_or_else(|| self.vanished(), Failure::from)),
        }
    }

    /// Deletes it if it is there and ours; what is somebody else's is left alone. `also` are the
    /// parameters behind its number. Never by force, which would take it from beneath a machine.
    pub(super) async fn remove(
        &self,
        (nas, cx): (&Nas, &StepContext),
        also: &[Value],
    ) -> Result<(), Failure> {
        // There may be two, where the answer to the first was lost.
        while let Some(entry) = self.find_ours(nas).await? {
            cx.still_wanted()?;
            let parameters: Vec<_> = [&entry["id"]].into_iter().chain(also).collect();
            unless_missing(nas.act(&self.kind.method("delete"), json!(parameters)).await)?;
        }
        Ok(())
    }

    /// What is ours, if anything.
    pub(super) async fn find_ours(&self, nas: &Nas) -> Result<Option<Value>, Failure> {
        match self.find(nas).await {
            Err(failure) if failure.class == Class::Conflict => {
                tracing::warn!(
                    marker = self.marker,
                    "a stranger's {} is left alone",
                    self.kind.word
                );
                Ok(None)
            }
            found => found,
        }
    }

    fn vanished(&self) -> Failure {
        let words =
            format!("the iSCSI {} {} was made and is not as wanted", self.kind.word, self.marker);
        Failure::new(Class::Retry, words)
    }
}

/// Its number, if all these fields are as they are to be.
fn as_wanted(entry: &Value, fields: &Map<String, Value>) -> Option<u64> {
    let is = fields.iter().all(|(name, is)| entry[name.as_str()] == *is);
    entry["id"].as_u64().filter(|_| is)
}

/// What joins this target to whatever extent.
pub(super) async fn joints(nas: &Nas, target: &Value) -> Result<Vec<Value>, Failure> {
    let found = nas.look(&JOINT.method("query"), json!([[["target", "=", target]]])).await?;
    Ok(found.as_array().cloned().unwrap_or_default())
}

/// Where a volume lies, as an extent names it.
pub(super) fn disk(dataset: &str) -> String {
    format!("zvol/{dataset}")
}

/// The names of the extents of a volume. They go with it, without a question, when it is destroyed.
pub(super) async fn extents_of(nas: &Nas, dataset: &str) -> Result<Vec<String>, Failure> {
    let filters = json!([[["disk", "=", disk(dataset)]]]);
    let found = nas.look(&EXTENT.method("query"), filters).await?;
    let names = found.as_array().map(Vec::as_slice).unwrap_or_default().iter();
    Ok(names.filter_map(|entry| entry["name"].as_str()).map(str::to_owned).collect())
}
