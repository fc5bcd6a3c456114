//! The one world that all vendors share: their state, the faults in force, the journal.
//!
//! One mutex guards the state and is never held over an await. Every change wakes whoever waits
//! in [`World::changed`], so that guests and jobs need no polling.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::authentik;
use crate::coder;
use crate::faults::Faults;
use crate::forgejo;
use crate::journal::Journal;
use crate::kubernetes;
use crate::options::{Credentials, Guests, LabOptions};
use crate::pace::Pace;
use crate::proxmox;
use crate::s3;
use crate::truenas;
use crate::vault;

/// What the vendors know.
pub(crate) struct State {
    pub(crate) vault: vault::State,
    pub(crate) truenas: truenas::State,
    pub(crate) proxmox: proxmox::State,
    pub(crate) coder: coder::State,
    pub(crate) forgejo: forgejo::State,
    pub(crate) kubernetes: kubernetes::State,
    pub(crate) s3: s3::State,
    pub(crate) authentik: authentik::State,
    /// When the login ends that Stead has at a vendor's, where it does.
    pub(crate) logins_end: BTreeMap<String, DateTime<Utc>>,
}

/// The lab behind its sockets.
pub(crate) struct World {
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    pub(crate) pace: Pace,
    pub(crate) secrets: Secrets,
    pub(crate) guests: Guests,
    pub(crate) keeps_answers: bool,
    /// The one mount of secrets that Vault has.
    pub(crate) vault_mount: &'static str,
    /// The guests' HTTP client.
    pub(crate) http: reqwest::Client,
    state: Mutex<State>,
    pulse: watch::Sender<u64>,
    work: Mutex<JoinSet<()>>,
    provisioner: Mutex<Option<coder::Provisioner>>,
    closing: watch::Receiver<bool>,
}

/// The secrets a lab is born with. Recognisable, so that tests can search for them.
#[derive(Clone)]
pub(crate) struct Secrets {
    pub(crate) credentials: Credentials,
    pub(crate) pve_token: String,
    pub(crate) nas_key: String,
    pub(crate) coder_token: String,
    pub(crate) seed_key: String,
    pub(crate) s3_token: String,
    pub(crate) forgejo_token: String,
    pub(crate) kubernetes_token: String,
    pub(crate) webhook_key: String,
    pub(crate) authentik_token: String,
    pub(crate) pve_password: String,
}

/// The API token's id in Proxmox VE.
pub(crate) const PVE_TOKEN_ID: &str = "stead@pve!engine";
/// Whose token it is, and who may log in by a password.
pub(crate) const PVE_USER: &str = "stead@pve";
/// The API key's user in TrueNAS.
pub(crate) const NAS_USER: &str = "stead";

impl Secrets {
    fn new(pace: &Pace) -> Self {
        let canary = |of: &str| format!("canary-{of}-{}", pace.uuid());
        Self {
            credentials: Credentials {
                vault_role_id: pace.uuid().to_string(),
                vault_secret_id: canary("vault"),
            },
            pve_token: canary("pve"),
            // A TrueNAS key is its number, a dash and the secret.
            nas_key: format!("1-{}", canary("nas")),
            coder_token: canary("coder"),
            seed_key: canary("seed"),
            s3_token: canary("s3"),
            forgejo_token: canary("forgejo"),
            webhook_key: canary("webhook"),
            authentik_token: canary("authentik"),
            kubernetes_token: canary("kubernetes"),
            pve_password: canary("pve-password"),
        }
    }

    fn all(&self) -> Vec<String> {
        vec![
            self.credentials.vault_secret_id.clone(),
            self.pve_token.clone(),
            self.nas_key.clone(),
            self.coder_token.clone(),
            self.seed_key.clone(),
            self.s3_token.clone(),
            self.forgejo_token.clone(),
            self.kubernetes_token.clone(),
            self.webhook_key.clone(),
            self.authentik_token.clone(),
            self.pve_password.clone(),
        ]
    }
}

impl State {
    fn pristine(secrets: &Secrets, pace: &Pace) -> Self {
        Self {
            vault: vault::State::pristine(secrets),
            truenas: truenas::State::pristine(),
            proxmox: proxmox::State::pristine(pace),
            coder: coder::State::pristine(pace),
            s3: s3::State::pristine(pace),
            forgejo: forgejo::State::pristine(pace),
            authentik: authentik::State::pristine(pace),
            kubernetes: kubernetes::State::pristine(),
            logins_end: BTreeMap::new(),
        }
    }
}

impl World {
    pub(crate) fn new(
        options: &LabOptions,
        http: reqwest::Client,
        closing: watch::Receiver<bool>,
    ) -> Arc<Self> {
        let pace = Pace::new(options);
        let secrets = Secrets::new(&pace);
        let state = Mutex::new(State::pristine(&secrets, &pace));
        Arc::new(Self {
            faults: Faults::default(),
            journal: Journal::default(),
            pace,
            secrets,
            guests: options.guests,
            keeps_answers: options.keeps_answers,
            vault_mount: options.vault_mount,
            http,
            state,
            pulse: watch::Sender::new(0),
            work: Mutex::new(JoinSet::new()),
            provisioner: Mutex::new(None),
            closing,
        })
    }

    /// Changes the state and wakes everybody who waits for a change.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let outcome = change(&mut self.state());
        self.wake();
        outcome
    }

    /// Changes the state, and wakes nobody unless somebody should know.
    pub(crate) fn change_quietly<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state())
    }

    /// Reads the state.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state())
    }

    /// Wakes everybody who waits for a change, for instance since a fault was mended.
    pub(crate) fn wake(&self) {
        self.pulse.send_modify(|beat| *beat += 1);
    }

    /// Answers as soon as `look` finds something. Asked again after every change.
    pub(crate) async fn until<T>(&self, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let mut pulse = self.pulse.subscribe();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            // The sender lives in `self`, so a change is all that can come.
            let _ = pulse.changed().await;
        }
    }

    /// Waits for the next change, but no longer than `pause`.
    pub(crate) async fn changed_within(&self, pause: Duration) {
        let mut pulse = self.pulse.subscribe();
        // Either way it is time to look again.
        let _ = tokio::time::timeout(pause, pulse.changed()).await;
    }

    /// Work that goes on without its caller: tasks, jobs, builds, guests. A reset ends it.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let mut running = self.work();
        while running.try_join_next().is_some() {}
        running.spawn(work)
    }

    /// Resolves when the lab closes.
    pub(crate) async fn closed(&self) {
        // A sender that is gone closes the lab as well.
        let _ = self.closing.clone().wait_for(|closing| *closing).await;
    }

    /// Ends all work that goes on in the background.
    pub(crate) fn stop_work(&self) {
        self.work().abort_all();
    }

    /// Back to the first morning.
    pub(crate) fn reset(&self) {
        self.stop_work();
        self.faults.clear();
        self.change(|state| *state = State::pristine(&self.secrets, &self.pace));
        self.journal.clear();
    }

    /// What builds in Coder hand over to, if to anything.
    pub(crate) fn provisioner(&self) -> Option<coder::Provisioner> {
        self.provisioner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn provision_with(&self, provisioner: coder::Provisioner) {
        *self.provisioner.lock().unwrap_or_else(PoisonError::into_inner) = Some(provisioner);
    }

    /// Every secret there is by now.
    pub(crate) fn all_secrets(&self) -> Vec<String> {
        let mut all = self.secrets.all();
        self.read(|state| {
            all.extend(state.vault.tokens());
            all.extend(state.coder.minted());
            all.extend(state.proxmox.minted());
            all.extend(state.s3.secrets());
        });
        all
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
