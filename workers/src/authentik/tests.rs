//! Authentik's worker against the lab.

use stead_lab::{CallFault, UserChange};
use stead_schemas::failure::Class;
use stead_schemas::step::authentik::{FindUser, ListUsers, SUBJECTS_MAX, User};

use crate::testing::Stage;

const LOGIN: &str = "vault:secret/data/authentik/api";

fn find(username: &str, subject: Option<&str>) -> FindUser {
    let (username, subject) = (username.to_owned(), subject.map(str::to_owned));
    FindUser { login: LOGIN.to_owned(), username, subject, groups: Vec::new() }
}

fn list(users: &[&User]) -> ListUsers {
    let subjects = users.iter().map(|user| user.subject.clone()).collect();
    ListUsers { login: LOGIN.to_owned(), subjects }
}

async fn found(stage: &Stage, name: &str) -> User {
    let found = stage.ask(find(name, None)).await.unwrap();
    found.user.unwrap_or_else(|| panic!("there is no {name}"))
}

fn change(stage: &Stage, name: &str, change: &UserChange) {
    assert!(stage.lab.change_user(name, change), "{name} {change:?}");
}

#[tokio::test]
async fn somebody_is_found_by_name_and_then_by_who_he_is() {
    let stage = Stage::open().await;
    let john = found(&stage, "john").await;
    assert!(john.is_active);
    assert_eq!(john.groups, [""; 0], "nobody has asked");
    change(&stage, "john", &UserChange::Rename("johnny".to_owned()));
    change(&stage, "johnny", &UserChange::Disable);
    change(&stage, "john", &UserChange::Add);
    let same = stage.ask(find("john", Some(&john.subject))).await.unwrap().user.unwrap();
    assert_eq!((same.subject, same.username.as_str()), (john.subject.clone(), "johnny"));
    assert!(!same.is_active);
    let other = found(&stage, "john").await;
    assert_ne!(other.subject, john.subject);
    change(&stage, "johnny", &UserChange::Delete);
    let gone = stage.ask(find("john", Some(&john.subject))).await.unwrap();
    assert_eq!(gone.user, None, "whoever is called so now is somebody else");
    assert_eq!(stage.ask(find("nobody", None)).await.unwrap().user, None);
}

#[tokio::test]
async fn of_groups_only_those_are_told_that_somebody_asked_about() {
    let stage = Stage::open().await;
    for (asked, told) in [
        (&["developers", "others"][..], &["developers"][..]),
        (&["others", "Developers"], &[]),
        (&[], &[]),
    ] {
        let groups = asked.iter().map(|group| (*group).to_owned()).collect();
        let user = stage.ask(FindUser { groups, ..find("john", None) }).await.unwrap().user;
        assert_eq!(user.unwrap().groups, told, "{asked:?}");
    }
}

#[tokio::test]
async fn names_that_differ_by_case_are_two() {
    let stage = Stage::open().await;
    change(&stage, "JOHN", &UserChange::Add);
    stage.lab.break_("authentik", "case-twin").unwrap();
    let (small, large) = (found(&stage, "john").await, found(&stage, "JOHN").await);
    assert_ne!(small.subject, large.subject);
    assert_eq!((small.username.as_str(), large.username.as_str()), ("john", "JOHN"));
    assert_eq!(stage.ask(find("John", None)).await.unwrap().user, None);
}

#[tokio::test]
async fn those_who_are_asked_for_are_listed_whatever_page_they_are_on() {
    let stage = Stage::open().await;
    for number in 0..210 {
        change(&stage, &format!("user-{number}"), &UserChange::Add);
    }
    let (john, early) = (found(&stage, "john").await, found(&stage, "user-92").await);
    // The first of the second page, and of the third.
    let (first, second) = (found(&stage, "user-93").await, found(&stage, "user-193").await);
    change(&stage, "user-193", &UserChange::Disable);
    change(&stage, "user-92", &UserChange::Delete);
    stage.lab.break_("authentik", "page-shifts").unwrap();
    let listed = stage.ask(list(&[&john, &early, &first, &second])).await.unwrap().users;
    let is_active = |user: &User| {
        listed.iter().find(|seen| seen.subject == user.subject).map(|seen| seen.is_active)
    };
    assert_eq!(is_active(&john), Some(true));
    assert_eq!(is_active(&early), None, "he is gone");
    assert_eq!(is_active(&first), Some(true), "no page shows him");
    assert_eq!(is_active(&second), Some(false));
    assert_eq!(listed.len(), 3);
    let pages = stage.lab.requests().iter().filter(|call| call.query["page"] == "3").count();
    assert_eq!(pages, 1, "it was read to the end");
    let many =
        ListUsers { login: LOGIN.to_owned(), subjects: vec!["x".to_owned(); SUBJECTS_MAX + 1] };
    stage.refused(many, Class::Permanent).await;
}

#[tokio::test]
async fn a_token_that_sees_nobody_says_nothing_of_anybody() {
    let stage = Stage::open().await;
    let john = found(&stage, "john").await;
    stage.lab.break_("authentik", "sees-nobody").unwrap();
    let failure = stage.refused(list(&[&john]), Class::Auth).await;
    assert!(failure.words.contains("needs the permission to view them"), "{failure}");
    stage.refused(find("john", None), Class::Auth).await;
    stage.refused(find("john", Some(&john.subject)), Class::Auth).await;
}

#[tokio::test]
async fn each_trouble_has_its_class() {
    let stage = Stage::open().await;
    let john = found(&stage, "john").await;
    for (fault, class, words) in [
        ("unauthorized", Class::Auth, "does not accept our token"),
        ("forbidden", Class::Auth, "may not see users"),
        ("not-in-service", Class::VendorDown, "not in service"),
    ] {
        stage.lab.break_("authentik", fault).unwrap();
        let failure = stage.refused(find("john", None), class).await;
        assert!(failure.words.contains(words), "{failure}");
        stage.refused(list(&[&john]), class).await;
        stage.lab.mend();
    }
    let faults = [CallFault::DropBefore, CallFault::LoseResponse, CallFault::FailPassing];
    for fault in faults {
        stage.lab.break_call_times("authentik", "GET /core/users", fault, 1).unwrap();
        stage.refused(list(&[&john]), Class::Retry).await;
        assert_eq!(stage.ask(list(&[&john])).await.unwrap().users.len(), 1);
    }
}
