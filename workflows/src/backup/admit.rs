//! The door of a backup: what it is to be comes from the site's configuration.

use alloc::format;
use alloc::string::{String, ToString};

use serde_json::Value;
use stead_core::definition::{Admission, Admitted};
use stead_schemas::command::backup::BackupOrder;
use stead_schemas::command::fields::Fields;
use stead_schemas::refusal::Refusal;
use stead_schemas::site::{BackupOf, Site};
use stead_schemas::step::vmids::PLATFORM;

use crate::as_value;

pub(super) fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    if admission.owner.as_str() != PLATFORM {
        let words = format!("backups are the platform's own: the owner is `{PLATFORM}`");
        return Err(Refusal::new("backup.unknown", words).field("name"));
    }
    Fields::of(admission.fields).finish()?;
    if admission.verb == "keep" {
        let order = configured(admission.site, admission.name);
        let begins = order.is_some();
        return Ok(Admitted { payload: as_value(&order), begins, interrupts: false });
    }
    if admission.living.is_none() {
        let words = format!(
            "there is no backup `{}`; whoever runs the platform must write [[backups]]",
            admission.name
        );
        return Err(Refusal::new("backup.unknown", words).field("name"));
    }
    Ok(Admitted { payload: Value::Null, begins: false, interrupts: false })
}

/// What the configuration says of it, if it knows it.
fn configured(site: &Site, name: &str) -> Option<BackupOrder> {
    let mut backup = site.backups.iter().find(|backup| backup.name == name)?.clone();
    let (secret, target_secret) = match &mut backup.of {
        BackupOf::Zfs(zfs) => {
            let target = zfs.target_nas.as_ref().map(|nas| of_nas(site, Some(nas)));
            (of_nas(site, zfs.nas.as_ref()), target)
        }
        BackupOf::Job(job) => {
            let kubernetes = site.kubernetes.as_ref()?;
            job.namespace.get_or_insert_with(|| kubernetes.namespace.clone());
            (kubernetes.secret.clone(), None)
        }
        BackupOf::Guest(_) => (site.proxmox.secret.clone(), None),
    };
    Some(BackupOrder { backup, secret, target_secret })
}

/// Where the key lies of a TrueNAS of this name; that of the one that keeps homes, if it has none.
fn of_nas(site: &Site, name: Option<&String>) -> String {
    let other = site.nas.iter().find(|nas| Some(&nas.name) == name);
    other.map_or(&site.truenas.secret, |nas| &nas.secret).to_string()
}
