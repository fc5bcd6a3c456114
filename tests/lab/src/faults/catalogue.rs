//! Every named fault, in one table.

/// A fault that can be asked for by name.
pub(super) struct Known {
    pub(super) vendor: &'static str,
    pub(super) name: &'static str,
    pub(super) says: &'static str,
}

impl Known {
    pub(super) fn key(&self) -> (&'static str, &'static str) {
        (self.vendor, self.name)
    }
}

const fn known(vendor: &'static str, name: &'static str, says: &'static str) -> Known {
    Known { vendor, name, says }
}

/// By vendor, then by name. Not among them is what Stead never meets: a snippet that is missing on a
/// node, as seeds come over HTTP or by ISO; a build that does not let itself be cancelled, as Stead cancels none; a lease
/// that dies with the token it hangs on, as no secret is leased.
pub(super) static CATALOGUE: &[Known] = &[
    known("authentik", "case-twin", "a search by name finds names that differ by case, too"),
    known("authentik", "forbidden", "403: the token lacks a permission"),
    known("authentik", "not-in-service", "503 for every call"),
    known("authentik", "page-shifts", "a user goes between two pages: the next one is on neither"),
    known("authentik", "sees-nobody", "lists of users are empty: the token may see none"),
    known("authentik", "slow", "every call takes a second longer"),
    known("authentik", "unauthorized", "403 for a good token: Token invalid/expired"),
    known("coder", "agent-never-ready", "the agent connects but its lifecycle stays at starting"),
    known("coder", "agent-start-error", "the agent connects and its start script fails"),
    known(
        "coder",
        "build-active",
        "every new build answers 409: a workspace build is already active",
    ),
    known("coder", "build-failed", "builds are accepted and end as failed"),
    known("coder", "build-stuck", "builds are accepted and stay pending until mended"),
    known("coder", "import-failed", "versions of templates are accepted and their import fails"),
    known("coder", "import-stuck", "imports of versions stay pending until mended"),
    known(
        "coder",
        "lost-response",
        "a change happens, then the connection is dropped without an answer",
    ),
    known("coder", "newborn", "404 for whatever is asked for right after something was made"),
    known("coder", "no-provisioner", "no provisioner takes imports of versions until mended"),
    known("coder", "proxy-no-route", "404 from a proxy in front, in plain text"),
    known("coder", "proxy-page", "200 from a proxy in front, with a page of its own"),
    known("coder", "proxy-repeats", "a proxy in front asks for a change twice: the second answer"),
    known(
        "coder",
        "proxy-timeout",
        "a change happens, then 504 from a proxy in front, with a page",
    ),
    known("coder", "rate-limited", "429 with Retry-After"),
    known("coder", "slow", "every call takes a second longer"),
    known("coder", "unauthorized", "401 for a good session token"),
    known("forgejo", "hook-lost", "a webhook is not sent, and never again"),
    known("forgejo", "hook-twice", "a webhook is sent twice"),
    known(
        "forgejo",
        "lost-response",
        "a change happens, then the connection is dropped without an answer",
    ),
    known("forgejo", "not-in-service", "503 for every call"),
    known("forgejo", "proxy-no-route", "404 from a proxy in front, in plain text"),
    known("forgejo", "proxy-page", "200 from a proxy in front, with a page of its own"),
    known(
        "forgejo",
        "proxy-repeats",
        "a proxy in front asks for a change twice: the second answer",
    ),
    known(
        "forgejo",
        "proxy-timeout",
        "a change happens, then 504 from a proxy in front, with a page",
    ),
    known("forgejo", "rate-limited", "429, as a proxy in front has it"),
    known("forgejo", "run-failed", "runs of workflows end as a failure"),
    known("forgejo", "run-stuck", "runs of workflows wait for a runner until mended"),
    known("forgejo", "run-unseen", "a list of runs does not show the latest one yet"),
    known("forgejo", "slow", "every call takes a second longer"),
    known("forgejo", "unauthorized", "401 for a good token"),
    known("guest", "agent-before-home", "nothing orders the agent after the home it works in"),
    known("guest", "agent-never-connects", "the agent's process starts and never reaches Coder"),
    known("guest", "clock-behind", "the guest's clock is a day behind"),
    known("guest", "cloud-init-fails", "cloud-init ends with 1, and has not started the agent"),
    known("guest", "cloud-init-warns", "cloud-init ends with 2: done, with recoverable errors"),
    known("guest", "home-never-mounts", "the NFS mount fails as long as this holds"),
    known("guest", "home-read-only", "the home is mounted, writing to it fails"),
    known("guest", "never-boots", "the machine runs but its system never comes up"),
    known("guest", "no-lease", "the guest gets no address, and no seed, until mended"),
    known(
        "guest",
        "report-lost",
        "the guest does not see the answer to its report, and sends it again",
    ),
    known(
        "kubernetes",
        "field-taken",
        "before a Deployment is applied, somebody else scales it: 409, a field of another manager",
    ),
    known("kubernetes", "image-pull-failed", "pods stay at ImagePullBackOff until time is up"),
    known("kubernetes", "job-failed", "Jobs end as failed: no space is left for the copy"),
    known("kubernetes", "job-hollow", "Jobs end well and have made no copy"),
    known(
        "kubernetes",
        "lost-response",
        "a change happens, then the connection is dropped without an answer",
    ),
    known("kubernetes", "rate-limited", "429 with Retry-After"),
    known("kubernetes", "registry-down", "503 from the registry"),
    known("kubernetes", "rollout-failed", "new pods crash: ProgressDeadlineExceeded"),
    known("kubernetes", "rollout-stuck", "rollouts do not begin until mended"),
    known("kubernetes", "slow", "every call takes a second longer"),
    known(
        "kubernetes",
        "stranger-appears",
        "a stranger's Deployment appears on the very name that is applied",
    ),
    known("kubernetes", "unauthorized", "401 for a good token"),
    known("proxmox", "disk-is-qcow2", "a disk does not grow as long as there are snapshots of it"),
    known("proxmox", "disk-left", "a clone fails: a disk of its name is left on the storage"),
    known("proxmox", "dump-empty", "the copies of a storage have nothing in them"),
    known("proxmox", "dump-faulty", "a storage has verified its copies, and found them faulty"),
    known("proxmox", "dump-hollow", "a vzdump ends as OK and has left no copy"),
    known("proxmox", "forbidden", "403: the token lacks a privilege"),
    known(
        "proxmox",
        "guest-agent-silent",
        "the QEMU guest agent answers neither a ping nor a shutdown",
    ),
    known(
        "proxmox",
        "ha-elsewhere",
        "what HA does for a machine that it manages, it does on the other node",
    ),
    known("proxmox", "ha-moved", "before a change of a VM, HA moves it to the other node"),
    known("proxmox", "ha-stuck", "HA takes requests in and does nothing until mended"),
    known(
        "proxmox",
        "lock-left",
        "a clone, a snapshot or a rollback ends with its status unknown and leaves its lock behind",
    ),
    known("proxmox", "locked", "VM is locked (clone), or a lock timeout, on every change"),
    known(
        "proxmox",
        "lost-response",
        "a change happens, then the connection is dropped without an answer",
    ),
    known("proxmox", "moved-between", "HA moves a VM just before its status is asked for"),
    known("proxmox", "newborn-task", "asking for a task's status answers 400: no such task"),
    known("proxmox", "no-quorum", "every write answers 500: cluster not ready - no quorum?"),
    known("proxmox", "node-down", "595 for everything beneath /nodes/{node}"),
    known(
        "proxmox",
        "phrase-only",
        "an error has its text in the reason phrase alone, as in older versions",
    ),
    known("proxmox", "proxy-timeout", "a change happens, then 596 instead of its answer"),
    known("proxmox", "second-factor", "whoever logs in by a password is asked for a second factor"),
    known("proxmox", "slow", "every call takes a second longer"),
    known("proxmox", "start-dies", "the task of a start ends with: VM 104 not running"),
    known("proxmox", "started-meanwhile", "somebody starts a machine just before it is deleted"),
    known(
        "proxmox",
        "storage-full",
        "clones and growing disks fail in the task, with no space left on device",
    ),
    known("proxmox", "task-failed", "tasks end with an error and no effect"),
    known("proxmox", "task-stuck", "tasks stay running until mended"),
    known("proxmox", "task-warnings", "tasks do their work and end with WARNINGS: 1"),
    known("proxmox", "ticket-ended", "the ticket that is shown has ended: 401"),
    known("proxmox", "unauthorized", "401 for a good token, or a good ticket"),
    known("proxmox", "unexpected-status", "tasks do their work and end with: unexpected status"),
    known("proxmox", "vmid-taken", "a stranger's VM appears on the very id a clone asks for"),
    known("s3", "alias-taken", "a stranger's bucket appears on the very name that is asked for"),
    known(
        "s3",
        "lost-response",
        "a change happens, then the connection is dropped without an answer",
    ),
    known("s3", "no-quorum", "every call answers 503: could not reach quorum"),
    known("s3", "objects-appear", "a guest writes an object just before a bucket is deleted"),
    known("s3", "partial-delete", "a delete of many objects deletes one and reports the others"),
    known("s3", "proxy-no-route", "404 from a proxy in front, in plain text"),
    known("s3", "proxy-page", "200 from a proxy in front, with a page of its own"),
    known("s3", "proxy-repeats", "a proxy in front asks for a change twice: the second answer"),
    known("s3", "proxy-timeout", "a change happens, then 504 from a proxy in front, with a page"),
    known("s3", "quota-exceeded", "writing an object answers 403: the bucket's quota is reached"),
    known("s3", "slow", "every call takes a second longer"),
    known("s3", "unauthorized", "403 for a good token"),
    known("truenas", "ebusy-on-delete", "a dataset's delete removes its shares, then fails EBUSY"),
    known("truenas", "job-failed", "jobs end as FAILED without effect"),
    known("truenas", "job-list-lost", "the job list is forgotten as soon as a job was started"),
    known("truenas", "key-revoked", "the API key is answered with AUTH_ERR"),
    known("truenas", "method-gone", "-32601: a newer version knows the method no more"),
    known("truenas", "overload", "-32000: too many concurrent calls"),
    known("truenas", "pool-full", "creating fails ENOSPC and the pool has nothing free"),
    known("truenas", "rate-limited", "logging in answers EBUSY: Rate Limit Exceeded"),
    known("truenas", "replication-denied", "a replication fails: the other side knows no such key"),
    known(
        "truenas",
        "replication-full",
        "a replication sends half of the datasets and fails: out of space",
    ),
    known("truenas", "replication-hollow", "a replication ends as SUCCESS and has sent nothing"),
    known(
        "truenas",
        "share-twin",
        "the very share was made a moment ago: it is refused as another",
    ),
    known("truenas", "slow", "every call takes a second longer"),
    known("truenas", "socket-closed", "a change happens, then the socket closes without an answer"),
    known("truenas", "socket-closed-before", "the socket closes before the call is carried out"),
    known(
        "truenas",
        "target-in-use",
        "whatever iSCSI is made of is still in use: it is not deleted",
    ),
    known("truenas", "unmounted", "a new dataset is made and not mounted; the call fails"),
    known("vault", "behind", "412 on secrets: the node has not heard yet what another one knows"),
    known("vault", "denied", "403: permission denied on secrets"),
    known(
        "vault",
        "lost-response",
        "a write happens, then the connection is dropped without an answer",
    ),
    known("vault", "proxy-no-route", "404 from a proxy in front, in plain text"),
    known("vault", "proxy-page", "200 from a proxy in front, with a page of its own"),
    known("vault", "proxy-repeats", "a proxy in front asks for a change twice: the second answer"),
    known(
        "vault",
        "proxy-timeout",
        "a change happens, then 504 from a proxy in front, with a page",
    ),
    known("vault", "sealed", "503: Vault is sealed"),
    known("vault", "slow", "every call takes a second longer"),
    known("vault", "token-expired", "the token that is shown has expired: 403"),
    known("vault", "wrap-expired", "a wrapping token has expired before it is shown: 400"),
];

#[cfg(test)]
mod tests {
    use super::CATALOGUE;

    #[test]
    fn the_catalogue_is_sorted_and_without_twins() {
        assert!(CATALOGUE.windows(2).all(|pair| pair[0].key() < pair[1].key()));
    }
}
