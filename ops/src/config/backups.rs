//! Which backups are made, and the TrueNAS servers besides the one that keeps homes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use stead_schemas::command::backup::{KEEP_DAYS_MAX, NAME_MAX};
use stead_schemas::command::workspace::check_name;
use stead_schemas::site::{BackupOf, BackupSite, NasSite, TrueNasSite, ZfsBackup};
use stead_workers::address::SocketAddress;
use stead_workflows::schedule::check_times;

use super::reader::Reader;

/// A `[[nas]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    address: String,
    secret: String,
}

/// The other servers.
#[derive(Default)]
pub(super) struct Servers {
    /// What backups know of them.
    pub(super) sites: Vec<NasSite>,
    /// Where each of them is, by name: what their worker is told. What is wrong was said.
    pub(super) addresses: BTreeMap<String, String>,
}

pub(super) fn nas(reader: &mut Reader<'_>) -> Servers {
    let (mut servers, mut names) = (Servers::default(), BTreeSet::new());
    let mut places: BTreeSet<String> =
        reader.section("truenas").optional_text("address").into_iter().collect();
    for (line, value) in reader.tables("nas") {
        let Written { name, address, secret } = match serde_json::from_value(value) {
            Ok(written) => written,
            Err(error) => {
                reader.add(Some(line), "nas".to_owned(), error.to_string());
                continue;
            }
        };
        let elsewhere = reader.elsewhere(&secret);
        let mut fault = |key: &str, words: String| {
            reader.add(Some(line), format!("nas.{key}"), words);
        };
        if let Some(words) = elsewhere {
            fault("secret", words);
        }
        if let Err(refusal) = check_name(&name) {
            fault("name", refusal.words);
        }
        if !secret.starts_with("vault:") {
            fault("secret", "is a place in Vault, such as vault:secret/data/truenas/nas04".into());
        }
        let is_address = address.parse::<SocketAddress>().map_err(|error| error.to_string());
        if let Err(words) = &is_address {
            fault("address", words.clone());
        }
        if !names.insert(name.clone()) {
            fault("name", format!("there are two of the name {name}"));
        }
        if !places.insert(address.clone()) {
            fault("address", format!("another TrueNAS is at {address}, too"));
        }
        if is_address.is_ok() {
            servers.addresses.insert(name.clone(), address);
        }
        servers.sites.push(NasSite { name, secret });
    }
    servers
}

/// What a backup may refer to.
pub(super) struct Known<'a> {
    pub(super) nas: &'a [NasSite],
    pub(super) truenas: &'a TrueNasSite,
    pub(super) has_kubernetes: bool,
}

pub(super) fn read(reader: &mut Reader<'_>, known: &Known<'_>) -> Vec<BackupSite> {
    let (mut names, mut backups) = (BTreeSet::new(), Vec::new());
    for (line, value) in reader.tables("backups") {
        let backup = match serde_json::from_value::<BackupSite>(value) {
            Ok(backup) => backup,
            Err(error) => {
                reader.add(Some(line), "backups".to_owned(), error.to_string());
                continue;
            }
        };
        for (key, words) in faults(&backup, known) {
            reader.add(Some(line), format!("backups.{key}"), words);
        }
        if let Some(other) = names.iter().find(|other: &&String| alike(&backup.name, other)) {
            let words = format!("its copies could be taken for those of {other}");
            reader.add(Some(line), "backups.name".to_owned(), words);
        }
        if !names.insert(backup.name.clone()) {
            let words = format!("there are two of the name {}", backup.name);
            reader.add(Some(line), "backups.name".to_owned(), words);
        }
        backups.push(backup);
    }
    backups
}

/// Whether the names of the one's copies begin like those of the other's.
fn alike(one: &str, other: &str) -> bool {
    let begins = |long: &str, short: &str| {
        long.strip_prefix(short).is_some_and(|rest| rest.starts_with('-'))
    };
    begins(one, other) || begins(other, one)
}

fn faults(backup: &BackupSite, known: &Known<'_>) -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    if let Err(refusal) = check_name(&backup.name) {
        faults.push(("name", refusal.words));
    }
    if backup.name.len() > NAME_MAX {
        faults.push(("name", format!("has at most {NAME_MAX} characters")));
    }
    if let Err(refusal) = check_times(&backup.cron, &backup.time_zone) {
        let key = if refusal.field.as_deref() == Some("time_zone") { "time_zone" } else { "cron" };
        faults.push((key, refusal.words));
    }
    if !(1..=KEEP_DAYS_MAX).contains(&backup.keep_days) {
        faults.push(("keep_days", format!("is between 1 and {KEEP_DAYS_MAX}")));
    }
    match &backup.of {
        BackupOf::Zfs(zfs) => faults.extend(faults_of_zfs(zfs, known)),
        BackupOf::Job(_) if !known.has_kubernetes => {
            faults.push(("of.job", "needs a [kubernetes] section".to_owned()));
        }
        BackupOf::Job(_) => {}
        BackupOf::Guest(guest) if guest.vmid < 100 || guest.storage.is_empty() => {
            faults.push(("of.guest", "names a VMID from 100 on, and a storage".to_owned()));
        }
        BackupOf::Guest(_) => {}
    }
    faults
}

fn faults_of_zfs(zfs: &ZfsBackup, known: &Known<'_>) -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    for nas in zfs.nas.iter().chain(&zfs.target_nas) {
        if !known.nas.iter().any(|server| server.name == *nas) {
            faults.push(("of.zfs", format!("there is no [[nas]] of the name {nas}")));
        }
    }
    let target_nas = zfs.target_nas.as_ref().or(zfs.nas.as_ref());
    let is_local = target_nas == zfs.nas.as_ref();
    if !is_local && zfs.ssh_credentials.is_none() {
        let words = "ssh_credentials is missing: the number of the SSH connection between the two";
        faults.push(("of.zfs", words.to_owned()));
    }
    if !zfs.target.contains('/') {
        faults.push(("of.zfs", "target is a dataset in a pool: backup/coder-home".to_owned()));
    }
    if is_local && (beneath(&zfs.target, &zfs.dataset) || beneath(&zfs.dataset, &zfs.target)) {
        faults.push(("of.zfs", "target and dataset are one within the other".to_owned()));
    }
    if target_nas.is_none() && beneath(&zfs.target, &known.truenas.parent) {
        let words = "target lies where homes are, and would be taken for some";
        faults.push(("of.zfs", words.to_owned()));
    }
    faults
}

pub(super) fn beneath(dataset: &str, parent: &str) -> bool {
    let rest = dataset.strip_prefix(parent);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
