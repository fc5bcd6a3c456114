//! That the workflow survives, what it does as a story, and that the worker may be asked twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use stead_runtime::worker::{AnyWorker, StepContext};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::step::{Done, Step};
use stead_testkit::{Asked, Kit, Trouble, World, answer, survives, tells, tells_of};

use crate::steps::{AwaitPage, Publish, Published, Withdraw};
use crate::worker::{Server, worker};
use crate::workflow::PREVIEW;

/// Names that are taken, and by whom.
#[derive(Default)]
pub struct Sites(BTreeMap<String, String>);

impl World for Sites {
    fn carry_out(&mut self, asked: &Asked<'_>) -> Result<Value, Failure> {
        match asked.step {
            Publish::NAME => {
                let Publish { name, marker, .. } = asked.read();
                let url = format!("https://{name}.preview.example");
                self.0.insert(name, marker);
                answer::<Publish>(Published { url })
            }
            Withdraw::NAME => {
                let Withdraw { name, marker } = asked.read();
                if self.0.get(&name) == Some(&marker) {
                    self.0.remove(&name);
                }
                answer::<Withdraw>(Done {})
            }
            AwaitPage::NAME => answer::<AwaitPage>(Done {}),
            unknown => panic!("nobody knows the step {unknown}"),
        }
    }

    fn things(&self) -> BTreeSet<String> {
        self.0.keys().cloned().collect()
    }
}

fn kit() -> Kit<Sites> {
    Kit::of(&[PREVIEW])
        .entity("preview", "john", "login-page")
        .command("open", json!({ "branch": "login" }))
        .leaves(["login-page"])
        .command("extend", json!({}))
        .passes(Duration::from_secs(25 * 60 * 60))
        .leaves([])
}

#[test]
fn a_preview_survives() {
    survives(&kit());
}

#[test]
fn a_preview_reads_like_this() {
    tells(
        &kit(),
        "
        command  preview.open
        step     sites.publish     done
        step     sites.await-page  done
        done     preview.open
        command  preview.extend
        done     preview.extend
        timer    a preview is kept for a day
        undo     sites.withdraw    done
        over     completed
        ",
    );
}

#[test]
fn a_page_that_never_comes_is_taken_down() {
    tells_of(
        &kit(),
        &Trouble::failing("sites.await-page"),
        "
        command  preview.open
        step     sites.publish     done
        step     sites.await-page  failed lasting: it was made to fail
        undo     sites.withdraw    done
        failed   sites.await-page: it was made to fail
        over     failed
        ",
    );
}

fn john() -> Owner {
    Owner::new("john").expect("a name")
}

fn life(number: u32) -> RunId {
    EntityKey::of("preview", &john(), "a").run(number)
}

#[tokio::test]
async fn a_name_is_given_once_however_often_it_is_asked_for() {
    let sites = worker(Server::default());
    let publish = async |run: RunId| {
        let ask = Publish { name: "a".into(), branch: "main".into(), marker: run.to_string() };
        sites.begin(Publish::NAME, StepContext::unwatched(run), json!(ask)).await
    };
    assert!(publish(life(1)).await.is_ok());
    assert!(publish(life(1)).await.is_ok(), "asked twice");
    assert_eq!(publish(life(2)).await.expect_err("taken").class, Class::Conflict);
}
