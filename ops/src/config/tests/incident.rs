//! Where that lies which stands around an incident.

use super::{GOOD, check};

#[test]
fn what_stands_around_an_incident_lies_where_it_says() {
    let around = |line: &str| format!("{GOOD}[incident]\n{line}\n");
    check(|_| around("prometheus = \"http://h:9090/kept\"\nlogs = \"a.log, b.log\""), &[]);
    let line = GOOD.lines().count() + 1;
    let words = "is its address, such as http://127.0.0.1:9090";
    let fault = format!("line {line}: incident.prometheus: {words}");
    check(|_| around("prometheus = \"h:9090\""), &[&fault]);
    let words = "is an address and nothing more: a login stands in no file";
    let fault = format!("line {line}: incident.prometheus: {words}");
    check(|_| around("prometheus = \"http://me:word@h:9090\""), &[&fault]);
}
