//! `[s3]`: where buckets are made, by Garage's administration or by S3 itself.

use serde_json::{Value, json};
use stead_schemas::command::bucket::QUOTA_GB_MAX;
use stead_schemas::site::{S3Kind, S3Site};

use super::reader::{Reader, Section};

/// The section, if there is one: a site need not have any.
fn section<'a, 'b>(reader: &'a mut Reader<'b>) -> Option<Section<'a, 'b>> {
    reader.has_section("s3", "address").then(|| reader.section("s3"))
}

/// Where buckets are made.
pub fn site(reader: &mut Reader<'_>) -> Option<S3Site> {
    let mut section = section(reader)?;
    let kind = kind(&mut section);
    let credentials = section.vault_reference("credentials");
    let users = section.optional_vault_reference("users");
    for (key, folder) in [("credentials", Some(&credentials)), ("users", users.as_ref())] {
        if folder.is_some_and(|folder| folder.contains('#')) {
            section.fault(key, "names a folder in Vault, which has no version");
        }
    }
    let is_garage = kind.is_garage();
    for key in ["admin", "quota_gb"] {
        if !is_garage && section.has(key) {
            section.fault(key, "is Garage's; S3 of the kind generic has nothing like it");
        }
    }
    match (is_garage, users.is_some()) {
        (true, true) => section.fault("users", "is for S3 of the kind generic; Garage makes keys"),
        (false, false) => section.fault(
            "users",
            "is missing: S3 of the kind generic makes no keys, so each owner's own lies there",
        ),
        (true, false) | (false, true) => {}
    }
    let quota_gb = match is_garage {
        true => section.number_or("quota_gb", 10, 1..=QUOTA_GB_MAX),
        false => 0,
    };
    Some(S3Site {
        endpoint: section.text("address"),
        kind,
        secret: section.vault_reference("secret"),
        users,
        credentials,
        quota_gb,
        grace_seconds: u64::from(section.number_or("grace_seconds", 7 * 86_400, 0..=u32::MAX)),
    })
}

fn kind(section: &mut Section<'_, '_>) -> S3Kind {
    match section.text_or("kind", "garage").as_str() {
        "garage" => S3Kind::Garage,
        "generic" => S3Kind::Generic,
        _ => {
            section.fault("kind", "is garage, or generic for S3 without Garage's administration");
            S3Kind::Garage
        }
    }
}

/// The same, as the worker reads it.
pub fn worker(reader: &mut Reader<'_>) -> Option<Value> {
    let mut section = section(reader)?;
    let is_garage = section.text_or("kind", "garage") != "generic";
    let admin = is_garage.then(|| section.text("admin"));
    let region = if is_garage { "garage" } else { "us-east-1" };
    Some(json!({
        "admin": admin, "address": section.text("address"),
        "region": section.text_or("region", region),
    }))
}
