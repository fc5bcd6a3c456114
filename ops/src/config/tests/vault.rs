//! Where secrets may lie.

use super::deployments::DEPLOYMENT;
use super::{FORGEJO, check};

#[test]
fn what_lies_in_another_mount_than_the_one_that_is_read_is_named() {
    let mounted = |text: String| text.replace("role_id = ", "mount = \"kv\"\nrole_id = ");
    let words = "is not in the mount `kv` (vault.mount), the only one that is read";
    let places = ["7: proxmox", "11: truenas", "16: coder", "19: guest"];
    let faults = places.map(|place| format!("line {place}.secret: {words}"));
    check(mounted, &faults.each_ref().map(String::as_str));
    let moved = |text: String| mounted(text).replace("vault:secret/", "vault:kv/");
    check(moved, &[]);
    let variables = "variables = { token = \"vault:secret/data/coder/template\" }\n";
    check(
        |text| moved(format!("{text}{FORGEJO}{DEPLOYMENT}")) + variables,
        &[&format!("line 30: deployments.variables: token {words}")],
    );
}
