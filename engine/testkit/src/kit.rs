//! A workflow, and the commands that prove it.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::time::Duration;

use serde_json::{Map, Value};
use stead_core::definition::Definition;
use stead_schemas::dispatch::{Caller, EntityCommand, Route};
use stead_schemas::event::{Outcome, Signal};
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;
use stead_schemas::site::Site;
use stead_schemas::step::Step;

use crate::play::play;
use crate::stage::Stage;
use crate::trouble::Trouble;
use crate::world::World;

/// What is done to a workflow, one thing after the other, and what there is to be afterwards.
pub struct Kit<W> {
    definitions: Vec<Definition>,
    site: Site,
    entity: Option<(String, Owner, String)>,
    moments: Vec<Moment>,
    world: PhantomData<fn() -> W>,
}

/// One thing that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// A command, a signal, or time that passes.
    pub act: Act,
    /// What the world must hold afterwards, if all goes well and it was said.
    pub leaves: Option<BTreeSet<String>>,
}

/// What is done in a [`Moment`].
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// A command is given and carried out.
    Command(EntityCommand),
    /// So much time passes.
    Pass(Duration),
    /// Somebody sends a signal to the run of this entity.
    Signal(EntityKey, Signal),
}

/// What came of one moment of a play.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// What was done, in words.
    pub what: String,
    /// How it ended.
    pub ended: Ended,
    /// What there was before.
    pub before: BTreeSet<String>,
    /// What there was after.
    pub after: BTreeSet<String>,
}

/// How a moment ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// The command was carried out, or refused later, or has failed.
    Command(Outcome),
    /// The command was refused at the door.
    Refused(Refusal),
    /// The command waits for a signal that comes later.
    Waits,
    /// Time has passed.
    Passed,
    /// Time has passed, and the run was cancelled meanwhile.
    Interrupted,
}

impl<W: World> Kit<W> {
    /// A kit of these workflows: the one that is meant, and whichever entities it asks.
    #[must_use]
    pub fn of(definitions: &[Definition]) -> Self {
        let (definitions, site) = (definitions.to_vec(), Site::default());
        Self { definitions, site, entity: None, moments: Vec::new(), world: PhantomData }
    }

    /// The facts that orders are completed with.
    #[must_use]
    pub fn site(mut self, site: Site) -> Self {
        self.site = site;
        self
    }

    /// Whom the following commands are for.
    ///
    /// # Panics
    /// If the owner is none.
    #[must_use]
    pub fn entity(mut self, kind: &str, owner: &str, name: &str) -> Self {
        let owner = Owner::new(owner).unwrap_or_else(|error| panic!("`{owner}`: {error}"));
        self.entity = Some((kind.to_owned(), owner, name.to_owned()));
        self
    }

    /// Gives a command.
    ///
    /// # Panics
    /// If nobody is named whom it is for, or its fields are no object.
    #[must_use]
    pub fn command(mut self, verb: &str, fields: Value) -> Self {
        let Some((kind, owner, name)) = self.entity.clone() else { panic!("whom is it for?") };
        let Value::Object(fields) = fields else { panic!("a command is one JSON object") };
        self.push(kind, owner, name, verb.to_owned(), fields);
        self
    }

    /// Gives the command that the step `S` is to another entity.
    ///
    /// # Panics
    /// If the step is none.
    #[must_use]
    pub fn asks<S: Step>(mut self, request: S) -> Self {
        let fields = serde_json::to_value(&request).unwrap_or_default();
        let (Route::Entity { kind, owner, name }, Value::Object(fields)) =
            (request.route(), fields)
        else {
            panic!("{} is no command to an entity", S::NAME);
        };
        let verb = S::NAME.split_once('.').map_or(S::NAME, |(_, verb)| verb);
        self.push(kind, owner, name, verb.to_owned(), fields);
        self
    }

    /// Sends a signal. A command that waits for one goes on with it: until then, no time passes for
    /// it but what the kit lets pass.
    ///
    /// # Panics
    /// If nobody is named whom it is for.
    #[must_use]
    pub fn signal(mut self, name: &str, payload: Value) -> Self {
        let Some((kind, owner, entity)) = &self.entity else { panic!("whom is it for?") };
        let act = Act::Signal(
            EntityKey::of(kind, owner, entity),
            Signal { name: name.to_owned(), payload },
        );
        self.moments.push(Moment { act, leaves: None });
        self
    }

    /// Lets time pass.
    #[must_use]
    pub fn passes(mut self, span: Duration) -> Self {
        self.moments.push(Moment { act: Act::Pass(span), leaves: None });
        self
    }

    /// What the world must hold now, if all goes well.
    ///
    /// # Panics
    /// If nothing has been done yet.
    #[must_use]
    pub fn leaves<const N: usize>(mut self, things: [&str; N]) -> Self {
        let Some(moment) = self.moments.last_mut() else { panic!("nothing has been done yet") };
        moment.leaves = Some(things.map(ToOwned::to_owned).into());
        self
    }

    /// What is done.
    #[must_use]
    pub fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// The entity that is spoken to first: it is its story that is told.
    #[must_use]
    pub fn hero(&self) -> Option<EntityKey> {
        self.moments.iter().find_map(|moment| match &moment.act {
            Act::Command(command) => Some(command.key()),
            Act::Pass(_) | Act::Signal(..) => None,
        })
    }

    /// A stage on which nothing has happened, for whoever wants to look closer.
    #[must_use]
    pub fn stage(&self, trouble: &Trouble) -> Stage<W> {
        Stage::new(&self.definitions, self.site.clone(), trouble.clone())
    }

    /// Does one thing after the other.
    ///
    /// # Panics
    /// If a command is never completed, or a run decides otherwise when it is replayed.
    pub fn play(&self, trouble: &Trouble) -> (Stage<W>, Vec<Played>) {
        let (player, played) = play(self, trouble);
        (player.stage, played)
    }

    fn push(
        &mut self,
        kind: String,
        owner: Owner,
        name: String,
        verb: String,
        fields: Map<String, Value>,
    ) {
        let id = format!("command-{}", self.moments.len() + 1);
        let command = EntityCommand { kind, owner, name, verb, fields, id, by: Caller::Api };
        self.moments.push(Moment { act: Act::Command(command), leaves: None });
    }
}

impl Ended {
    /// Whether it went well.
    #[must_use]
    pub const fn is_well(&self) -> bool {
        matches!(self, Self::Command(Outcome::Done(_)) | Self::Waits | Self::Passed)
    }
}

impl core::fmt::Display for Ended {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Command(Outcome::Done(_)) => out.write_str("done"),
            Self::Command(Outcome::Failed(failure)) => write!(out, "failed: {failure}"),
            Self::Refused(refusal) => write!(out, "refused: {refusal}"),
            Self::Waits => out.write_str("waiting for a signal"),
            Self::Passed => out.write_str("passed"),
            Self::Interrupted => out.write_str("interrupted by a cancel"),
        }
    }
}
