//! How a lab is set up, and where it is reached once it runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How to start a lab.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// How long vendors take.
    pub latency: Latency,
    /// Who lets the machines' systems live.
    pub guests: Guests,
    /// How long guests take.
    pub guest: GuestTiming,
    /// Seed of generated ids, addresses and jitter.
    pub seed: u64,
    /// Ports to listen on.
    pub bind: LabPorts,
    /// Whether the journal of calls keeps what was answered, which costs time and memory.
    pub keeps_answers: bool,
    /// The one mount of secrets that Vault has.
    pub vault_mount: &'static str,
}

impl Default for LabOptions {
    fn default() -> Self {
        Self {
            latency: Latency::Zero,
            guests: Guests::Played,
            guest: GuestTiming::default(),
            seed: 1,
            bind: LabPorts::default(),
            keeps_answers: false,
            vault_mount: "secret",
        }
    }
}

/// How long vendors take to answer and to finish their tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Latency {
    /// No artificial delay anywhere.
    #[default]
    Zero,
    /// API calls of 5 to 30 ms, a clone of 1.5 s, boots of a few seconds.
    Realistic,
}

/// Who lets the systems on the machines live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guests {
    /// The lab: from power to agent.
    #[default]
    Played,
    /// Somebody else, who watches which machines are on and boots a system for each. The lab takes
    /// such a system to be up and to hear the power button.
    Elsewhere,
}

/// How long guests take. What is `None` follows from [`Latency`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestTiming {
    /// One stage of a boot.
    pub stage: Option<Duration>,
    /// The first pause before a report is sent again.
    pub retry_first: Option<Duration>,
    /// The longest pause before a report is sent again.
    pub retry_max: Option<Duration>,
}

/// Ports on 127.0.0.1; 0 takes a free one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabPorts {
    /// The lab's own control port.
    pub control: u16,
    /// Vault.
    pub vault: u16,
    /// TrueNAS.
    pub truenas: u16,
    /// Proxmox VE.
    pub proxmox: u16,
    /// Coder.
    pub coder: u16,
    /// Forgejo.
    pub forgejo: u16,
    /// Kubernetes, and the registry.
    pub kubernetes: u16,
    /// S3 and its administration.
    pub s3: u16,
    /// Authentik.
    pub authentik: u16,
}

/// Where a running lab listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The lab's own control API.
    pub control_url: String,
    /// `http://127.0.0.1:<port>`.
    pub vault_url: String,
    /// `ws://127.0.0.1:<port>/api/current`.
    pub truenas_url: String,
    /// `http://127.0.0.1:<port>`.
    pub proxmox_url: String,
    /// `http://127.0.0.1:<port>`.
    pub coder_url: String,
    /// `http://127.0.0.1:<port>`.
    pub forgejo_url: String,
    /// `http://127.0.0.1:<port>`: Kubernetes, and the registry beneath `/v2/`.
    #[serde(default)]
    pub kubernetes_url: String,
    /// `http://127.0.0.1:<port>`: S3, and its administration beneath `/v2/`.
    pub s3_url: String,
    /// `http://127.0.0.1:<port>`.
    pub authentik_url: String,
}

/// What a site needs to log in to the lab's Vault; every other secret lies in there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// AppRole role id.
    pub vault_role_id: String,
    /// AppRole secret id.
    pub vault_secret_id: String,
}
