//! Where a description and what really happens are known to differ, each with its reason. A gap of ours
//! does not belong here, and neither does one that nothing meets any more: `met.rs` names it.

use std::fmt;

use crate::{Fault, met};

/// A gap of a description.
pub(crate) struct Known {
    vendor: &'static str,
    /// What method and path of the call contain.
    call: &'static str,
    /// How the field ends.
    field: &'static str,
    reason: &'static str,
}

impl fmt::Display for Known {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vendor, call, field, reason } = self;
        write!(out, "{vendor} {call} {field}: {reason}")
    }
}

const fn known(
    vendor: &'static str,
    call: &'static str,
    field: &'static str,
    reason: &'static str,
) -> Known {
    Known { vendor, call, field, reason }
}

/// Of fields that no worker reads.
const LATER: &str = "said since 26; the lab plays 25.10, where it may not be said";

const FORMER: &str = "said until 25.10, which the lab plays";

/// Coder's description is made from its types in Go.
const NULL: &str = "a pointer or a nullable type of Go, null where there is nothing; the description \
                    says only what it points to";

/// Which is how everybody's tokens are listed.
const ALL_TOKENS: &str = "what `coder tokens list --all` asks for, and is told besides; Coder's source has \
                          it, the description does not";

/// The descriptions are made from the models, not from what the encoder makes of them.
const DATE: &str = "a time travels as `{\"$date\": ms}`; the description has the text of the model";

/// Of a machine's snapshots.
const UNSAID: &str = "real servers say of each snapshot whether it is not whole, and of the machine as it is \
                      now whether it runs; it is not described";

pub(crate) const KNOWN: &[Known] = &[
    known("coder", "", "deadline", NULL),
    known("coder", "", "deleting_at", NULL),
    known("coder", "", "dormant_at", NULL),
    known("coder", "", "latest_app_status", NULL),
    known("coder", "", "max_deadline", NULL),
    known("coder", "", "most_recently_seen", NULL),
    known("coder", "", "next_start_at", NULL),
    known("coder", "", "parent_id", NULL),
    known("coder", "", "task_id", NULL),
    known("coder", "/keys/tokens", "request.query.include_all", ALL_TOKENS),
    known("coder", "/keys/tokens", "answer[].username", ALL_TOKENS),
    known("coder", "", "template_version_preset_id", NULL),
    known(
        "proxmox",
        "GET /api2/json/cluster/nextid",
        "answer.data",
        "described as a number; real servers answer the number as a text",
    ),
    known(
        "proxmox",
        "/status/current",
        "answer.data.disk",
        "real servers say it of every machine, always 0; the description leaves it out",
    ),
    known(
        "proxmox",
        "/tasks",
        "tokenid",
        "real servers take it out of `user` where a token has begun the task; it is not described",
    ),
    known("proxmox", "/snapshot", "snapstate", UNSAID),
    known("proxmox", "/snapshot", "answer.data[].digest", UNSAID),
    known("proxmox", "/snapshot", "answer.data[].running", UNSAID),
    known(
        "proxmox",
        "/content",
        "answer.data[].content",
        "real servers say of every volume what it is; the description leaves it out",
    ),
    known(
        "proxmox",
        "/content",
        "answer.data[].subtype",
        "real servers say of every copy of a guest which kind of guest it was; it is not described",
    ),
    known("truenas", "api_key.my_keys", "created_at", DATE),
    known("truenas", "api_key.my_keys", "expires_at", DATE),
    known("truenas", "api_key.my_keys", "iterations", LATER),
    known("truenas", "api_key.my_keys", "v26.answer[].keyhash", FORMER),
    known("truenas", "api_key.my_keys", "salt", LATER),
    known("truenas", "api_key.my_keys", "server_key", LATER),
    known("truenas", "api_key.my_keys", "stored_key", LATER),
    known("truenas", "core.get_jobs", "time_finished", DATE),
    known("truenas", "core.get_jobs", "time_started", DATE),
    known("truenas", "auth.login_ex", "v26.answer.reconnect_token", LATER),
    known("truenas", "sharing.nfs.", "dataset", LATER),
    known("truenas", "sharing.nfs.", "relative_path", LATER),
    known("truenas", "iscsi.extent.", "dataset", LATER),
    known("truenas", "iscsi.extent.", "relative_path", LATER),
    known("truenas", "iscsi.global.config", "v26.answer.mode", LATER),
    known("truenas", "iscsi.global.config", "v26.answer.direct_config", LATER),
    known(
        "vault",
        "POST /v1/sys/wrapping/lookup",
        "answer.data.creation_ttl",
        "a number of seconds; it is described as a text",
    ),
    known(
        "vault",
        "/v1/",
        "answer.data.custom_metadata",
        "null where there is none; it is described as an object",
    ),
    known(
        "vault",
        "/data/",
        "request.query.version",
        "an old version is read by it, as Vault's own documentation says; the description leaves it out",
    ),
];

/// Vendors without any description, and why.
const UNDESCRIBED: &[(&str, &str)] = &[
    (
        "forgejo",
        "it describes itself at run time, and no copy is at hand; a real one is no peer here",
    ),
    ("s3", "S3 is described in prose; the real Garage is the peer of that worker (STEAD_GARAGE)"),
];

/// Whether a gap explains this, each of which is met by that.
pub(crate) fn is_known(fault: &Fault) -> bool {
    let explains = |known: &Known| {
        fault.vendor == known.vendor
            && fault.call.contains(known.call)
            && ends_with(&fault.field, known.field)
    };
    let mut found = false;
    for (place, _) in KNOWN.iter().enumerate().filter(|(_, known)| explains(known)) {
        met::remember(place);
        found = true;
    }
    found
}

/// Whether a field ends with these parts.
fn ends_with(field: &str, end: &str) -> bool {
    let front = field.strip_suffix(end);
    front.is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

pub(crate) fn is_undescribed(vendor: &str) -> bool {
    UNDESCRIBED.iter().any(|(name, _)| *name == vendor)
}
