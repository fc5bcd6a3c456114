//! Notices: what comes together goes together, nobody hears the same thing again before its time,
//! and what cannot be sent is kept.

use std::time::Duration;

use serde_json::{Value, json};
use stead_schemas::dispatch::{Caller, EntityCommand};
use stead_schemas::event::Outcome;
use stead_schemas::failure::Class;
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;
use stead_schemas::site::Site;
use stead_testkit::{Kit, Stage, Trouble};
use stead_workflows::WORKFLOWS;

use crate::kits;
use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

struct Tale {
    stage: Stage<World>,
    commands: u32,
}

impl Tale {
    fn new() -> Self {
        let site = Site { notify: kits::routes(), ..kits::site() };
        Self {
            stage: Kit::of(WORKFLOWS).site(site).stage(&Trouble::default().crash()),
            commands: 0,
        }
    }

    fn command(&mut self, fields: Value) -> EntityCommand {
        self.commands += 1;
        EntityCommand {
            kind: "notice".into(),
            owner: Owner::new("stead").expect("a name"),
            name: "site".into(),
            verb: "tell".into(),
            fields: fields.as_object().cloned().unwrap_or_default(),
            id: format!("command-{}", self.commands),
            by: Caller::Engine,
        }
    }

    fn give(&mut self, topic: &str, about: &str) -> Result<Option<Outcome>, Refusal> {
        let fields = json!({ "topic": topic, "about": about, "words": "it cannot be reached" });
        let command = self.command(fields);
        self.stage.give(&command)?;
        self.stage.work();
        Ok(self.stage.outcome(&command.key(), &command.id))
    }

    fn tell(&mut self, topic: &str, about: &str) {
        let outcome = self.give(topic, about).expect("it is let in");
        assert!(matches!(outcome, Some(Outcome::Done(_))), "{outcome:?}");
    }

    /// What the mails that have arrived were about.
    fn mails(&self) -> Vec<&str> {
        let messages = self.stage.world.messages.values();
        messages.filter_map(|message| message["subject"].as_str()).collect()
    }

    fn hooks(&self) -> usize {
        self.stage.world.messages.values().filter(|message| message["url"].is_string()).count()
    }

    fn shown(&mut self, name: &str) -> Value {
        let key = self.command(json!({})).key();
        let run = self.stage.latest(&key).expect("somebody was told");
        let routes = self.stage.view(&run)["routes"].as_array().cloned().unwrap_or_default();
        routes.into_iter().find(|route| route["name"] == name).expect("the way is there")
    }
}

#[test]
fn what_comes_together_goes_in_one_message() {
    let mut tale = Tale::new();
    for about in ["workspace john/a", "workspace john/b", "workspace john/a"] {
        tale.tell("paused", about);
    }
    assert_eq!(tale.mails(), Vec::<&str>::new(), "more may come");
    tale.stage.pass(MINUTE);
    assert_eq!((tale.mails(), tale.hooks()), (vec!["[Stead] 2 things to know"], 1));
    tale.tell("token", "john/ci");
    tale.stage.pass(MINUTE);
    assert_eq!(tale.mails().len(), 1, "nobody wants to be told of that");
    tale.stage.everything_replays();
}

#[test]
fn a_way_that_the_site_has_no_more_gets_nothing_that_waited_for_it() {
    for left in [1, 0] {
        let mut tale = Tale::new();
        tale.stage.world.unsent = Some(("notify.post-webhook", Class::TimedOut));
        tale.tell("vendor-down", "proxmox");
        tale.stage.pass(MINUTE);
        tale.stage.world.unsent = None;
        // The chat's webhook has leaked; then mail is given up, too.
        tale.stage.site.notify.retain(|route| route.name != "chat");
        tale.stage.site.notify.truncate(left);
        tale.tell("vendor-down", "coder");
        tale.stage.pass(5 * HOUR);
        assert_eq!((tale.hooks(), tale.mails().len()), (0, 1 + left));
        tale.stage.everything_replays();
    }
}

#[test]
fn nobody_hears_the_same_thing_again_before_its_time() {
    let mut tale = Tale::new();
    for _ in 0..4 {
        tale.tell("vendor-down", "proxmox");
        tale.stage.pass(HOUR);
    }
    assert_eq!(tale.mails(), ["[Stead] proxmox: does not answer"]);
    tale.stage.pass(MINUTE);
    tale.tell("vendor-down", "proxmox");
    tale.stage.pass(HOUR);
    assert_eq!(tale.mails().len(), 2, "four hours are over");
}

#[test]
fn a_way_that_is_dead_keeps_its_messages_and_nobody_else_s() {
    let mut tale = Tale::new();
    tale.stage.world.unsent = Some(("notify.post-webhook", Class::TimedOut));
    tale.tell("vendor-down", "proxmox");
    tale.stage.pass(MINUTE);
    assert_eq!((tale.mails().len(), tale.hooks()), (1, 0));
    assert_eq!(
        (&tale.shown("chat")["waiting"], &tale.shown("chat")["trouble"]),
        (&json!(1), &json!("nobody is there"))
    );
    tale.tell("vendor-down", "coder");
    tale.stage.pass(HOUR);
    assert_eq!((tale.mails().len(), tale.hooks()), (2, 0));
    tale.stage.world.unsent = None;
    tale.stage.pass(5 * HOUR);
    assert_eq!(tale.hooks(), 2, "what was on its way, and what has waited behind it");
    assert_eq!(tale.shown("chat")["trouble"], json!(null));
    tale.stage.everything_replays();
}

#[test]
fn what_nobody_would_ever_take_is_given_up_and_told() {
    let mut tale = Tale::new();
    tale.stage.world.unsent = Some(("notify.send-mail", Class::Permanent));
    tale.tell("vendor-down", "proxmox");
    tale.stage.pass(MINUTE);
    assert_eq!(
        (&tale.shown("ops")["waiting"], &tale.shown("ops")["next"]),
        (&json!(0), &json!(null))
    );
    let key = tale.command(json!({})).key();
    assert!(
        tale.stage.story(&key).contains("ops could not be told: notify.send-mail: nobody is there")
    );
}

#[test]
fn a_test_is_sent_at_once_and_says_who_was_not_reached() {
    let mut tale = Tale::new();
    tale.tell("test", "stead");
    tale.tell("test", "stead");
    assert_eq!((tale.mails().len(), tale.hooks()), (2, 2));
    tale.stage.world.unsent = Some(("notify.send-mail", Class::TimedOut));
    let outcome = tale.give("test", "stead").expect("it is let in");
    let Some(Outcome::Failed(failure)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.words, "ops: nobody is there");
}

#[test]
fn what_cannot_be_told_is_refused_by_field() {
    let mut tale = Tale::new();
    let field = |refusal: Refusal| refusal.field.unwrap_or_default();
    assert_eq!(field(tale.give("weather", "sun").unwrap_err()), "topic");
    assert_eq!(field(tale.give("paused", "").unwrap_err()), "about");
    let of_john = EntityCommand {
        owner: kits::john(),
        ..tale.command(json!({ "topic": "test", "about": "a", "words": "b" }))
    };
    assert_eq!(tale.stage.give(&of_john).unwrap_err().code, "notice.name");
    tale.stage.site.notify.clear();
    assert_eq!(tale.give("test", "stead").unwrap_err().code, "notice.nobody");
    tale.tell("paused", "workspace john/a");
    let key = tale.command(json!({})).key();
    let run = tale.stage.latest(&key).expect("it was told");
    assert!(
        tale.stage
            .history(&run)
            .iter()
            .flat_map(|t| &t.events)
            .any(stead_schemas::event::Event::is_last)
    );
}
