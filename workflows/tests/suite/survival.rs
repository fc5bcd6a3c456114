//! The machine: every trouble there is, and the world is empty or complete.

use crate::kits;

#[test]
fn a_workspace_survives() {
    stead_testkit::survives(&kits::workspace());
}

#[test]
fn a_workspace_that_was_made_in_coder_survives() {
    stead_testkit::survives(&kits::pressed());
}

#[test]
fn a_workspace_whose_guest_reaches_nobody_survives() {
    stead_testkit::survives(&kits::remote());
}

#[test]
fn what_changes_a_workspace_survives() {
    stead_testkit::survives(&kits::changes());
}

#[test]
fn what_ends_by_itself_survives() {
    stead_testkit::survives(&kits::ends());
}

#[test]
fn what_rests_by_itself_survives() {
    stead_testkit::survives(&kits::rest());
}

#[test]
fn a_create_that_waits_survives() {
    stead_testkit::survives(&kits::patient());
}

#[test]
fn a_home_survives() {
    stead_testkit::survives(&kits::home());
}

#[test]
fn a_bucket_survives() {
    stead_testkit::survives(&kits::bucket());
}

#[test]
fn a_bucket_that_holds_something_survives() {
    stead_testkit::survives(&kits::full_bucket());
}

#[test]
fn a_token_survives() {
    stead_testkit::survives(&kits::token());
}

#[test]
fn a_template_survives() {
    stead_testkit::survives(&kits::template());
}

#[test]
fn an_mcp_server_survives() {
    stead_testkit::survives(&kits::mcp());
}

#[test]
fn the_vmid_ledger_survives() {
    stead_testkit::survives(&kits::vmids());
}

#[test]
fn a_scan_for_drift_survives() {
    stead_testkit::survives(&kits::drift());
}

#[test]
fn what_is_decided_about_findings_survives() {
    stead_testkit::survives(&kits::decisions());
}

#[test]
fn notices_survive() {
    stead_testkit::survives(&kits::notices());
}

#[test]
fn what_authentik_says_of_owners_survives() {
    stead_testkit::survives(&kits::people());
}

#[test]
fn a_probe_survives() {
    stead_testkit::survives(&kits::probe());
}
