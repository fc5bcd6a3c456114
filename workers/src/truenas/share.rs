//! NFS exports, and whose they are: their comment carries our marker.

use serde_json::{Value, json};
use stead_schemas::failure::{Class, Failure};

use super::client::Nas;

/// An export of a path.
pub(super) struct Export {
    pub(super) id: u64,
    pub(super) comment: String,
    /// Where it may be mounted from; anywhere, if it names none.
    networks: Vec<Value>,
}

impl Export {
    /// Whether exactly these networks may mount it, or nobody wants to say which.
    pub(super) fn is_for(&self, networks: &[String]) -> bool {
        networks.is_empty()
            || networks.len() == self.networks.len()
                && networks.iter().all(|one| self.networks.iter().any(|there| there == one))
    }
}

/// How the comment of an export of ours begins.
pub(super) const MARK: &str = "stead: ";

/// The comment that marks an export as ours.
pub(super) fn comment(marker: &str) -> String {
    format!("{MARK}{marker}")
}

/// The mark of ours that an export carries, as the middleware shows it.
pub(super) fn marker_of(entry: &Value) -> Option<String> {
    marked_in(&entry["comment"])
}

/// The mark of ours in a comment.
pub(super) fn marked_in(comment: &Value) -> Option<String> {
    comment.as_str()?.strip_prefix(MARK).map(str::to_owned)
}

/// Every export of exactly this path.
pub(super) async fn exports(nas: &Nas, path: &str) -> Result<Vec<Export>, Failure> {
    let found = nas.look("sharing.nfs.query", json!([[["path", "=", path]]])).await?;
    let entries = found.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(entries.iter().filter_map(read).collect())
}

fn read(entry: &Value) -> Option<Export> {
    let comment = entry["comment"].as_str().unwrap_or_default().to_owned();
    let networks = entry["networks"].as_array().cloned().unwrap_or_default();
    Some(Export { id: entry["id"].as_u64()?, comment, networks })
}

/// Our export of the path, if it has one.
///
/// # Errors
/// As a conflict, if others export it and we do not.
pub(super) async fn find_ours(
    nas: &Nas,
    path: &str,
    marker: &str,
) -> Result<Option<Export>, Failure> {
    let (ours, others): (Vec<_>, Vec<_>) =
        exports(nas, path).await?.into_iter().partition(|export| export.comment == comment(marker));
    match (ours.into_iter().next(), others.first()) {
        (Some(export), _) => Ok(Some(export)),
        (None, None) => Ok(None),
        (None, Some(other)) => {
            let words = format!("{path} is exported by somebody else (share {})", other.id);
            Err(Failure::new(Class::Conflict, words).vendor(other.comment.clone()))
        }
    }
}
