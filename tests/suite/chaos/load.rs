//! What people do all day: commands of every kind, to their own things, in any order.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use stead_lab::Lab;
use stead_schemas::dispatch::{Accepted, CommandReply};
use stead_schemas::ids::RunId;
use tokio::sync::watch;
use tokio::time::Instant;

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
        format!("{accepted} commands let in, {refused} refused, {published} left in the inbox")
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What somebody wants.
struct Wish {
    kind: &'static str,
    verb: &'static str,
    fields: Value,
}

fn wish(kind: &'static str, verb: &'static str, fields: Value) -> Wish {
    Wish { kind, verb, fields }
}

/// Somebody who gives commands.
pub struct Person {
    desk: Desk,
    lab: Lab,
    chance: Chance,
    book: Book,
    given: u32,
    /// The last run of a workspace of theirs that they know of.
    run: Option<RunId>,
}

impl Person {
    pub fn new(desk: Desk, lab: Lab, chance: Chance, book: Book) -> Self {
        Self { desk, lab, chance, book, given: 0, run: None }
    }

    /// Gives commands until it is enough.
    pub async fn live(mut self, mut enough: watch::Receiver<bool>) {
        while !*enough.borrow() {
            let wish = self.wish();
            let fields = self.with_id(wish.fields);
            let given = Given {
                what: format!("{}.{} {}", wish.kind, wish.verb, Value::Object(fields.clone())),
                id: fields["id"].as_str().unwrap_or_default().to_owned(),
            };
            if wish.kind != "run" && self.chance.below(5) == 0 {
                self.publish(wish.kind, wish.verb, &fields, given).await;
            } else {
                self.ask(wish.kind, wish.verb, &fields, given).await;
            }
            let pause = u64::try_from(self.chance.below(PATIENCE_MS)).unwrap_or_default();
            let pause = tokio::time::sleep(Duration::from_millis(pause));
            tokio::select! {
                () = pause => {}
                _ = enough.changed() => {}
            }
        }
    }

    async fn ask(&mut self, kind: &str, verb: &str, fields: &Map<String, Value>, given: Given) {
        let deadline = Instant::now() + ANSWERED_WITHIN;
        loop {
            match self.desk.client.command(&self.desk.owner, kind, verb, fields).await {
                Ok(CommandReply::Accepted(accepted)) => return self.note(kind, given, accepted),
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
    async fn publish(&self, kind: &str, verb: &str, fields: &Map<String, Value>, given: Given) {
        let deadline = Instant::now() + ANSWERED_WITHIN;
        let (client, owner) = (&self.desk.client, &self.desk.owner);
        while client.publish_command(owner, kind, verb, fields).await.is_err() {
            assert!(Instant::now() < deadline, "the inbox does not take {given}");
            tokio::time::sleep(ASK_EVERY).await;
        }
        self.book.pages().published.push(given);
    }

    fn note(&mut self, kind: &str, given: Given, accepted: Accepted) {
        if kind == "workspace" {
            self.run = Some(accepted.run.clone());
        }
        if kind != "run" {
            self.book.pages().accepted.push((given, accepted.run));
        }
    }

    fn with_id(&mut self, fields: Value) -> Map<String, Value> {
        let Value::Object(mut fields) = fields else { panic!("fields are an object") };
        self.given += 1;
        fields.insert("id".to_owned(), json!(format!("{}-{}", self.desk.owner, self.given)));
        fields
    }

    fn wish(&mut self) -> Wish {
        let name = ["one", "two"][self.chance.below(2)];
        let some = 1 + self.chance.below(4);
        match self.chance.below(30) {
            0..=6 => wish("workspace", "create", json!({ "name": name, "cpu_cores": some })),
            7 => wish("workspace", "start", json!({ "name": name })),
            8 => wish("workspace", "stop", json!({ "name": name })),
            9 => wish("workspace", "restart", json!({ "name": name })),
            10 => wish("workspace", "resize", json!({ "name": name, "cpu_cores": 2 * some })),
            11 => {
                let fields = json!({ "name": name, "storage_quota_gb": 20 + some });
                wish("workspace", "resize", fields)
            }
            12 | 13 => wish("workspace", "rebuild", json!({ "name": name })),
            14 => wish("workspace", "update", json!({ "name": name })),
            15 | 16 => wish("workspace", "delete", json!({ "name": name })),
            17 => wish("workspace", "delete", json!({ "name": name, "now": true })),
            18 => wish("workspace", "undelete", json!({ "name": name })),
            19 | 20 => wish("bucket", "create", json!({ "name": name, "quota_gb": some })),
            21 => wish("bucket", "resize", json!({ "name": name, "quota_gb": 5 + some })),
            22 => self.fill(name),
            23 => wish("bucket", "delete", json!({ "name": name, "confirm": name })),
            24 => wish("home", "snapshot", json!({ "name": "home" })),
            25 => wish("probe", "start", json!({ "name": format!("probe-{}", self.given) })),
            26 => self.plan(name),
            27 => wish("schedule", "trigger", json!({ "name": name })),
            28 => wish("schedule", "delete", json!({ "name": name })),
            _ => self.by_hand(),
        }
    }

    /// A guest writes something.
    fn fill(&mut self, name: &'static str) -> Wish {
        let bucket = format!("{}-{name}", self.desk.owner);
        self.lab.put_objects(&bucket, &[("one", 1), ("two", 2)]);
        wish("bucket", "attach", json!({ "name": name, "workspace": name }))
    }

    fn plan(&mut self, name: &'static str) -> Wish {
        let command = json!({ "kind": "workspace", "name": name, "verb": "restart" });
        let fields = json!({ "name": name, "cron": "* * * * *", "command": command });
        wish("schedule", "create", fields)
    }

    fn by_hand(&mut self) -> Wish {
        let Some(run) = self.run.clone() else {
            return wish("home", "snapshot", json!({ "name": "home" }));
        };
        let verb = ["cancel", "pause", "resume", "retry"][self.chance.below(4)];
        wish("run", verb, json!({ "run": run, "why": "chaos" }))
    }
}
