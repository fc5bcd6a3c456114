//! One owner who gives commands and waits for what becomes of them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};
use stead_nats::SteadClient;
use stead_schemas::dispatch::{Accepted, CommandReply};
use stead_schemas::event::{Event, Outcome};
use stead_schemas::failure::Failure;
use stead_schemas::ids::RunId;
use stead_schemas::owner::Owner;
use stead_schemas::public::RunView;
use stead_schemas::refusal::Refusal;
use stead_schemas::transition::Transition;

use super::events::Events;
use super::wait::until;

/// See the module's head.
#[derive(Clone)]
pub struct Desk {
    pub owner: Owner,
    pub client: SteadClient,
    events: Events,
}

impl Desk {
    pub fn new(owner: &str, client: &SteadClient, events: &Events) -> Self {
        let owner = Owner::new(owner).expect("an owner");
        Self { owner, client: client.clone(), events: events.clone() }
    }

    /// Asks, again and again with the same id while no engine answers.
    pub async fn ask(&self, kind: &str, verb: &str, fields: Value) -> Result<Accepted, Refusal> {
        let fields = with_id(fields);
        let what = format!("{kind}.{verb} of {} is answered", self.owner);
        until(&what, || async {
            let reply = self.client.command(&self.owner, kind, verb, &fields).await;
            match reply {
                Ok(CommandReply::Accepted(accepted)) => Some(Ok(accepted)),
                Ok(CommandReply::Refused(refusal)) => Some(Err(refusal)),
                Ok(CommandReply::Unavailable { .. }) | Err(_) => None,
            }
        })
        .await
    }

    /// Gives a command to the workspace `dev`.
    pub async fn order(&self, verb: &str, fields: Value) -> Accepted {
        let mut fields = fields;
        fields.as_object_mut().expect("fields").entry("name").or_insert_with(|| json!("dev"));
        let asked = self.ask("workspace", verb, fields).await;
        asked.unwrap_or_else(|refusal| panic!("{verb} of {} is refused: {refusal}", self.owner))
    }

    /// Waits until the log says how a command ended.
    pub async fn outcome(&self, accepted: &Accepted) -> Outcome {
        let what = format!("`{}` of {} ends", accepted.command, accepted.run);
        let look = || async {
            let transitions = self.history(&accepted.run).await?;
            let events = transitions.into_iter().flat_map(|transition| transition.events);
            let mut completed = events.filter_map(|event| match event {
                Event::CommandCompleted(completed) => Some(completed),
                _ => None,
            });
            completed.find(|completed| completed.id == accepted.command)
        };
        self.events.until(&what, look).await.outcome
    }

    /// Gives a command to `dev` and expects it to be carried out.
    pub async fn carry_out(&self, verb: &str, fields: Value) -> Accepted {
        let accepted = self.order(verb, fields).await;
        match self.outcome(&accepted).await {
            Outcome::Done(_) => accepted,
            Outcome::Failed(failure) => panic!("{verb} of {}: {failure}", self.owner),
        }
    }

    /// Gives a command to `dev` and expects it to fail.
    pub async fn fail(&self, verb: &str, fields: Value) -> Failure {
        let accepted = self.order(verb, fields).await;
        match self.outcome(&accepted).await {
            Outcome::Failed(failure) => failure,
            Outcome::Done(_) => panic!("{verb} of {} is carried out", self.owner),
        }
    }

    /// A run's history; nothing while the log cannot be read.
    pub async fn history(&self, run: &RunId) -> Option<Vec<Transition>> {
        let recorded = self.client.history(run).await.ok()?.messages;
        Some(recorded.iter().map(|r| Transition::decode(&r.bytes).expect("readable")).collect())
    }

    /// What a run shows of itself.
    pub async fn view(&self, run: &RunId) -> RunView {
        until("a run is shown", || async { self.client.view(run).await.ok().flatten() }).await
    }
}

fn with_id(fields: Value) -> Map<String, Value> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let Value::Object(mut fields) = fields else { panic!("fields are an object") };
    let id = || json!(format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    fields.entry("id").or_insert_with(id);
    fields
}
