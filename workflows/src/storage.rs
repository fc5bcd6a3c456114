//! What the site says of TrueNAS by now. A home and a volume outlive what they were told when they were
//! made, so their doors write it beside every command that they let in.

use serde_json::Value;
use stead_core::context::Command;
use stead_schemas::site::{Site, TrueNasSite};

use crate::as_value;

/// The field that it stands in. What workspaces write of the site is as old as they are.
const FIELD: &str = "site_now";

/// Writes it beside what is asked.
pub(crate) fn beside(mut ask: Value, site: &Site) -> Value {
    if let Some(fields) = ask.as_object_mut() {
        fields.insert(FIELD.into(), as_value(&site.truenas));
    }
    ask
}

/// Reads it; nothing where an older build let the command in, or the site has no TrueNAS any more.
pub(crate) fn read(command: &Command) -> Option<TrueNasSite> {
    let site: TrueNasSite = serde_json::from_value(command.payload[FIELD].clone()).ok()?;
    (!site.secret.is_empty()).then_some(site)
}
