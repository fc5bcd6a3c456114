//! What workers ask and what the lab answers, checked against the vendors' own API descriptions.
//!
//! The descriptions are not part of this repository: `STEAD_SPECS` names their folder, and without it
//! they are looked for beside the repository. Where there is no such folder nothing is checked, and
//! `ops/test` says so. Where there is one, every file that is read must be in it.
//!
//! Read next: one file per vendor, then `known.rs` for what the descriptions do not say.

mod authentik;
mod coder;
mod known;
mod kubernetes;
mod met;
mod proxmox;
mod schema;
mod specs;
mod truenas;
mod vault;

use std::fmt;
use std::io::Write;

use stead_lab::RecordedRequest;

pub use met::stale;
pub use specs::Specs;

/// Something that a vendor's description does not allow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Whose description.
    pub vendor: String,
    /// Method and path of the call.
    pub call: String,
    /// Where in it: `request.query.limit`, `answer.data[].disk`; empty for the call itself.
    pub field: String,
    /// What is wrong there.
    pub words: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vendor, call, field, words } = self;
        write!(out, "{vendor} {call}: {field}: {words}")
    }
}

/// A field, and what is wrong with it.
type Found = (String, String);

/// What is wrong with a call and with its answer, if that was kept. What the descriptions are known
/// not to say is no fault.
#[must_use]
pub fn faults(specs: &Specs, call: &RecordedRequest) -> Vec<Fault> {
    let found = match call.vendor.as_str() {
        "authentik" => authentik::faults(specs, call),
        "coder" => coder::faults(specs, call),
        "kubernetes" => kubernetes::faults(specs, call),
        "proxmox" => proxmox::faults(specs, call),
        "truenas" => truenas::faults(specs, call),
        "vault" => vault::faults(specs, call),
        vendor if known::is_undescribed(vendor) => Vec::new(),
        vendor => vec![(String::new(), format!("nothing is known of a description of {vendor}"))],
    };
    let fault = |(field, words)| Fault {
        vendor: call.vendor.clone(),
        call: format!("{} {}", call.method, call.path),
        field,
        words,
    };
    found.into_iter().map(fault).filter(|fault| !known::is_known(fault)).collect()
}

/// Says that a test checks nothing here, and why: to whoever looks, also where tests that pass are to be
/// silent.
pub fn skipped(words: &str) {
    // Whoever has closed it does not want to know.
    let _ = writeln!(std::io::stderr(), "skipped: {words}");
}

/// Whether an answer says that the call was carried out.
fn is_done(call: &RecordedRequest) -> bool {
    (200..300).contains(&call.status)
}
