//! What is found where the ledger and what is there differ, and what is no finding.

use std::collections::BTreeSet;

use stead_core::drift::{Drift, Finding, compare};
use stead_schemas::ids::EntityKey;
use stead_schemas::ledger::{Held, Standing};
use stead_schemas::owner::Owner;
use stead_schemas::step::sight::Thing;
use stead_schemas::step::touch::Resource;
use stead_schemas::time::Timestamp;

const VMID: &str = "10000";
const OURS: &str = "workspace-27ytv97dprxd6njw-1";

fn machine() -> Resource {
    Resource::new("proxmox", "machine", VMID)
}

fn held(standing: Standing) -> Held {
    let owner = Owner::new("john").unwrap();
    let run = EntityKey::of("workspace", &owner, "dev").run(1);
    Held {
        resource: machine(),
        marker: OURS.into(),
        standing,
        owner,
        entity: "workspace".into(),
        name: "dev".into(),
        run,
        since: Timestamp::default(),
        seen: None,
        quota_bytes: Some(50 << 30),
        step: "proxmox.clone-vm".into(),
        why: String::new(),
    }
}

fn seen(marker: Option<&str>) -> Vec<Thing> {
    vec![Thing::new(machine(), marker.map(Into::into))]
}

fn check(before: &[Held], after: &[Held], seen: &[Thing], expected: Option<Drift>) {
    let kinds = BTreeSet::from(["proxmox/machine".to_owned()]);
    let found: Vec<_> = compare(before, after, seen, &kinds).iter().map(|f| f.drift).collect();
    let expected: Vec<_> = expected.into_iter().collect();
    assert_eq!(found, expected, "{before:?} {after:?} {seen:?}");
}

#[test]
fn what_is_as_the_ledger_has_it_is_no_finding() {
    let wanted = [held(Standing::Wanted)];
    check(&wanted, &wanted, &seen(Some(OURS)), None);
    let left = [held(Standing::Left)];
    check(&left, &left, &[], None);
    check(&[], &[], &[], None);
}

#[test]
fn each_difference_has_its_word() {
    let (wanted, left) = ([held(Standing::Wanted)], [held(Standing::Left)]);
    check(&wanted, &wanted, &[], Some(Drift::Missing));
    check(&wanted, &wanted, &seen(None), Some(Drift::Changed));
    check(&wanted, &wanted, &seen(Some("another")), Some(Drift::Changed));
    check(&left, &left, &seen(Some(OURS)), Some(Drift::Orphan));
    check(&[], &[], &seen(Some(OURS)), Some(Drift::Orphan));
    check(&[], &[], &seen(Some("no run")), Some(Drift::Stranger));
    check(&[], &[], &seen(None), Some(Drift::Stranger));
}

#[test]
fn what_is_being_made_or_taken_away_is_no_finding() {
    let (wanted, asked) = ([held(Standing::Wanted)], [held(Standing::Unknown)]);
    let debt = [held(Standing::Debt)];
    for is_there in [seen(Some(OURS)), Vec::new()] {
        check(&[], &wanted, &is_there, None);
        check(&asked, &asked, &is_there, None);
        check(&asked, &wanted, &is_there, None);
        check(&wanted, &debt, &is_there, None);
        check(&debt, &debt, &is_there, None);
        check(&wanted, &[], &is_there, None);
    }
}

#[test]
fn what_was_not_looked_for_is_not_missing() {
    let wanted = [held(Standing::Wanted)];
    assert_eq!(compare(&wanted, &wanted, &[], &BTreeSet::new()), []);
}

#[test]
fn another_limit_is_a_change_unless_one_is_being_set() {
    let (wanted, mut unknown) = ([held(Standing::Wanted)], [held(Standing::Wanted)]);
    unknown[0].quota_bytes = None;
    let holding = |bytes| {
        let thing = Thing { quota_bytes: bytes, ..Thing::new(machine(), Some(OURS.into())) };
        vec![thing]
    };
    check(&wanted, &wanted, &holding(Some(50 << 30)), None);
    check(&wanted, &wanted, &holding(None), None);
    check(&wanted, &wanted, &holding(Some(80 << 30)), Some(Drift::Changed));
    check(&wanted, &wanted, &holding(Some(0)), Some(Drift::Changed));
    check(&wanted, &unknown, &holding(Some(80 << 30)), None);
    check(&unknown, &unknown, &holding(Some(80 << 30)), None);
}

#[test]
fn what_others_keep_in_the_same_system_is_nobodys_business_until_it_carries_our_mark() {
    let bucket = |marker: Option<&str>| {
        vec![Thing::new(Resource::new("s3", "bucket", "data"), marker.map(Into::into))]
    };
    check(&[], &[], &bucket(None), None);
    check(&[], &[], &bucket(Some("theirs")), None);
    check(&[], &[], &bucket(Some(OURS)), Some(Drift::Orphan));
}

/// A secret in Forgejo, which can carry no mark.
fn unmarked(life: u32, standing: Standing) -> Held {
    let mut held = held(standing);
    let key = EntityKey::of("token", &held.owner, "ci");
    held.resource = Resource::new("forgejo", "secret", "john/templates/TOKEN");
    (held.marker, held.run) = (String::new(), key.run(life));
    held
}

#[test]
fn what_can_carry_no_mark_is_known_by_its_name() {
    let kinds = BTreeSet::from(["forgejo/secret".to_owned()]);
    let wanted = unmarked(2, Standing::Wanted);
    let left = unmarked(1, Standing::Left);
    let seen = [Thing::new(wanted.resource.clone(), None)];
    let found = |held: &[Held], seen: &[Thing]| compare(held, held, seen, &kinds);
    let words = |found: Vec<Finding>| found.iter().map(|f| f.drift).collect::<Vec<_>>();
    assert_eq!(words(found(std::slice::from_ref(&wanted), &seen)), []);
    assert_eq!(words(found(std::slice::from_ref(&left), &seen)), [Drift::Orphan]);
    // A life before this one has left what this one has set anew.
    assert_eq!(words(found(&[left.clone(), wanted.clone()], &seen)), []);
    assert_eq!(words(found(&[], &seen)), [], "others have secrets, too");
    let missing = found(&[left, wanted.clone()], &[]);
    assert_eq!(words(missing.clone()), [Drift::Missing]);
    // Whoever is asked to put it right is the run that made it.
    let holder = missing[0].found().holder.expect("it is in the ledger");
    assert_eq!(holder.marker, wanted.run.to_string());
}
