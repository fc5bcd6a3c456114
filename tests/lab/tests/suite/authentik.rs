//! Authentik through its own API.

use serde_json::{Value, json};
use stead_lab::UserChange;

use crate::rig::{Answer, Rig, send, text};

impl Rig {
    async fn authentik(&self, path: &str) -> Answer {
        let token = text(&self.secret("authentik/api").await["token"]);
        let url = format!("{}/api/v3{path}", self.lab.addresses().authentik_url);
        let request = self.http.get(url).header("authorization", format!("Bearer {token}"));
        send(request, None).await.expect("an answer")
    }

    async fn user(&self, name: &str) -> Value {
        self.authentik(&format!("/core/users/?username={name}")).await.body["results"][0].clone()
    }
}

fn names(answer: &Answer) -> Vec<String> {
    let results = answer.body["results"].as_array().expect("a page");
    results.iter().map(|user| text(&user["username"])).collect()
}

#[tokio::test]
async fn whoever_is_renamed_or_disabled_stays_the_same() {
    let rig = Rig::start().await;
    let john = rig.user("john").await;
    assert_eq!((&john["is_active"], &john["type"]), (&json!(true), &json!("internal")));
    assert_eq!(john["groups_obj"][0]["name"], "developers");
    assert!(rig.lab.change_user("john", &UserChange::Disable));
    assert!(rig.lab.change_user("john", &UserChange::Rename("johnny".to_owned())));
    assert!(!rig.lab.change_user("john", &UserChange::Enable), "nobody is called so");
    assert!(!rig.lab.change_user("johnny", &UserChange::Rename("alice".to_owned())), "taken");
    let uuid = text(&john["uuid"]);
    let found = rig.authentik(&format!("/core/users/?uuid={uuid}&include_groups=false")).await;
    let found = &found.body["results"][0];
    assert_eq!((&found["username"], &found["is_active"]), (&json!("johnny"), &json!(false)));
    assert_eq!((&found["pk"], &found["groups_obj"]), (&john["pk"], &Value::Null));
    assert!(rig.lab.change_user("johnny", &UserChange::Delete));
    assert!(rig.lab.change_user("john", &UserChange::Add));
    assert_ne!(rig.user("john").await["uuid"], john["uuid"], "somebody else of the same name");
    let gone = rig.authentik(&format!("/core/users/?uuid={uuid}")).await;
    assert_eq!(gone.body["pagination"]["count"], 0);
}

#[tokio::test]
async fn lists_come_in_pages_and_can_be_narrowed() {
    let rig = Rig::start().await;
    let first = rig.authentik("/core/users/?page_size=3&ordering=date_joined").await;
    assert_eq!(names(&first), ["akadmin", "stead", "alice"]);
    let page = &first.body["pagination"];
    assert_eq!(
        (&page["next"], &page["previous"], &page["count"]),
        (&json!(2), &json!(0), &json!(7))
    );
    let last = rig.authentik("/core/users/?page_size=3&page=3&ordering=date_joined").await;
    assert_eq!(
        (names(&last), &last.body["pagination"]["next"]),
        (vec!["platform".into()], &json!(0))
    );
    let beyond = rig.authentik("/core/users/?page_size=3&page=4").await;
    assert_eq!((beyond.status, &beyond.body["detail"]), (404, &json!("Invalid page.")));
    rig.lab.change_user("alice", &UserChange::Disable);
    let of_group = "/core/users/?groups_by_name=developers&is_active=true&page_size=2";
    assert_eq!(names(&rig.authentik(of_group).await), ["demo", "john"]);
    assert_eq!(rig.authentik("/core/users/?uuid=john").await.status, 400);
    let groups = rig.authentik("/core/groups/?members_by_username=john").await;
    assert_eq!(groups.body["results"][0]["name"], "developers");
    assert_eq!(groups.body["results"][0]["users"].as_array().map(Vec::len), Some(5));
    assert_eq!(rig.authentik("/core/users/me/").await.body["user"]["username"], "stead");
}

#[tokio::test]
async fn every_fault_of_authentik_fires() {
    let rig = Rig::start().await;
    let break_once = |fault| rig.lab.break_times("authentik", fault, 1).expect("known");
    for (fault, status, detail) in [
        ("unauthorized", 403, "Token invalid/expired"),
        ("forbidden", 403, "You do not have permission to perform this action."),
        ("not-in-service", 503, "authentik starting"),
    ] {
        break_once(fault);
        let answer = rig.authentik("/core/users/").await;
        assert_eq!((answer.status, &answer.body["detail"]), (status, &json!(detail)), "{fault}");
    }
    break_once("sees-nobody");
    assert_eq!(names(&rig.authentik("/core/users/").await), Vec::<String>::new());
    assert!(rig.lab.change_user("John", &UserChange::Add));
    break_once("case-twin");
    assert_eq!(names(&rig.authentik("/core/users/?username=john").await), ["John", "john"]);
    assert_eq!(names(&rig.authentik("/core/users/?username=john").await), ["john"]);
    break_once("page-shifts");
    let page = |number| format!("/core/users/?page_size=4&ordering=date_joined&page={number}");
    assert_eq!(names(&rig.authentik(&page(1)).await), ["akadmin", "stead", "alice", "demo"]);
    assert_eq!(names(&rig.authentik(&page(2)).await), ["john.doe", "platform", "John"]);
    rig.lab.break_("authentik", "slow").expect("known");
    rig.authentik("/core/users/me/").await;
    assert!(rig.lab.faults().iter().any(|fault| fault.name == "slow" && fault.fired == 1));
}
