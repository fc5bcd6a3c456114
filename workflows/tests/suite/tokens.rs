//! What happens to tokens, told as text, and what is refused.

use std::time::Duration;

use serde_json::json;
use stead_schemas::command::token::TokenView;
use stead_schemas::site::Site;
use stead_testkit::{Trouble, tells, tells_of};

use crate::asker::Asker;
use crate::kits::{self, site};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

impl Asker {
    /// The token `ci` of john.
    fn token() -> Self {
        let mut asker = Self::no_token(site());
        asker.done("create", json!({ "repository": "templates" }));
        asker
    }

    /// Where it has not been made yet.
    fn no_token(site: Site) -> Self {
        Self::of(["token", "john", "ci"], site)
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
    let mut tale = Asker::token();
    let first = tale.view::<TokenView>();
    assert_eq!((first.generation, first.previous_until), (1, None));
    assert!(tale.given().ends_with("/john/ci/a#1"));
    tale.stage.pass(DAY * 6 - HOUR);
    assert_eq!(tale.view::<TokenView>().generation, 1);
    tale.stage.pass(HOUR * 2);
    let second = tale.view::<TokenView>();
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
    assert_eq!(tale.view::<TokenView>().generation, 62);
    tale.stage.everything_replays();
}

#[test]
fn a_token_that_is_not_proved_is_put_back_and_tried_again_and_somebody_hears_of_it() {
    let mut tale = Asker::token();
    tale.stage.world.runs_fail = 2;
    tale.stage.pass(DAY * 6 + HOUR / 4);
    let view = tale.view::<TokenView>();
    assert_eq!((view.phase.word(), view.generation, view.failures), ("at-risk", 1, 1));
    assert!(view.trouble.is_some_and(|words| words.contains("https://git.lan/1")));
    assert_eq!(view.last_proof.map(|proof| proof.ok), Some(false));
    assert!(tale.given().ends_with("/john/ci/a#1"), "the one before is given back");
    assert!(tale.stage.world.names().contains(&"token john/ci/a"), "and is not revoked");
    assert!(!tale.stage.world.names().contains(&"token john/ci/b"));
    tale.stage.pass(HOUR * 2);
    let view = tale.view::<TokenView>();
    assert_eq!((view.phase.word(), view.generation, view.trouble), ("ready", 2, None));
    let notes = tale.notes();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].starts_with("token-at-risk: the token could not be made anew (1 in a row)"));
    assert!(notes[1].contains("(2 in a row); it ends in 23 h"), "{notes:?}");
    tale.stage.everything_replays();
}

#[test]
fn a_second_rotation_revokes_what_was_kept_of_the_first() {
    let mut tale = Asker::token();
    tale.done("rotate", json!({}));
    let told = tale.done("rotate", json!({}));
    assert_eq!(told["phase"], "ready");
    assert_eq!(tale.view::<TokenView>().generation, 3);
    assert_eq!(
        tale.stage.world.names(),
        ["secret john/templates CODER_SESSION_TOKEN", "token john/ci/a", "token john/ci/b"]
    );
    tale.stage.world.runs_fail = 1;
    assert!(tale.failed("rotate", json!({})).contains("ended as failure"));
    tale.done("delete", json!({}));
    assert!(tale.stage.world.names().is_empty());
    tale.stage.everything_replays();
}

#[test]
fn a_delete_stops_a_rotation() {
    let mut tale = Asker::token();
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
    let mut tale = Asker::token();
    tale.done("configure", json!({ "every_days": 2 }));
    tale.stage.pass(DAY * 2);
    assert_eq!(tale.view::<TokenView>().generation, 2);
    assert_eq!(tale.refused("configure", json!({})), "configure.nothing");
    for fields in [json!({ "every_days": 7 }), json!({ "life_days": 2 }), json!({ "life_days": 0 })]
    {
        assert_eq!(tale.refused("configure", fields), "parameter.out-of-range");
    }
    tale.stage.everything_replays();
}

#[test]
fn what_no_token_can_be_is_refused_at_the_door() {
    let mut tale = Asker::token();
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
    let mut nowhere = Asker::no_token(Site { forgejo: None, ..site() });
    assert_eq!(nowhere.refused("rotate", json!({})), "token.unknown");
    let fields = json!({ "repository": "templates" });
    assert_eq!(nowhere.refused("create", fields), "token.no-forgejo");
}
