//! The lab: simulated Vault, TrueNAS, Proxmox VE, Coder, Forgejo, Kubernetes, S3 and guest machines
//! that speak the real protocols on loopback, with faults on demand.
//!
//! A worker that works against the lab should work against the real systems: the lab keeps their
//! status codes, error shapes, tasks, jobs, locks and bad habits. What it does not keep is scale:
//! there is one storage pool, two nodes, one organization. It knows nothing of Stead beyond the
//! site configuration it prints.
//!
//! Read next: [`Lab`], then one folder per vendor, then `faults/catalogue.rs`.

mod authentik;
mod client;
mod coder;
mod control;
mod error;
mod faults;
mod forgejo;
mod guest;
mod inventory;
mod journal;
mod kubernetes;
mod lab;
mod meddle;
mod net;
mod options;
mod pace;
mod press;
mod proxmox;
mod s3;
mod site;
mod truenas;
mod vault;
mod world;

pub use authentik::UserChange;
pub use client::LabClient;
pub use coder::Provisioner;
pub use error::LabError;
pub use faults::{CallFault, FaultStatus};
pub use inventory::{
    AgentEntry, BucketEntry, CoderEntry, DatasetEntry, Inventory, IscsiEntry, KubernetesEntry,
    ShareEntry, VmEntry, VmSnapshotEntry,
};
pub use journal::{Effect, RecordedRequest};
pub use lab::Lab;
pub use options::{Addresses, Credentials, GuestTiming, Guests, LabOptions, LabPorts, Latency};
pub use press::BuildLog;
