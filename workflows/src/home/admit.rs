//! The door of a home. What people ask is checked; what its workspaces ask is ours. Beside either stands
//! what the site says of TrueNAS by now.

use alloc::format;
use alloc::string::{String, ToString};

use serde_json::Value;
use stead_core::definition::{Admission, Admitted};
use stead_schemas::command::fields::Fields;
use stead_schemas::command::home::{DropSnapshot, NameHome, SNAPSHOT_MAX, SnapshotHome};
use stead_schemas::refusal::Refusal;
use stead_schemas::site::{Range, Site};
use stead_schemas::step::home::{NAME, Resize};

use crate::plan::planned;
use crate::{as_value, storage};

/// See the module's head.
pub(super) fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let (ask, begins) = match admission.verb {
        "drop" => (drop_snapshot(admission)?, false),
        "snapshot" => (take_snapshot(admission)?, false),
        "snapshots" => (list_snapshots(admission)?, false),
        "quota" => (quota(admission)?, false),
        _ => (Value::Object(admission.fields.clone()), true),
    };
    let payload = storage::beside(ask, admission.site);
    Ok(Admitted { payload, begins, interrupts: false })
}

fn take_snapshot(admission: &Admission<'_>) -> Result<Value, Refusal> {
    let mut fields = Fields::of(admission.fields);
    let snapshot = fields.optional_text("snapshot")?.map(ToString::to_string);
    fields.finish()?;
    check_there(admission)?;
    if snapshot.as_ref().is_some_and(|name| !is_good(name)) {
        let words = format!(
            "a snapshot's name has 1 to {SNAPSHOT_MAX} letters, digits, _ . and -, begins with a \
             letter or digit, and not with stead-"
        );
        return Err(Refusal::new("snapshot.name-invalid", words).field("snapshot"));
    }
    Ok(as_value(&SnapshotHome { id: None, name: admission.name.to_string(), snapshot }))
}

fn is_good(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    name.len() <= SNAPSHOT_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(plain)
        && !name.starts_with("stead-")
}

fn list_snapshots(admission: &Admission<'_>) -> Result<Value, Refusal> {
    Fields::of(admission.fields).finish()?;
    check_there(admission)?;
    Ok(as_value(&NameHome { id: None, name: admission.name.to_string() }))
}

fn drop_snapshot(admission: &Admission<'_>) -> Result<Value, Refusal> {
    let mut fields = Fields::of(admission.fields);
    let snapshot = fields.text("snapshot")?.to_string();
    fields.finish()?;
    check_there(admission)?;
    let taken = admission.living.map(|living| &living.view["snapshots"]);
    let taken = taken.and_then(Value::as_array).into_iter().flatten();
    if !taken.into_iter().any(|taken| taken["snapshot"] == snapshot.as_str()) {
        let words = "nobody has asked for a snapshot of this name; what others have taken, as \
                     TrueNAS does at intervals, is theirs to drop";
        return Err(Refusal::new("snapshot.unknown", words).field("snapshot"));
    }
    let plan = [
        Some(format!("snapshot {snapshot}: deleted, with all that only it still holds")),
        Some("home: stays as it is".to_string()),
    ];
    let ask = DropSnapshot { id: None, name: admission.name.to_string(), snapshot };
    Ok(planned(as_value(&ask), plan))
}

fn quota(admission: &Admission<'_>) -> Result<Value, Refusal> {
    let mut fields = Fields::of(admission.fields);
    let quota_gb = fields.optional_number("quota_gb")?;
    fields.finish()?;
    check_there(admission)?;
    let Some(quota_gb) = quota_gb else {
        return Err(Refusal::new("parameter.missing", "this field is needed").field("quota_gb"));
    };
    let Range { min, max, .. } = quotas(admission.site);
    if !(min..=max).contains(&quota_gb) {
        let words = format!("{quota_gb} is out of range; {min} to {max} may be chosen");
        return Err(Refusal::new("parameter.out-of-range", words).field("quota_gb"));
    }
    Ok(as_value(&Resize { owner: admission.owner.clone(), quota_gb }))
}

/// What any of the site's templates allows.
fn quotas(site: &Site) -> Range {
    let ranges = || site.templates.iter().map(|template| template.storage_quota_gb);
    let min = ranges().map(|range| range.min).min().unwrap_or_default();
    let max = ranges().map(|range| range.max).max().unwrap_or_default();
    Range { min, max, default: min }
}

fn check_there(admission: &Admission<'_>) -> Result<(), Refusal> {
    if admission.living.is_some() && admission.name == NAME {
        return Ok(());
    }
    let words: String = format!(
        "{} has no home `{}`; it is called `{NAME}`, once it is there",
        admission.owner, admission.name
    );
    Err(Refusal::new("home.unknown", words).field("name"))
}
