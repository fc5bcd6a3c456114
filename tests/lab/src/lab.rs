//! A running lab, and what its owner can do with it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::authentik::{self, Authentik, UserChange};
use crate::coder::{self, Provisioner};
use crate::control;
use crate::error::LabError;
use crate::faults::{CallFault, FaultStatus, Strikes};
use crate::forgejo::{self, Forgejo};
use crate::inventory::{self, Inventory};
use crate::journal::{Effect, RecordedRequest};
use crate::kubernetes::Kubernetes;
use crate::net::{Cut, Door, bind, router, url};
use crate::options::{Addresses, Credentials, LabOptions};
use crate::proxmox::Proxmox;
use crate::s3::S3;
use crate::site;
use crate::truenas;
use crate::vault::Vault;
use crate::world::World;

/// How long a shutdown waits for calls that are being answered.
const PATIENCE: Duration = Duration::from_secs(1);

/// A handle of a running lab. Its servers stop with the last handle, or on [`Lab::shutdown`].
#[derive(Clone)]
pub struct Lab {
    house: Arc<House>,
}

/// What stops when the last handle goes.
struct House {
    world: Arc<World>,
    addresses: Addresses,
    closing: watch::Sender<bool>,
    servers: tokio::sync::Mutex<JoinSet<()>>,
}

impl Drop for House {
    fn drop(&mut self) {
        self.closing.send_replace(true);
        self.world.stop_work();
    }
}

struct Doors {
    control: Door,
    vault: Door,
    truenas: Door,
    proxmox: Door,
    coder: Door,
    forgejo: Door,
    kubernetes: Door,
    s3: Door,
    authentik: Door,
}

impl Doors {
    async fn open(options: &LabOptions) -> Result<Self, LabError> {
        Ok(Self {
            control: bind(options.bind.control).await?,
            vault: bind(options.bind.vault).await?,
            truenas: bind(options.bind.truenas).await?,
            proxmox: bind(options.bind.proxmox).await?,
            coder: bind(options.bind.coder).await?,
            forgejo: bind(options.bind.forgejo).await?,
            kubernetes: bind(options.bind.kubernetes).await?,
            s3: bind(options.bind.s3).await?,
            authentik: bind(options.bind.authentik).await?,
        })
    }

    fn addresses(&self) -> Result<Addresses, LabError> {
        Ok(Addresses {
            control_url: url("http", &self.control)?,
            vault_url: url("http", &self.vault)?,
            truenas_url: format!("{}/api/current", url("ws", &self.truenas)?),
            proxmox_url: url("http", &self.proxmox)?,
            coder_url: url("http", &self.coder)?,
            forgejo_url: url("http", &self.forgejo)?,
            kubernetes_url: url("http", &self.kubernetes)?,
            s3_url: url("http", &self.s3)?,
            authentik_url: url("http", &self.authentik)?,
        })
    }
}

impl Lab {
    /// Binds the ports and serves.
    pub async fn start(options: LabOptions) -> Result<Self, LabError> {
        let (closing, closed) = watch::channel(false);
        let world = World::new(&options, control::http_client()?, closed);
        let doors = Doors::open(&options).await?;
        let addresses = doors.addresses()?;
        let mut servers = JoinSet::new();
        let mut open = |door, routes| servers.spawn(serve(door, routes, Arc::clone(&world)));
        open(doors.vault, router::<Vault>(Arc::clone(&world)));
        open(doors.proxmox, router::<Proxmox>(Arc::clone(&world)));
        open(doors.coder, coder::router(Arc::clone(&world)));
        open(doors.forgejo, router::<Forgejo>(Arc::clone(&world)));
        open(doors.kubernetes, router::<Kubernetes>(Arc::clone(&world)));
        open(doors.s3, router::<S3>(Arc::clone(&world)));
        open(doors.authentik, router::<Authentik>(Arc::clone(&world)));
        open(doors.truenas, truenas::router(Arc::clone(&world)));
        open(doors.control, control::router(Arc::clone(&world), addresses.clone()));
        tracing::info!(control = addresses.control_url, "the lab is open");
        let servers = tokio::sync::Mutex::new(servers);
        Ok(Self { house: Arc::new(House { world, addresses, closing, servers }) })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.house.addresses
    }

    /// What a site needs to log in to its Vault.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.world().secrets.credentials
    }

    /// The login that Stead has at this vendor's ends at so many seconds from now. What it opens until
    /// then, it opens afterwards, too; only what is said of it changes.
    pub fn end_login(&self, vendor: &str, seconds: i64) {
        let ends = Utc::now() + TimeDelta::seconds(seconds);
        self.world().change(|state| state.logins_end.insert(vendor.to_owned(), ends));
    }

    /// Makes another AppRole in its Vault, which may do no more than this policy says.
    ///
    /// # Errors
    /// If that is no policy.
    pub fn vault_role(&self, name: &str, policy: &str) -> Result<Credentials, LabError> {
        let world = self.world();
        let made = world.change(|state| state.vault.add_role(&world.pace, name, policy));
        made.map_err(LabError::Policy)
    }

    /// The token of the service account by which Vault knows a worker in Kubernetes. The one before has
    /// ended then, as happens to the file in a pod.
    pub fn project_token(&self) -> String {
        let token = format!("eyJhbGciOiJSUzI1NiJ9.canary-{}.c2ln", self.world().pace.uuid());
        self.world().change(|state| state.vault.project(token.clone()));
        token
    }

    /// The site configuration that leads a Stead here.
    #[must_use]
    pub fn site_toml(&self) -> String {
        site::toml(self.addresses(), self.world().vault_mount)
    }

    /// What was made and is still there.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        self.world().read(inventory::take)
    }

    /// Resolves with the first inventory that satisfies `wanted`. Looks again after every change.
    pub async fn until(&self, mut wanted: impl FnMut(&Inventory) -> bool) -> Inventory {
        let look = |world: &World| Some(world.read(inventory::take)).filter(&mut wanted);
        self.world().until(look).await
    }

    /// Puts a fault in force until it is mended.
    pub fn break_(&self, vendor: &str, fault: &str) -> Result<(), LabError> {
        self.inject(vendor, fault, Strikes { skip: 0, left: None })
    }

    /// Puts a fault in force that mends itself after it has fired `times` times.
    pub fn break_times(&self, vendor: &str, fault: &str, times: u32) -> Result<(), LabError> {
        self.break_after(vendor, fault, 0, times)
    }

    /// The same, and lets it pass the first `skip` times that it could fire.
    pub fn break_after(
        &self,
        vendor: &str,
        fault: &str,
        skip: u32,
        times: u32,
    ) -> Result<(), LabError> {
        self.inject(vendor, fault, Strikes { skip, left: Some(times) })
    }

    fn inject(&self, vendor: &str, fault: &str, strikes: Strikes) -> Result<(), LabError> {
        self.world().faults.inject(vendor, fault, strikes)?;
        self.world().wake();
        Ok(())
    }

    /// Strikes every call that `matcher` fits, until it is mended. `POST /clone` wants the method
    /// and a part of the path; anything else is a part of `METHOD /path` or of a JSON-RPC method.
    pub fn break_call(
        &self,
        vendor: &str,
        matcher: &str,
        effect: CallFault,
    ) -> Result<(), LabError> {
        self.world().faults.rule(vendor, matcher, effect, None)
    }

    /// Strikes the next `times` calls that `matcher` fits.
    pub fn break_call_times(
        &self,
        vendor: &str,
        matcher: &str,
        effect: CallFault,
        times: u32,
    ) -> Result<(), LabError> {
        self.world().faults.rule(vendor, matcher, effect, Some(times))
    }

    /// Ends every fault.
    pub fn mend(&self) {
        self.world().faults.mend();
        self.world().wake();
    }

    /// Ends one fault.
    pub fn mend_one(&self, vendor: &str, fault: &str) {
        self.world().faults.mend_one(vendor, fault);
        self.world().wake();
    }

    /// The catalogue, and what of it is in force.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultStatus> {
        self.world().faults.status()
    }

    /// Every call that reached a vendor, oldest first. Known secrets are blotted out.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.world().journal.requests()
    }

    /// The calls after the first `seen` of them.
    #[must_use]
    pub fn requests_after(&self, seen: usize) -> Vec<RecordedRequest> {
        self.world().journal.requests_after(seen)
    }

    /// Whether a call told this vendor beneath which span it works, as the header `traceparent` has it.
    #[must_use]
    pub fn was_told(&self, vendor: &str, trace: &str) -> bool {
        self.world().journal.was_told(vendor, trace)
    }

    /// Forgets the calls so far.
    pub fn clear_requests(&self) {
        self.world().journal.clear_requests();
    }

    /// Every effect that calls had, oldest first.
    #[must_use]
    pub fn effects(&self) -> Vec<Effect> {
        self.world().journal.effects()
    }

    /// Every secret the lab knows by now. Those that it made itself contain `canary-`.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        self.world().all_secrets()
    }

    /// What a job in this repository would be given as this secret; nothing if there is none.
    #[must_use]
    pub fn forgejo_secret(&self, repository: &str, name: &str) -> Option<String> {
        self.world().read(|state| state.forgejo.secret(repository, name))
    }

    /// Has Forgejo tell of pushes to a repository there, signed with the key that lies in the lab's
    /// Vault as `stead/webhook`; with none if it is not to sign. False if there is no such repository.
    pub fn hook(&self, repository: &str, url: &str, signs: bool) -> bool {
        let key = if signs { self.world().secrets.webhook_key.as_str() } else { "" };
        self.world().change(|state| state.forgejo.hook(repository, url, key))
    }

    /// The key that webhooks are signed with.
    #[must_use]
    pub fn webhook_key(&self) -> &str {
        &self.world().secrets.webhook_key
    }

    /// Commits files (`-> PLACE` is a link) to a branch; the commit, or nothing if there is no such
    /// repository.
    pub fn commit(&self, repository: &str, branch: &str, files: &[(&str, &str)]) -> Option<String> {
        forgejo::commit(self.world(), repository, branch, files)
    }

    /// Sends the last webhook of a repository once more, under another number.
    pub fn replay_hook(&self, repository: &str) {
        forgejo::replay(self.world(), repository);
    }

    /// The commit that a branch ends with.
    #[must_use]
    pub fn head(&self, repository: &str, branch: &str) -> Option<String> {
        self.world().read(|state| state.forgejo.head(repository, branch))
    }

    /// What was said last of a commit in a context: `success`.
    #[must_use]
    pub fn commit_status(&self, repository: &str, commit: &str, context: &str) -> Option<String> {
        self.world().read(|state| state.forgejo.status(repository, commit, context))
    }

    /// The name of the version that workspaces are made of.
    #[must_use]
    pub fn active_version(&self, template: &str) -> Option<String> {
        self.world().read(|state| state.coder.active_version(template).map(str::to_owned))
    }

    /// The name of the version that a workspace of Coder's was built from last.
    #[must_use]
    pub fn built_version(&self, owner: &str, name: &str) -> Option<String> {
        self.world().read(|state| state.coder.version_of(owner, name).map(str::to_owned))
    }

    /// Makes a new image, which the tag means from now on; its digest. Its pods become ready, or
    /// crash.
    pub fn push_image(&self, repository: &str, tag: &str, runs: bool) -> String {
        self.world().change(|state| state.kubernetes.push(repository, tag, runs))
    }

    /// Somebody changes how many pods a Deployment has, as `kubectl scale` does. False if there is no
    /// such Deployment.
    pub fn scale(&self, name: &str, replicas: u32) -> bool {
        self.world().change(|state| state.kubernetes.scale(name, replicas))
    }

    /// Somebody else makes an object of this kind and name in Kubernetes.
    pub fn strange(&self, kind: &str, name: &str) {
        let uid = self.world().pace.uuid();
        self.world().change(|state| state.kubernetes.strange(kind, name, uid));
    }

    /// Whose Coder token this is, if it lives.
    #[must_use]
    pub fn coder_user_of(&self, token: &str) -> Option<String> {
        self.world().read(|state| state.coder.opened_by(token))
    }

    /// Lets somebody's data fill a dataset, or makes room again. False if there is no such dataset.
    pub fn fill(&self, dataset: &str, used_bytes: u64) -> bool {
        self.world().change(|state| match state.truenas.datasets.get_mut(dataset) {
            Some(held) => {
                held.used = used_bytes;
                true
            }
            None => false,
        })
    }

    /// Gives a dataset another limit behind everybody's back. False if there is no such dataset.
    pub fn limit(&self, dataset: &str, refquota_bytes: u64) -> bool {
        self.world().change(|state| match state.truenas.datasets.get_mut(dataset) {
            Some(held) => {
                held.refquota = refquota_bytes;
                true
            }
            None => false,
        })
    }

    /// Puts a machine under high availability: its power is the cluster manager's from now on.
    /// False if there is no such machine.
    pub fn manage(&self, vmid: u32) -> bool {
        self.world().change(|state| state.proxmox.manage(vmid))
    }

    /// Unlocks a machine, as only root can (`qm unlock`). False if there is no such machine.
    pub fn unlock(&self, vmid: u32) -> bool {
        self.world().change(|state| {
            let vm = state.proxmox.vms.get_mut(&vmid);
            vm.map(|vm| vm.config.remove("lock")).is_some()
        })
    }

    /// Takes a machine away behind everybody's back. False if there is no such machine.
    pub fn lose_machine(&self, vmid: u32) -> bool {
        self.world().change(|state| state.proxmox.vms.remove(&vmid).is_some())
    }

    /// Puts another mark on a dataset. False if there is no such dataset, or it has none.
    pub fn mark_dataset(&self, dataset: &str, marker: &str) -> bool {
        self.world().change(|state| {
            let found = state.truenas.datasets.get_mut(dataset);
            found.is_some_and(|dataset| dataset.mark(marker))
        })
    }

    /// Logs a machine in at an iSCSI target. False if there is none of that name, or it is not for him.
    pub fn log_in(&self, machine: u32, iqn: &str, initiator: &str) -> bool {
        self.world().change(|state| state.truenas.iscsi.log_in(machine, iqn, initiator))
    }

    /// Logs a machine out wherever it is logged in.
    pub fn log_out(&self, machine: u32) {
        self.world().change(|state| state.truenas.iscsi.sessions.remove(&machine));
    }

    /// Lets somebody connect to a Coder workspace, now. False if there is none of that id.
    pub fn use_workspace(&self, id: &str) -> bool {
        self.world().change(|state| {
            let mut all = state.coder.workspaces.values_mut();
            let found = all.find(|workspace| workspace.id.to_string() == id);
            let Some(workspace) = found else { return false };
            // Later than before even within one millisecond, which is as fine as Coder tells it.
            let before = workspace.used.max(workspace.latest().created);
            workspace.used = chrono::Utc::now().max(before + chrono::Duration::milliseconds(1));
            true
        })
    }

    /// Has Coder's builds hand over to a program from now on, as the template does that is shipped.
    pub fn provision_with(&self, provisioner: Provisioner) {
        self.world().provision_with(provisioner);
    }

    /// Suspends somebody's account at Coder; false if there is none.
    pub fn suspend(&self, user: &str) -> bool {
        self.world().change(|state| state.coder.suspend(user))
    }

    /// Lets somebody have an account at Coder; who has one keeps it.
    pub fn welcome(&self, user: &str) {
        let id = self.world().pace.uuid();
        self.world().change(|state| state.coder.welcome(user, id));
    }

    /// Changes somebody's account at Authentik. False if that cannot be done to an account of this
    /// name.
    pub fn change_user(&self, name: &str, change: &UserChange) -> bool {
        authentik::change(self.world(), name, change)
    }

    /// Makes the pool of homes so large, or so small.
    pub fn resize_pool(&self, bytes: u64) {
        self.world().change(|state| state.truenas.pool_bytes = bytes);
    }

    /// Gives a node so much memory; its own system uses 8 GiB of it.
    pub fn resize_node(&self, node: &str, bytes: u64) {
        self.world().change(|state| state.proxmox.memory.insert(node.to_owned(), bytes));
    }

    /// Lets a guest write objects into a bucket. False if there is no such bucket.
    pub fn put_objects(&self, bucket: &str, objects: &[(&str, u64)]) -> bool {
        self.world().change(|state| state.s3.put(bucket, objects))
    }

    /// Back to the pristine state: vendors, faults, journal. Running guests stop.
    pub fn reset(&self) {
        self.world().reset();
    }

    /// Stops the servers and waits for them, whoever else holds a handle.
    pub async fn shutdown(self) {
        self.house.closing.send_replace(true);
        self.world().stop_work();
        let mut servers = self.house.servers.lock().await;
        let all_ended = async { while servers.join_next().await.is_some() {} };
        // A client that holds a silent connection open must not hold the lab open.
        if tokio::time::timeout(PATIENCE, all_ended).await.is_err() {
            servers.abort_all();
        }
    }

    pub(crate) fn world(&self) -> &Arc<World> {
        &self.house.world
    }
}

async fn serve(door: Door, routes: axum::Router, world: Arc<World>) {
    let service = routes.into_make_service_with_connect_info::<Cut>();
    let closed = async move { world.closed().await };
    if let Err(error) = axum::serve(door, service).with_graceful_shutdown(closed).await {
        tracing::warn!(%error, "a server of the lab stopped");
    }
}
