//! Whether anybody is asked who owners are, and what their groups may have.

use stead_schemas::site::Allowance;

use super::super::read;
use super::{GOOD, check, env};

#[test]
fn a_site_need_not_have_authentik_and_what_it_has_is_checked() {
    check(|text| format!("{AUTHENTIK}{text}"), &[]);
    check(
        |text| format!("{AUTHENTIK}every_minutes = 0\nevrey = 1\n{text}"),
        &[
            "line 4: authentik.every_minutes: `0` is not a whole number from 1 to 1440",
            "line 5: authentik.evrey: there is no such key; there are address, every_minutes, secret",
        ],
    );
}

const AUTHENTIK: &str = "[authentik]\naddress = \"https://sso.lan\"\n\
                         secret = \"vault:secret/data/authentik/api\"\n";
const ALLOWED: &str = "[[allowances]]\ngroups = [\"large\"]\ncpu_cores = 64\nmemory_gb = 0\n";

#[test]
fn what_a_group_may_have_is_said_where_groups_are_known() {
    let allowed = |text: &'static str| move |good: String| format!("{AUTHENTIK}{text}{good}");
    check(allowed(ALLOWED), &[]);
    check(
        allowed("[[allowances]]\ngroups = []\n"),
        &["line 4: allowances.groups: name at least one group of Authentik's"],
    );
    check(
        |good| format!("{ALLOWED}{good}"),
        &["line 1: allowances: only [authentik] knows who is in a group; it is not there"],
    );
}

#[test]
fn nothing_and_0_are_no_limit() {
    let text = format!("{AUTHENTIK}{ALLOWED}{GOOD}");
    let read = read(&text, "stead.toml", &env).expect("it has no faults");
    let authentik = read.site.authentik.expect("it is there");
    let allowed = authentik.allowance_of(&["small".to_owned(), "large".to_owned()]);
    let cores = Allowance { cpu_cores: Some(64), ..Allowance::default() };
    assert_eq!((allowed, authentik.allowance_of(&[])), (Some(cores), None));
}
