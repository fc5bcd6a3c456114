//! One VM: its configuration as the node's file has it, its power, its guest.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};

use super::snapshots::Snapshot;
use super::state::STORAGES;
use crate::guest::Body;

/// A VM or a template.
pub(crate) struct Vm {
    pub(crate) vmid: u32,
    pub(crate) node: String,
    /// The keys of the configuration file, `lock` and `template` among them.
    pub(crate) config: BTreeMap<String, String>,
    /// Since when it runs; `None` is stopped.
    pub(crate) running_since: Option<DateTime<Utc>>,
    /// Under high availability, whether it is to run.
    pub(crate) managed: Option<bool>,
    /// Was there before the lab's first call, and does not count as left behind.
    pub(crate) preexisting: bool,
    /// The system inside.
    pub(crate) guest: Body,
    /// What its guest has written to its own disk: one thing at each boot.
    pub(crate) written: u64,
    /// Oldest first.
    pub(crate) snapshots: Vec<Snapshot>,
}

impl Vm {
    pub(crate) fn new(vmid: u32, node: &str, config: BTreeMap<String, String>) -> Self {
        Self {
            vmid,
            node: node.to_owned(),
            config,
            running_since: None,
            managed: None,
            preexisting: false,
            guest: Body::default(),
            written: 0,
            snapshots: Vec::new(),
        }
    }

    pub(crate) fn key(&self, name: &str) -> &str {
        self.config.get(name).map_or("", String::as_str)
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.config.insert(name.to_owned(), value.into());
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running_since.is_some()
    }

    pub(crate) fn is_template(&self) -> bool {
        self.key("template") == "1"
    }

    /// The name; a VM without one is called by its number.
    pub(crate) fn name(&self) -> String {
        match self.key("name") {
            "" => format!("VM {}", self.vmid),
            name => name.to_owned(),
        }
    }

    pub(crate) fn number(&self, key: &str) -> u64 {
        self.key(key).parse().unwrap_or(0)
    }

    /// The kind of storage that its disk lies on: `lvm`.
    pub(super) fn storage_kind(&self) -> &'static str {
        let storage = self.key("scsi0").split(':').next().unwrap_or_default();
        STORAGES.iter().find(|(name, ..)| *name == storage).map_or("", |(_, kind, _)| kind)
    }

    /// The size of its first disk.
    pub(crate) fn disk_gib(&self) -> u64 {
        disk_size(self.key("scsi0")).map_or(0, |bytes| bytes >> 30)
    }

    /// Forty hexadecimal digits that change with the configuration.
    pub(crate) fn digest(&self) -> String {
        let part = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            self.config.hash(&mut hasher);
            format!("{:016x}", hasher.finish())
        };
        let mut digest = part(0) + &part(1) + &part(2);
        digest.truncate(40);
        digest
    }
}

/// The `size=` of a disk, in bytes.
pub(super) fn disk_size(disk: &str) -> Option<u64> {
    disk.split(',').find_map(|part| part.strip_prefix("size=")).and_then(parse_size)
}

/// `40G` in bytes.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let unit = match text.chars().last()? {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        'T' => 40,
        _ => 0,
    };
    let digits = if unit == 0 { text } else { &text[..text.len() - 1] };
    digits.parse::<u64>().ok()?.checked_mul(1 << unit)
}

/// The serial number that the firmware shows, decoded as `base64=1` says.
pub(crate) fn smbios_serial(smbios: &str) -> Option<String> {
    let part =
        |name: &str| smbios.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let serial = part("serial")?;
    if part("base64") != Some("1") {
        return Some(serial.to_owned());
    }
    STANDARD.decode(serial).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::{parse_size, smbios_serial};

    #[test]
    fn the_serial_is_decoded() {
        let smbios = "uuid=00000000-0000-4000-8000-000000000000,base64=1,serial=ZHM9bm9jbG91ZA==";
        assert_eq!(smbios_serial(smbios).as_deref(), Some("ds=nocloud"));
        assert_eq!(smbios_serial("uuid=x"), None);
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("40G"), Some(40 << 30));
        assert_eq!(parse_size("1T"), Some(1 << 40));
        assert_eq!(parse_size("x"), None);
    }
}
