//! Authentik: where it is, and how often it is asked who may own workspaces. A site need not ask anybody.

use serde_json::{Value, json};
use stead_schemas::site::AuthentikSite;

use super::reader::Reader;

/// What engines know of it.
pub(super) fn site(reader: &mut Reader<'_>) -> Option<AuthentikSite> {
    if !reader.has_section("authentik", "address") {
        return None;
    }
    let mut section = reader.section("authentik");
    Some(AuthentikSite {
        secret: section.vault_reference("secret"),
        every_minutes: section.number_or("every_minutes", 5, 1..=1_440),
    })
}

/// What its workers know of it.
pub(super) fn worker(reader: &mut Reader<'_>) -> Option<Value> {
    let is_there = reader.has_section("authentik", "address");
    is_there.then(|| json!({ "address": reader.section("authentik").text("address") }))
}
