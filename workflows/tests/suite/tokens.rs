//! What happens to tokens, told as text, and what is refused.

use std::time::Duration;

use serde_json::{Value, json};
use stead_schemas::command::token::TokenView;
use stead_schemas::dispatch::{Caller, EntityCommand};
use stead_schemas::event::{Event, Outcome};
use stead_schemas::refusal::Refusal;
use stead_schemas::site::Site;
use stead_testkit::{Kit, Stage, Trouble, tells, tells_of};
use stead_workflows::WORKFLOWS;

use crate::kits::{self, john, site};
use crate::world::World;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// A stage, and the token `ci` of john on it.
struct Tale {
    stage: Stage<World>,
    commands: u32,
}

impl Tale {
    fn new() -> Self {
        let mut tale = Self::empty(site());
        tale.done("create", json!({ "repository": "templates" }));
        tale
    }

    fn empty(site: Site) -> Self {
        let kit = Kit::of(WORKFLOWS).site(site);
        Self { stage: kit.stage(&Trouble::default()), commands: 0 }
    }

    fn command(&mut self, verb: &str, fields: Value) -> EntityCommand {
        self.commands += 1;
        EntityCommand {
            kind: "token".into(),
            owner: john(),
            name: "ci".into(),
            verb: verb.into(),
            fields: fields.as_object().cloned().unwrap_or_default(),
            id: format!("command-{}", self.commands),
            by: Caller::Api,
        }
    }

    fn give(&mut self, verb: &str, fields: Value) -> Result<Outcome, Refusal> {
        let command = self.command(verb, fields);
        self.stage.give(&command)?;
        self.stage.work();
        let outcome = self.stage.outcome(&command.key(), &command.id);
        Ok(outcome.expect("the command has an outcome"))
    }

    fn done(&mut self, verb: &str, fields: Value) -> Value {
        match self.give(verb, fields) {
            Ok(Outcome::Done(result)) => result,
            other => panic!("{verb}: {other:?}"),
        }
    }

    fn failed(&mut self, verb: &str) -> String {
        match self.give(verb, json!({})) {
            Ok(Outcome::Failed(failure)) => failure.words,
            other => panic!("{verb}: {other:?}"),
        }
    }

    fn refused(&mut self, verb: &str, fields: Value) -> String {
        self.give(verb, fields).expect_err("it is refused").code
    }

    fn view(&mut self) -> TokenView {
        let key = self.command("rotate", json!({})).key();
        let run = self.stage.latest(&key).expect("it lives");
        serde_json::from_value(self.stage.view(&run)).expect("a view")
    }

    /// What the run has noted for people, in order.
    fn notes(&mut self) -> Vec<String> {
        let key = self.command("rotate", json!({})).key();
        let run = self.stage.latest(&key).expect("it lived");
        let events = self.stage.history(&run).iter().flat_map(|transition| &transition.events);
        let noted = events.filter_map(|event| match event {
            Event::Noted(noted) => Some(format!("{}: {}", noted.what, noted.words)),
            _ => None,
        });
        noted.collect()
    }

    fn given(&self) -> &str {
        self.stage.world.given.values().next().expect("a secret")
    }
}

#[test]
fn a_create_reads_like_this() {
    tells(
        &kits::make_token(),
        "
        command  token.create
        step     vault.pin-secrets     done
        step     coder.create-token    done
        step     coder.prove-token     done
        step     forgejo.set-secret    done
        step     forgejo.run-workflow  done
        done     token.create
        ",
    );
}

#[test]
fn what_cannot_be_proved_is_taken_back() {
    tells_of(
        &kits::make_token(),
        &Trouble::failing("forgejo.run-workflow"),
        "
        command  token.create
        step     vault.pin-secrets      done
        step     coder.create-token     done
        step     coder.prove-token      done
        step     forgejo.set-secret     done
        step     forgejo.run-workflow   failed lasting: it was made to fail
        undo     forgejo.delete-secret  done
        undo     coder.revoke-token     done
        failed   forgejo.run-workflow: it was made to fail
        over     failed
        ",
    );
}

#[test]
fn the_next_token_overlaps_the_one_before() {
    let mut tale = Tale::new();
    let first = tale.view();
    assert_eq!((first.generation, first.previous_until), (1, None));
    assert!(tale.given().ends_with("/john/ci/a#1"));
    tale.stage.pass(DAY * 6 - HOUR);
    assert_eq!(tale.view().generation, 1);
    tale.stage.pass(HOUR * 2);
    let second = tale.view();
    assert_eq!((second.generation, second.failures), (2, 0));
    assert!(tale.given().ends_with("/john/ci/b#1"));
    assert_eq!(
        tale.stage.world.names(),
        ["secret john/templates CODER_SESSION_TOKEN", "token john/ci/a", "token john/ci/b"]
    );
    tale.stage.pass(HOUR * 6);
    assert_eq!(
        tale.stage.world.names(),
        ["secret john/templates CODER_SESSION_TOKEN", "token john/ci/b"]
    );
    // And so on, for a year, in a history that stays short.
    for _ in 0..60 {
        tale.stage.pass(DAY * 6);
    }
    assert_eq!(tale.view().generation, 62);
    tale.stage.everything_replays();
}

#[test]
fn a_token_that_is_not_proved_is_put_back_and_tried_again_and_somebody_hears_of_it() {
    let mut tale = Tale::new();
    tale.stage.world.runs_fail = 2;
    tale.stage.pass(DAY * 6 + HOUR / 4);
    let view = tale.view();
    assert_eq!((view.phase.word(), view.generation, view.failures), ("at-risk", 1, 1));
    assert!(view.trouble.is_some_and(|words| words.contains("https://git.lan/1")));
    assert_eq!(view.last_proof.map(|proof| proof.ok), Some(false));
    assert!(tale.given().ends_with("/john/ci/a#1"), "the one before is given back");
    assert!(tale.stage.world.names().contains(&"token john/ci/a"), "and is not revoked");
    assert!(!tale.stage.world.names().contains(&"token john/ci/b"));
    tale.stage.pass(HOUR * 2);
    let view = tale.view();
    assert_eq!((view.phase.word(), view.generation, view.trouble), ("ready", 2, None));
    let notes = tale.notes();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].starts_with("token-at-risk: the token could not be made anew (1 in a row)"));
    assert!(notes[1].contains("(2 in a row); it ends in 23 h"), "{notes:?}");
    tale.stage.everything_replays();
}

#[test]
fn a_second_rotation_revokes_what_was_kept_of_the_first() {
    let mut tale = Tale::new();
    tale.done("rotate", json!({}));
    let told = tale.done("rotate", json!({}));
    assert_eq!(told["phase"], "ready");
    assert_eq!(tale.view().generation, 3);
    assert_eq!(
        tale.stage.world.names(),
        ["secret john/templates CODER_SESSION_TOKEN", "token john/ci/a", "token john/ci/b"]
    );
    tale.stage.world.runs_fail = 1;
    assert!(tale.failed("rotate").contains("ended as failure"));
    tale.done("delete", json!({}));
    assert!(tale.stage.world.names().is_empty());
    tale.stage.everything_replays();
}

#[test]
fn a_delete_stops_a_rotation() {
    let mut tale = Tale::new();
    let rotate = tale.command("rotate", json!({}));
    tale.stage.give(&rotate).expect("it is let in");
    for _ in 0..4 {
        tale.stage.one_step();
    }
    tale.done("delete", json!({}));
    assert!(tale.stage.world.names().is_empty(), "{:?}", tale.stage.world.names());
    assert!(tale.notes().is_empty(), "nobody is alarmed: {:?}", tale.notes());
    tale.done("create", json!({ "repository": "templates" }));
    tale.stage.everything_replays();
}

#[test]
fn another_pace_holds_from_now_on() {
    let mut tale = Tale::new();
    tale.done("configure", json!({ "every_days": 2 }));
    tale.stage.pass(DAY * 2);
    assert_eq!(tale.view().generation, 2);
    assert_eq!(tale.refused("configure", json!({})), "configure.nothing");
    for fields in [json!({ "every_days": 7 }), json!({ "life_days": 2 }), json!({ "life_days": 0 })]
    {
        assert_eq!(tale.refused("configure", fields), "parameter.out-of-range");
    }
    tale.stage.everything_replays();
}

#[test]
fn what_no_token_can_be_is_refused_at_the_door() {
    let mut tale = Tale::new();
    assert_eq!(tale.refused("create", json!({ "repository": "templates" })), "token.exists");
    assert_eq!(tale.refused("create", json!({})), "parameter.missing");
    for (field, value, code) in [
        ("repository", "jane/templates", "token.repository-invalid"),
        ("repository", "..", "token.repository-invalid"),
        ("secret", "FORGEJO_TOKEN", "token.secret-invalid"),
        ("secret", "1ST", "token.secret-invalid"),
        ("workflow", "../prove.yml", "token.workflow-invalid"),
        ("branch", "a b", "token.branch-invalid"),
    ] {
        let mut fields = json!({ "repository": "templates" });
        fields[field] = value.into();
        assert_eq!(tale.refused("create", fields), code, "{field} {value}");
    }
    let every = json!({ "repository": "templates", "life_days": 2, "every_days": 2 });
    assert_eq!(tale.refused("create", every), "parameter.out-of-range");
    let mut nowhere = Tale::empty(Site { forgejo: None, ..site() });
    assert_eq!(nowhere.refused("rotate", json!({})), "token.unknown");
    let fields = json!({ "repository": "templates" });
    assert_eq!(nowhere.refused("create", fields), "token.no-forgejo");
}
