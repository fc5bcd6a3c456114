//! How long histories are kept, who may have them expire, and whose signature on that counts.

use stead_nats::access::{is_public_key, public_key};
use stead_workers::SecretText;

use super::names;
use super::reader::Reader;

/// More days than this are for ever.
const DAYS_MAX: u32 = 36_500;
/// More hours than these are no interval: a year.
const HOURS_MAX: u32 = 24 * 366;

/// How long histories are kept; for ever, if nothing is said.
#[derive(Clone, Debug, Default)]
pub struct AuditConfig {
    /// For so many days after a segment of the archive was written.
    pub keep_days: Option<u32>,
    /// Every so many hours an engine has them expire; if nothing is said, whoever gives the verb.
    pub expire_hours: Option<u32>,
    /// The seed of the key that signs tombstones, for whoever has histories expire.
    pub key: Option<SecretText>,
    /// The public halves of the keys whose signature counts.
    pub signers: Vec<String>,
}

pub(super) fn read(reader: &mut Reader<'_>) -> AuditConfig {
    let mut section = reader.section("audit");
    let days = section.number_or("keep_days", 0, 0..=DAYS_MAX);
    let hours = section.number_or("expire_hours", 0, 0..=HOURS_MAX);
    if hours > 0 && days == 0 {
        section.fault("expire_hours", "nothing expires: `keep_days` says for how long all is kept");
    }
    let key = section.optional_guarded_secret("key");
    if key.as_ref().is_some_and(|seed| public_key(seed.expose()).is_err()) {
        section.fault("key", "is no seed of a key; `stead nats key FILE` makes one");
    }
    let signers = names(section.optional_text("signers"));
    if let Some(wrong) = signers.iter().find(|key| !is_public_key(key)) {
        let words = format!("`{wrong}` is no public half of a key; `stead nats key` makes one");
        section.fault("signers", &words);
    }
    let some = |number: u32| Some(number).filter(|number| *number > 0);
    AuditConfig { keep_days: some(days), expire_hours: some(hours), key, signers }
}
