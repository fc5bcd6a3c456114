//! The workflows of a simulated world, beside the real probe: a house that is built, changed and
//! razed, the stock that houses draw on, and the crew that one sends for (`crew.rs`). Between them
//! they use every way to wait, alone and together, operations within others, undos, patience with a
//! step, children that end with their parent, of which some wait for their turn at one that all share,
//! children that do not, and changes; no step that pauses its run on lasting trouble.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_core::combine::{Either, all, both, race};
use stead_core::context::{Command, Context};
use stead_core::definition::{Admission, Admitted, Definition, Ending};
use stead_core::run::execution;
use stead_schemas::dispatch::Route;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;
use stead_schemas::step::{Done, Step};

use crate::crew::{CREW, Dig};

/// Every workflow of a world.
pub static PAGES: &[Definition] = &[CREW, HOUSE, STOCK, stead_workflows::probe::DEFINITION];

/// How long it takes to sweep up.
const SWEEPING_MS: u64 = 500;

/// How long a history may grow before its run begins anew: soon, so that it happens.
const ANEW_AFTER: u64 = 8;

/// Made, changed and razed by whoever likes.
const HOUSE: Definition = Definition {
    kind: "house",
    public: true,
    verbs: &["build", "extend", "touch", "raze"],
    signals: &["paint"],
    execute: |cx| execution(house(cx)),
    admit: admit_house,
};

/// Made for the first house of its owner, gone with the last one; takes commands from houses.
const STOCK: Definition = Definition {
    kind: "stock",
    public: false,
    verbs: &["take", "give"],
    signals: &[],
    execute: |cx| execution(stock(cx)),
    admit: admit_stock,
};

/// The order of a house.
#[derive(Clone, Serialize, Deserialize)]
pub struct Build {
    /// How many rooms.
    pub rooms: u32,
    /// How long the mortar dries between them.
    pub dry_ms: u64,
    /// How long the house stands if nobody asks for anything.
    pub stands_ms: u64,
    /// Whether an inspector must report before it is ready.
    pub inspected: bool,
    /// Whether a painter is waited for, though not for long.
    #[serde(default)]
    pub painted: bool,
    /// How long the crew digs in the garden, and how long the house waits for that; none if nothing
    /// is said.
    #[serde(default)]
    pub garden_ms: Option<(u64, u64)>,
}

/// A house that stands.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct House {
    /// What it has made outside.
    pub things: BTreeSet<String>,
    stands_ms: u64,
    extended: u32,
}

/// What a stock knows of itself.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Stock {
    /// What it has made outside.
    pub things: BTreeSet<String>,
    /// The houses that draw on it.
    pub houses: BTreeSet<String>,
}

/// Makes a thing outside. Asked again, it is there already.
#[derive(Clone, Serialize, Deserialize)]
pub struct Make {
    /// Its name outside.
    pub thing: String,
    /// Whose it is.
    pub marker: String,
    /// Anything: it may be changed by hand.
    pub colour: u64,
}

impl Step for Make {
    const NAME: &'static str = "outside.make";
    type Answer = Done;
}

/// Takes a thing away. Done too if it is not there.
#[derive(Clone, Serialize, Deserialize)]
pub struct Unmake {
    /// Its name outside.
    pub thing: String,
    /// Whose it is.
    pub marker: String,
}

impl Step for Unmake {
    const NAME: &'static str = "outside.unmake";
    type Answer = Done;
}

/// An inspector reports by himself.
#[derive(Clone, Serialize, Deserialize)]
pub struct Inspect {}

impl Step for Inspect {
    const NAME: &'static str = "outside.inspect";
    type Answer = Done;

    fn route(&self) -> Route {
        Route::Outside
    }
}

/// Asks the owner's stock for what a house needs.
#[derive(Clone, Serialize, Deserialize)]
struct Take {
    house: String,
    owner: Owner,
}

/// Gives back what the house took. Done too if it took nothing.
#[derive(Clone, Serialize, Deserialize)]
struct Give {
    house: String,
    owner: Owner,
}

impl Step for Take {
    const NAME: &'static str = "stock.take";
    type Answer = Done;

    fn route(&self) -> Route {
        stock_of(&self.owner)
    }
}

impl Step for Give {
    const NAME: &'static str = "stock.give";
    type Answer = Done;

    fn route(&self) -> Route {
        stock_of(&self.owner)
    }
}

fn stock_of(owner: &Owner) -> Route {
    Route::Entity { kind: "stock".into(), owner: owner.clone(), name: "stock".into() }
}

async fn house(cx: Context) -> Result<Ending, Failure> {
    let mut house = match cx.carried::<House>()? {
        Some(house) => house,
        None => first_day(&cx).await?,
    };
    loop {
        cx.show("standing", &house);
        if cx.transitions() > ANEW_AFTER && !cx.has_command() {
            return Ok(Ending::ContinueAsNew(as_value(&house)));
        }
        let span = Duration::from_millis(house.stands_ms);
        let Some(command) = cx.next_command_within(span, "the lease of the land").await else {
            raze(&cx, &house).await?;
            return Ok(Ending::Completed(Value::Null));
        };
        match command.verb.as_str() {
            "touch" => cx.complete(&command, Ok(json!({}))),
            "extend" => extend(&cx, &mut house, &command).await,
            _ => {
                raze(&cx, &house).await?;
                cx.complete(&command, Ok(json!({})));
                return Ok(Ending::Completed(Value::Null));
            }
        }
    }
}

async fn first_day(cx: &Context) -> Result<House, Failure> {
    let command = cx.next_command().await;
    let order: Build = command.read()?;
    cx.show("building", &House::default());
    let built = cx.operation(build(cx, &order)).await;
    cx.complete(&command, built.clone().map(|house| as_value(&house)));
    built
}

async fn build(cx: &Context, order: &Build) -> Result<House, Failure> {
    let (house, owner) = (cx.run().to_string(), cx.owner());
    cx.step(Take { house: house.clone(), owner: owner.clone() })
        .undo(Give { house, owner })
        .cancel_with_parent()
        .await?;
    let mut built = House { stands_ms: order.stands_ms, ..House::default() };
    if cx.changed("houses have cellars") {
        built.things.insert(patiently(cx, "cellar").await?);
    }
    let (left, right) = (named(cx, "left"), named(cx, "right"));
    let walls = both(make(cx, &left), make(cx, &right)).await;
    walls.0.and(walls.1)?;
    built.things.extend([left, right]);
    let rooms = (0..order.rooms).map(|number| room(cx, order, number));
    for room in all(2, rooms).await {
        built.things.insert(room?);
    }
    built.things.extend(garden(cx, order).await);
    if order.inspected {
        cx.step(Inspect {}).within(Duration::from_secs(20)).await?;
    }
    if order.painted {
        let painter = cx.signal::<u64>("paint");
        cx.within(Duration::from_secs(6), "the painter may come", painter).await;
    }
    Ok(built)
}

async fn room(cx: &Context, order: &Build, number: u32) -> Result<String, Failure> {
    cx.sleep(Duration::from_millis(order.dry_ms), "the mortar dries").await;
    let thing = named(cx, &format!("room-{number}"));
    make(cx, &thing).await.map(|_| thing)
}

/// A garden, if it is made in time; otherwise there is none, and the house stands all the same.
async fn garden(cx: &Context, order: &Build) -> Option<String> {
    let (takes_ms, patience_ms) = order.garden_ms?;
    let thing = named(cx, "garden");
    let laid = cx.operation(async {
        make(cx, &thing).await?;
        let dig = Dig { owner: cx.owner(), house: cx.name(), takes_ms };
        cx.step(dig).cancel_with_parent().await
    });
    let patience = cx.sleep(Duration::from_millis(patience_ms), "the garden may be laid");
    match race(laid, patience).await {
        Either::First(laid) => laid.ok().map(|_| thing),
        Either::Second(()) => None,
    }
}

/// Makes a thing, and is patient with that in every way there is.
async fn patiently(cx: &Context, what: &str) -> Result<String, Failure> {
    let (thing, marker) = (named(cx, what), cx.run().to_string());
    cx.step(Make { thing: thing.clone(), marker: marker.clone(), colour: 0 })
        .undo(Unmake { thing: thing.clone(), marker })
        .within(Duration::from_secs(60))
        .schedule_to_start(Duration::from_secs(30))
        .start_to_close(Duration::from_secs(8))
        .heartbeat(Duration::from_secs(5))
        .attempts(3)
        .retry_for(Duration::from_secs(20))
        .pauses(Duration::from_millis(200), Duration::from_secs(5))
        .await
        .map(|_| thing)
}

pub(crate) async fn make(cx: &Context, thing: &str) -> Result<Done, Failure> {
    let (thing, marker) = (thing.to_owned(), cx.run().to_string());
    cx.step(Make { thing: thing.clone(), marker: marker.clone(), colour: 0 })
        .undo(Unmake { thing, marker })
        .within(Duration::from_secs(40))
        .await
}

async fn extend(cx: &Context, house: &mut House, command: &Command) {
    cx.show("extending", &house);
    let thing = named(cx, &format!("wing-{}", house.extended));
    let made = cx.operation(async {
        let made = make(cx, &thing).await?;
        // Whoever sweeps up behind the builders needs no telling when to stop.
        let house = format!("{}-swept", cx.name());
        cx.step(Dig { owner: cx.owner(), house, takes_ms: SWEEPING_MS }).detached().await?;
        Ok(made)
    });
    let made = made.await;
    if made.is_ok() {
        house.things.insert(thing);
        house.extended += 1;
    }
    cx.complete(command, made.map(|done| as_value(&done)));
}

async fn raze(cx: &Context, house: &House) -> Result<(), Failure> {
    cx.show("razing", &house);
    for thing in &house.things {
        let marker = cx.run().to_string();
        // Where it was abandoned the thing stays, and the rest goes.
        cx.take_back(Unmake { thing: thing.clone(), marker }).await.ok();
    }
    cx.take_back(Give { house: cx.run().to_string(), owner: cx.owner() }).await?;
    cx.show("razed", &House::default());
    Ok(())
}

async fn stock(cx: Context) -> Result<Ending, Failure> {
    let mut stock: Stock = cx.carried()?.unwrap_or_default();
    loop {
        cx.show("open", &stock);
        if cx.transitions() > ANEW_AFTER && !cx.has_command() {
            return Ok(Ending::ContinueAsNew(as_value(&stock)));
        }
        let command = cx.next_command().await;
        let outcome = match command.verb.as_str() {
            "take" => take(&cx, &mut stock, &command).await,
            _ => give(&cx, &mut stock, &command).await,
        };
        cx.complete(&command, outcome);
        if stock.things.is_empty() && !cx.has_command() {
            cx.show("closed", &stock);
            return Ok(Ending::Completed(Value::Null));
        }
    }
}

async fn take(cx: &Context, stock: &mut Stock, command: &Command) -> Result<Value, Failure> {
    let ask: Take = command.read()?;
    let (shelf, bill) = (named(cx, "shelf"), bill_of(cx, &ask.house));
    let taken = cx.operation(async {
        if stock.things.is_empty() {
            make(cx, &shelf).await?;
        }
        make(cx, &bill).await
    });
    taken.await?;
    stock.things.extend([shelf, bill]);
    stock.houses.insert(ask.house);
    Ok(json!({}))
}

async fn give(cx: &Context, stock: &mut Stock, command: &Command) -> Result<Value, Failure> {
    let ask: Give = command.read()?;
    stock.houses.remove(&ask.house);
    let bill = bill_of(cx, &ask.house);
    if stock.things.remove(&bill) {
        cx.take_back(Unmake { thing: bill, marker: cx.run().to_string() }).await.ok();
    }
    if stock.houses.is_empty() {
        for thing in std::mem::take(&mut stock.things) {
            cx.take_back(Unmake { thing, marker: cx.run().to_string() }).await.ok();
        }
    }
    Ok(json!({}))
}

/// What a stock notes of each house that draws on it.
fn bill_of(cx: &Context, house: &str) -> String {
    named(cx, &format!("bill-{house}"))
}

/// Two lives of one entity use the same names outside; only the marker tells them apart.
pub(crate) fn named(cx: &Context, what: &str) -> String {
    format!("{}/{}/{what}", cx.owner().as_str(), cx.name())
}

fn admit_house(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let begins = admission.verb == "build";
    if begins && admission.living.is_some() {
        return Err(Refusal::new("house.exists", "the house stands").field("name"));
    }
    let payload = Value::Object(admission.fields.clone());
    Ok(Admitted { payload, begins, interrupts: admission.verb == "raze" })
}

fn admit_stock(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let payload = Value::Object(admission.fields.clone());
    Ok(Admitted { payload, begins: true, interrupts: false })
}

/// The failure that a worker reports for what will never work.
#[must_use]
pub fn cursed(thing: &str) -> Failure {
    Failure::new(Class::Permanent, format!("nobody can make {thing}"))
}

fn as_value(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
