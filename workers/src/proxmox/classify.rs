//! What Proxmox's answers mean. Nearly every refusal is a 500 whose text stands in the HTTP
//! reason phrase, and tasks end with the same texts: so the text decides, by one table.
//!
//! The texts, here and in the tests, are those of its source of 2026; none was recorded on a cluster.

use stead_schemas::failure::{Class, Failure};

use crate::http::Effect;
use crate::trouble::Trouble;

/// What a text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Missing,
    Already,
    Fails(Class),
}

use Class::{Ambiguous, Auth, Conflict, Permanent, Retry, VendorDown, Wait};
use Meaning::{Already, Fails, Missing};

/// The first row whose text occurs decides; a `*` in it stands for anything. Texts are compared in
/// lower case.
const TEXTS: &[(&str, Meaning, &str)] = &[
    ("no quorum", Fails(VendorDown), "the Proxmox cluster has no quorum"),
    ("got lock request timeout", Fails(Wait), "the storage is locked"),
    ("'-locked command timed out", Fails(Wait), "the storage is locked"),
    ("can't lock file", Fails(Wait), "the machine is locked by another operation"),
    ("vm is locked", Fails(Wait), "the machine is locked by another operation"),
    ("already running", Already, "the machine runs already"),
    ("snapshot name*already used", Already, "a snapshot of that name is there"),
    (
        "snapshot feature is not",
        Fails(Permanent),
        "the storage beneath its disk takes no snapshots",
    ),
    ("is not most recent snapshot", Fails(Permanent), LATEST_ONLY),
    (
        "can't rollback, snapshot",
        Fails(Permanent),
        "the storage beneath its disk has lost the snapshot",
    ),
    ("rollback to incomplete snapshot", Fails(Permanent), "the snapshot is not whole"),
    ("unable to rollback vm*is running", Fails(Permanent), "the machine was started meanwhile"),
    (
        "if snapshot exists",
        Fails(Permanent),
        "its disk cannot grow while there are snapshots of it; drop them first",
    ),
    ("s a template", Fails(Permanent), "it is a template"),
    ("snapshot '*does not exist", Missing, "the snapshot is not there"),
    // Proxmox names disks by VMID: the next number has none. Nobody knows whose data this is.
    ("disk*already exists", Fails(Conflict), "a disk of an earlier machine with its VMID is left"),
    (
        "volume*already exists",
        Fails(Conflict),
        "a disk of an earlier machine with its VMID is left",
    ),
    ("already exists", Already, "the VMID is taken"),
    ("is running - destroy failed", Fails(Retry), "the machine was started meanwhile"),
    ("detected modified configuration", Fails(Retry), "the machine was changed meanwhile"),
    ("no qemu guest agent", Fails(Permanent), "no QEMU guest agent is set up"),
    ("guest agent is not running", Fails(Wait), "the QEMU guest agent does not answer"),
    ("not running", Already, "the machine is off already"),
    ("no such vm", Missing, "the machine is not there"),
    ("no such task", Missing, "the task is not known"),
    ("configuration file", Missing, "the machine is not there"),
    ("protection mode enabled", Fails(Permanent), "somebody has protected the machine"),
    ("shrinking disks is not supported", Fails(Permanent), "a disk cannot shrink"),
    ("linked clone feature is not", Fails(Permanent), "its storage makes full clones only"),
    ("only root can", Fails(Auth), "only root may do this"),
    ("permission check failed", Fails(Auth), "our login at Proxmox lacks a privilege"),
    ("no space left on device", Fails(Permanent), "the storage is full"),
    ("out of space", Fails(Permanent), "the storage is full"),
    ("not enough space", Fails(Permanent), "the storage is full"),
    ("is not online", Fails(Wait), "the storage is not online"),
    ("got no worker upid", Fails(Ambiguous), "Proxmox cannot say whether it began"),
    ("unexpected status", Fails(Ambiguous), "the task was cut off; its node may have crashed"),
    ("interrupted by signal", Fails(Ambiguous), "the task was interrupted"),
    ("received interrupt", Fails(Ambiguous), "the task was interrupted"),
    ("unable to connect", Fails(VendorDown), "the node cannot be reached"),
    ("no route to host", Fails(VendorDown), "the node cannot be reached"),
    ("timeout", Fails(Wait), "Proxmox did not get through with it in time"),
    ("timed out", Fails(Wait), "Proxmox did not get through with it in time"),
];

/// What is said where later snapshots are in the way of a rollback, as with ZFS.
pub(super) const LATEST_ONLY: &str = "its storage goes back to the latest snapshot only";

/// By which one may ask guest agents.
const GUEST_AGENT: [&str; 2] = ["VM.GuestAgent.Audit", "VM.Monitor"];

/// What is said of a 401.
const UNKNOWN: &str = "Proxmox does not accept our login";

/// Whether Proxmox did not know who asked: then it has done nothing.
pub(super) fn is_unknown(trouble: &Trouble) -> bool {
    trouble.failure().words == UNKNOWN
}

/// The meaning of an answer that is no success.
pub(super) fn classify(status: u16, text: &str, effect: Effect) -> Trouble {
    let trouble = match status {
        400 => by_text(text, Permanent, "Proxmox refuses our request"),
        401 => Trouble::new(Auth, UNKNOWN),
        // Nothing needs that one: it is no reason to say that we are not let in.
        403 if GUEST_AGENT.iter().any(|privilege| text.contains(privilege)) => Trouble::new(
            Permanent,
            "our login at Proxmox may not ask guest agents (VM.GuestAgent.Audit, before 9 VM.Monitor)",
        ),
        403 => Trouble::new(Auth, "our login at Proxmox lacks a privilege"),
        404 => Trouble::Missing(Failure::new(Permanent, "Proxmox has no such thing")),
        429 => Trouble::new(Wait, "Proxmox asks us to come back later"),
        503 => Trouble::new(VendorDown, "Proxmox is not in service"),
        595 => Trouble::new(VendorDown, "the node cannot be reached"),
        502 | 504 | 596 | 599 => {
            Trouble::new(effect.when_lost(), "the answer was lost between two nodes")
        }
        500 => by_text(text, Permanent, "Proxmox refuses"),
        501 => Trouble::new(Permanent, "this Proxmox does not know the call; its version differs"),
        _ => Trouble::new(Permanent, format!("Proxmox refuses our request ({status})")),
    };
    trouble.vendor(text)
}

/// Whether a task that ended with this text went well, perhaps with warnings.
pub(super) fn is_success(exit: &str) -> bool {
    exit == "OK" || exit.starts_with("WARNINGS")
}

/// The meaning of the text that a failed task ended with. Where that is only "exit code 1", the
/// task's log says more.
pub(super) fn task_trouble(exit: &str, log: &[String]) -> Trouble {
    let texts = std::iter::once(exit).chain(log.iter().rev().map(String::as_str));
    let telling = texts.into_iter().find(|text| row(text).is_some()).unwrap_or(exit);
    by_text(telling, Permanent, "the task at Proxmox failed").vendor(telling)
}

/// The meaning of "not there" for something that was there a moment ago: it moved to another node
/// or was deleted, and only another look can tell.
pub(super) fn seen_before(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Missing(Failure { vendor, .. }) => {
            let words = "the machine is not where it was a moment ago";
            Trouble::new(Retry, words).vendor(&vendor.unwrap_or_default())
        }
        trouble => trouble,
    }
}

fn by_text(text: &str, otherwise: Class, words: &str) -> Trouble {
    match row(text) {
        Some((_, Missing, words)) => Trouble::Missing(Failure::new(Permanent, *words)),
        Some((_, Already, words)) => Trouble::Already(Failure::new(Class::Conflict, *words)),
        Some((_, Fails(class), words)) => Trouble::new(*class, *words),
        None => Trouble::new(otherwise, words),
    }
}

fn row(text: &str) -> Option<&'static (&'static str, Meaning, &'static str)> {
    let text = text.to_lowercase();
    TEXTS.iter().find(|(pattern, _, _)| fits(pattern, &text))
}

/// Whether the parts of the pattern occur, one behind the other.
fn fits(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    pattern.split('*').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::{classify, is_success, task_trouble};
    use crate::http::Effect;
    use crate::trouble::Trouble;

    fn spoken(trouble: &Trouble) -> String {
        match trouble {
            Trouble::Missing(_) => "missing".to_owned(),
            Trouble::Already(_) => "already".to_owned(),
            Trouble::Other(failure) => format!("{:?}", failure.class),
        }
    }

    fn check(status: u16, text: &str, meaning: &str) {
        assert_eq!(spoken(&classify(status, text, Effect::Possible)), meaning, "{status} {text}");
    }

    fn check_task(exit: &str, log: &[&str], meaning: &str) {
        let log: Vec<String> = log.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(spoken(&task_trouble(exit, &log)), meaning, "{exit}");
    }

    #[test]
    fn a_500_means_what_its_text_says() {
        check(500, "cluster not ready - no quorum?", "VendorDown");
        check(500, "VM is locked (clone)", "Wait");
        check(500, "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout", "Wait");
        check(500, "cfs-lock 'storage-x' error: got lock request timeout", "Wait");
        check(500, "'storage-x'-locked command timed out - aborting", "Wait");
        check(500, "VM 104 already running", "already");
        check(500, "unable to create VM 104: config file already exists", "already");
        check(500, "VM 104 already exists on node 'pve1'", "already");
        check(500, "QEMU guest agent is not running", "Wait");
        check(500, "No QEMU guest agent configured", "Permanent");
        check(500, "Configuration file 'nodes/x/qemu-server/104.conf' does not exist", "missing");
        check(500, "unable to find configuration file for VM 104 on node 'x'", "missing");
        check(500, "storage 'x' does not exist", "Permanent");
        check(500, "VM 104 not running", "already");
        check(500, "VM 104 is running - destroy failed", "Retry");
        check(500, "can't remove VM 104 - protection mode enabled", "Permanent");
        check(
            500,
            "detected modified configuration - file changed by other user? Try again.",
            "Retry",
        );
        check(500, "only root can set 'args' config", "Auth");
        check(500, "got no worker upid - start worker failed", "Ambiguous");
        check(500, "something new", "Permanent");
        check(500, "snapshot 'a' does not exist", "missing");
        check(500, "can't resize volume: scsi0 if snapshot exists", "Permanent");
        check(500, "you can't take a snapshot if it's a template", "Permanent");
    }

    #[test]
    fn every_other_status_has_one_meaning() {
        check(400, "Parameter verification failed.", "Permanent");
        check(400, "vmid: VM 104 already exists", "already");
        check(401, "authentication failure", "Auth");
        check(403, "Permission check failed (/vms/104, VM.Clone)", "Auth");
        check(501, "Unexpected content for method 'GET'", "Permanent");
        check(503, "", "VendorDown");
        check(595, "Errors during connection establishment", "VendorDown");
        check(596, "Broken pipe", "Ambiguous");
        check(599, "", "Ambiguous");
        let looked = classify(596, "Broken pipe", Effect::None);
        assert_eq!(spoken(&looked), "Retry");
    }

    #[test]
    fn a_task_may_succeed_with_warnings() {
        assert!(is_success("OK") && is_success("WARNINGS: 1"));
        assert!(!is_success("unexpected status"));
    }

    #[test]
    fn a_failed_task_means_what_it_or_its_log_says() {
        check_task("unexpected status", &[], "Ambiguous");
        check_task("VM is locked (backup)", &[], "Wait");
        check_task("interrupted by signal", &[], "Ambiguous");
        check_task("VM is locked (snapshot-delete)", &[], "Wait");
        check_task("snapshot name 'a' already used", &[], "already");
        check_task("snapshot feature is not available", &[], "Permanent");
        check_task("can't rollback, 'a' is not most recent snapshot on 'p:d'", &[], "Permanent");
        check_task("can't rollback, snapshot 'a' does not exist on 'p:d'", &[], "Permanent");
        check_task(
            "unable to rollback to incomplete snapshot (snapstate = delete)",
            &[],
            "Permanent",
        );
        check_task("start failed: QEMU exited with code 1", &[], "Permanent");
        check_task("disk image '/mnt/x/vm-104-disk-0.raw' already exists", &[], "Conflict");
        check_task("cannot create 'tank/vm-104-disk-0': dataset already exists", &[], "Conflict");
        check_task("clone failed: exit code 5", &["volume 'x' already exists"], "Conflict");
        let log =
            ["create full clone", "qemu-img: error: No space left on device", "TASK ERROR: x"];
        let full = task_trouble("copy failed: exit code 1", &log.map(str::to_owned));
        assert_eq!(full.failure().words, "the storage is full");
    }
}
