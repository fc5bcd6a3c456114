//! What people do all day: they give commands, in any order, and keep a book of them. What they
//! wish for is in `wishes.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use stead_lab::{Lab, LabClient};
use stead_schemas::dispatch::{Accepted, CommandReply};
use stead_schemas::ids::RunId;
use stead_schemas::owner::Owner;
use tokio::sync::watch;
use tokio::time::Instant;

use super::wishes::{self, Wish};
use crate::stage::Desk;
use crate::stage::chance::Chance;

/// How long anybody is without an answer at most, whatever breaks meanwhile.
const ANSWERED_WITHIN: Duration = Duration::from_secs(180);
/// How long people wait for what they asked for before they ask for the next thing, at most.
const PATIENCE_MS: usize = 1_500;
/// How often one asks again.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// A command as it was given. Its id names its owner.
#[derive(Clone)]
pub struct Given {
    what: String,
    pub id: String,
}

impl fmt::Display for Given {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} [{}]", self.what, self.id)
    }
}

/// What was given and what became of it at the door.
#[derive(Clone, Default)]
pub struct Book {
    pages: Arc<Mutex<Pages>>,
}

#[derive(Default)]
struct Pages {
    accepted: Vec<(Given, RunId)>,
    published: Vec<Given>,
    refused: BTreeMap<String, u32>,
    /// How often Coder took what was pressed there.
    pressed: u32,
    /// What was asked for, by kind and verb, and let in.
    verbs: BTreeSet<String>,
}

impl Book {
    /// Commands that were let in, and the run that took each.
    pub fn accepted(&self) -> Vec<(Given, RunId)> {
        self.pages().accepted.clone()
    }

    /// Commands that were left in the inbox.
    pub fn published(&self) -> Vec<Given> {
        self.pages().published.clone()
    }

    /// In a line.
    pub fn summary(&self) -> String {
        let pages = self.pages();
        let refused: u32 = pages.refused.values().sum();
        let (accepted, published) = (pages.accepted.len(), pages.published.len());
        let verbs = pages.verbs.len();
        format!(
            "{accepted} commands of {verbs} verbs let in, {refused} refused, {published} left in \
             the inbox, {} pressed in Coder",
            pages.pressed
        )
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command that is to be given, by whom.
struct Order {
    giver: Owner,
    kind: &'static str,
    verb: &'static str,
    fields: Map<String, Value>,
    given: Given,
}

/// Somebody who gives commands.
pub struct Person {
    desk: Desk,
    lab: Lab,
    chance: Chance,
    book: Book,
    given: u32,
    /// The last run that they know of.
    run: Option<RunId>,
}

impl Person {
    pub fn new(desk: Desk, lab: Lab, chance: Chance, book: Book) -> Self {
        Self { desk, lab, chance, book, given: 0, run: None }
    }

    /// Gives commands until it is enough.
    pub async fn live(mut self, mut enough: watch::Receiver<bool>) {
        while !*enough.borrow() {
            if self.chance.below(12) == 0 {
                self.press().await;
            }
            let wish = self.wish();
            let giver = wish.giver(&self.desk.owner);
            let fields = self.with_id(wish.fields);
            let given = Given {
                what: format!("{}.{} {}", wish.kind, wish.verb, Value::Object(fields.clone())),
                id: fields["id"].as_str().unwrap_or_default().to_owned(),
            };
            let order = Order { giver, kind: wish.kind, verb: wish.verb, fields, given };
            if wish.kind != "run" && self.chance.below(5) == 0 {
                self.publish(order).await;
            } else {
                self.ask(order).await;
            }
            let pause = u64::try_from(self.chance.below(PATIENCE_MS)).unwrap_or_default();
            let pause = tokio::time::sleep(Duration::from_millis(pause));
            tokio::select! {
                () = pause => {}
                _ = enough.changed() => {}
            }
        }
    }

    /// Does in Coder what a developer does there. Whether Coder takes it is Coder's to say.
    async fn press(&mut self) {
        let (what, name, sliders) = wishes::press(&mut self.chance);
        let whose = (self.desk.owner.as_str(), name);
        let coder = LabClient::new(&self.lab.addresses().control_url);
        let taken = coder.press(what, whose, wishes::TEMPLATES[0], &sliders).await;
        self.book.pages().pressed += u32::from(taken.is_ok());
    }

    async fn ask(&mut self, order: Order) {
        let deadline = Instant::now() + ANSWERED_WITHIN;
        let Order { giver, kind, verb, fields, given } = order;
        loop {
            match self.desk.client.command(&giver, kind, verb, &fields).await {
                Ok(CommandReply::Accepted(accepted)) => {
                    return self.note((kind, verb), given, accepted);
                }
                Ok(CommandReply::Refused(refusal)) => {
                    *self.book.pages().refused.entry(refusal.code).or_default() += 1;
                    return;
                }
                Ok(CommandReply::Unavailable { .. }) | Err(_) => {}
            }
            assert!(Instant::now() < deadline, "nobody answers {given}");
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Leaves it in the durable inbox, once more with the same id if that is not sure.
    async fn publish(&self, order: Order) {
        let deadline = Instant::now() + ANSWERED_WITHIN;
        let (client, Order { giver, kind, verb, fields, given }) = (&self.desk.client, order);
        while client.publish_command(&giver, kind, verb, &fields).await.is_err() {
            assert!(Instant::now() < deadline, "the inbox does not take {given}");
            tokio::time::sleep(ASK_EVERY).await;
        }
        self.book.pages().published.push(given);
    }

    fn note(&mut self, (kind, verb): (&str, &str), given: Given, accepted: Accepted) {
        let mut pages = self.book.pages();
        pages.verbs.insert(format!("{kind}.{verb}"));
        if kind != "run" {
            pages.accepted.push((given, accepted.run.clone()));
        }
        drop(pages);
        if matches!(kind, "bucket" | "token" | "workspace") {
            self.run = Some(accepted.run);
        }
    }

    fn with_id(&mut self, fields: Value) -> Map<String, Value> {
        let Value::Object(mut fields) = fields else { panic!("fields are an object") };
        self.given += 1;
        fields.insert("id".to_owned(), json!(format!("{}-{}", self.desk.owner, self.given)));
        fields
    }

    fn wish(&mut self) -> Wish {
        let (owner, run) = (self.desk.owner.as_str(), self.run.as_ref());
        wishes::draw(&self.lab, &mut self.chance, owner, (run, self.given))
    }
}
