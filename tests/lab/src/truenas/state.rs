//! What the NAS knows: datasets, shares, jobs.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tokio::sync::broadcast;

use super::OWNER_SUFFIX;
use super::entry::POOL_BYTES;
use super::iscsi::Iscsi;
use super::jobs::Job;

/// An empty file system is not quite empty.
const BYTES_EMPTY: u64 = 96 << 10;

/// A file system, or a volume.
#[derive(Clone)]
pub(crate) struct Dataset {
    pub(crate) id: String,
    pub(crate) quota: u64,
    pub(crate) refquota: u64,
    /// How large a volume is; nothing if it is a file system.
    pub(crate) volsize: Option<u64>,
    pub(crate) used: u64,
    pub(crate) mounted: bool,
    pub(crate) uid: i64,
    pub(crate) gid: i64,
    pub(crate) mode: u32,
    pub(crate) preexisting: bool,
    /// Without the dataset's name.
    pub(crate) snapshots: BTreeMap<String, Snapshot>,
    pub(super) user_properties: BTreeMap<String, String>,
    /// Other properties that were set, upper case as the API has them.
    pub(super) settings: Map<String, Value>,
    /// The snapshot it is a clone of.
    pub(super) origin: Option<String>,
    pub(super) created: DateTime<Utc>,
}

/// A snapshot of one dataset.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(super) created: DateTime<Utc>,
    pub(super) txg: u64,
    pub(super) is_held: bool,
    /// What it is known by wherever it is sent.
    pub(super) guid: u64,
    pub(super) properties: BTreeMap<String, String>,
}

/// What a guest finds where it wants to mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mount {
    /// No enabled share, or no mounted dataset behind it.
    Absent,
    /// There, but user 1000 cannot write.
    ReadOnly,
    /// There and user 1000's own.
    Writable,
}

/// What the NAS knows.
pub(crate) struct State {
    pub(crate) datasets: BTreeMap<String, Dataset>,
    /// NFS shares: the entries themselves, by id.
    pub(crate) shares: BTreeMap<i64, Map<String, Value>>,
    pub(super) next_share: i64,
    pub(crate) iscsi: Iscsi,
    pub(super) jobs: BTreeMap<i64, Job>,
    pub(super) next_job: i64,
    pub(super) txg: u64,
    pub(super) job_events: broadcast::Sender<Value>,
    /// How much the pool holds.
    pub(crate) pool_bytes: u64,
}

impl Dataset {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            quota: 0,
            refquota: 0,
            volsize: None,
            used: BYTES_EMPTY,
            mounted: true,
            uid: 0,
            gid: 0,
            mode: 0o755,
            preexisting: false,
            snapshots: BTreeMap::new(),
            user_properties: BTreeMap::new(),
            settings: Map::new(),
            origin: None,
            created: Utc::now(),
        }
    }

    /// One of another name that is like it and has no snapshots.
    pub(super) fn without_snapshots(&self, id: &str) -> Self {
        Self { id: id.to_owned(), snapshots: BTreeMap::new(), ..self.clone() }
    }

    pub(crate) fn path(&self) -> String {
        format!("/mnt/{}", self.id)
    }

    /// Whose it is, as its user properties say.
    pub(crate) fn owner(&self) -> String {
        let owner = self.user_properties.iter().find(|(name, _)| name.ends_with(OWNER_SUFFIX));
        owner
            .or_else(|| self.user_properties.iter().next())
            .map(|(_, value)| value.clone())
            .unwrap_or_default()
    }

    /// Makes it somebody else's. False if it is nobody's.
    pub(crate) fn mark(&mut self, marker: &str) -> bool {
        let mut properties = self.user_properties.iter_mut();
        let owner = properties.find(|(name, _)| name.ends_with(OWNER_SUFFIX));
        owner.map(|(_, value)| marker.clone_into(value)).is_some()
    }
}

impl State {
    pub(crate) fn pristine() -> Self {
        let parents = ["backup", "tank", "tank/coder-home", "tank/coder-volumes"].map(|id| {
            let dataset = Dataset { preexisting: true, ..Dataset::new(id) };
            (id.to_owned(), dataset)
        });
        Self {
            datasets: BTreeMap::from(parents),
            shares: BTreeMap::new(),
            next_share: 1,
            iscsi: Iscsi::default(),
            jobs: BTreeMap::new(),
            next_job: 1,
            txg: 1000,
            job_events: broadcast::Sender::new(256),
            pool_bytes: POOL_BYTES,
        }
    }

    /// The dataset that is mounted at a path of the server.
    pub(super) fn at_path(&self, path: &str) -> Option<&Dataset> {
        let id = path.strip_prefix("/mnt/")?.trim_end_matches('/');
        self.datasets.get(id).filter(|dataset| dataset.mounted && dataset.volsize.is_none())
    }

    /// What a guest finds behind an export.
    pub(crate) fn mount(&self, path: &str, from: &[Ipv4Addr]) -> Mount {
        let path = path.trim_end_matches('/');
        let text = |share: &Map<String, Value>, name: &str| {
            share.get(name).and_then(Value::as_str).map(str::to_owned)
        };
        let flag =
            |share: &Map<String, Value>, name: &str| share.get(name) == Some(&Value::Bool(true));
        let share = self.shares.values().find(|share| text(share, "path").as_deref() == Some(path));
        let (Some(share), Some(dataset)) = (
            share.filter(|share| flag(share, "enabled") && admits(share, from)),
            self.at_path(path),
        ) else {
            return Mount::Absent;
        };
        let full = dataset.refquota > 0 && dataset.used >= dataset.refquota;
        let owned = dataset.uid == 1000 && dataset.gid == 1000 && dataset.mode & 0o200 != 0;
        if owned && !full && !flag(share, "ro") { Mount::Writable } else { Mount::ReadOnly }
    }
}

/// Whether an export is for one of these addresses; for everybody if it names no network.
fn admits(share: &Map<String, Value>, from: &[Ipv4Addr]) -> bool {
    let networks = share.get("networks").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let within = |network: &Value| {
        let (net, length) = network.as_str()?.split_once('/')?;
        let (net, length) = (net.parse::<Ipv4Addr>().ok()?, length.parse::<u32>().ok()?);
        let mask = u32::MAX.checked_shl(32_u32.checked_sub(length)?).unwrap_or(0);
        let is_in = |address: &Ipv4Addr| (address.to_bits() ^ net.to_bits()) & mask == 0;
        Some(from.iter().any(is_in))
    };
    networks.is_empty() || networks.iter().any(|network| within(network) == Some(true))
}
