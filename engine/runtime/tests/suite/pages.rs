//! Workflows for these tests, as small as they can be.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_core::combine::all;
use stead_core::context::Context;
use stead_core::definition::{Admission, Admitted, Definition, Ending};
use stead_core::run::execution;
use stead_schemas::command::pool::PoolView;
use stead_schemas::dispatch::Route;
use stead_schemas::failure::Failure;
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;
use stead_schemas::step::{Done, Step};

pub static PAGES: &[Definition] = &[
    page("pair", |cx| execution(pair(cx))),
    page("stranger", |cx| execution(stranger(cx))),
    page("nap", |cx| execution(nap(cx))),
    page("clock", |cx| execution(clock(cx))),
    page("stuck", |cx| execution(stuck(cx))),
    page("patient", |cx| execution(patient(cx))),
    page("parent", |cx| execution(parent(cx))),
    page("hasty", |cx| execution(hasty(cx))),
    page("plain", |cx| execution(plain(cx))),
    page("racer", |cx| execution(racer(cx))),
    page("listener", |cx| execution(listener(cx))),
    page("guest", |cx| execution(guest(cx))),
    page("huge", |cx| execution(huge(cx))),
    Definition { admit: admit_more, ..page("bulky", |cx| execution(bulky(cx))) },
    page("relay", |cx| execution(relay(cx))),
    page("fan", |cx| execution(fan(cx))),
    page("makers", |cx| execution(makers(cx))),
    page("fragile", |cx| execution(fragile(cx))),
    page("stillborn", |cx| execution(stillborn(cx))),
    page("brittle", |cx| execution(brittle(cx))),
    Definition { admit: admit_more, ..page("lenient", |cx| execution(lenient(cx))) },
    Definition { admit: admit_more, ..page("shift", |cx| execution(shift(cx))) },
    page("pool", |cx| execution(pool(cx))),
    page("bare", |cx| execution(bare(cx))),
];

const fn page(
    kind: &'static str,
    execute: fn(Context) -> stead_core::definition::Execution,
) -> Definition {
    Definition { kind, public: true, verbs: &["start"], signals: &["go"], execute, admit }
}

macro_rules! step {
    ($name:ident, $text:literal) => {
        #[derive(Serialize, Deserialize)]
        pub struct $name {}
        impl Step for $name {
            const NAME: &'static str = $text;
            type Answer = Done;
        }
    };
}

step!(First, "test.first");
step!(Second, "test.second");
step!(UndoFirst, "test.undo-first");

/// Two steps, the first of which can be taken back. The second may take a minute.
async fn pair(cx: Context) -> Result<Ending, Failure> {
    let start = cx.next_command().await;
    cx.show("at it", &Value::Null);
    let both = cx.operation(async {
        cx.step(First {}).undo(UndoFirst {}).await?;
        cx.step(Second {}).within(Duration::from_secs(60)).await
    });
    let outcome = both.await.map(|_| json!("both"));
    cx.complete(&start, outcome.clone());
    outcome.map(Ending::Completed)
}

/// Takes commands for ever, each of which is two steps. The first can be taken back.
async fn shift(cx: Context) -> Result<Ending, Failure> {
    loop {
        let command = cx.next_command().await;
        let both = cx.operation(async {
            cx.step(First {}).undo(UndoFirst {}).await?;
            cx.step(Second {}).await
        });
        cx.complete(&command, both.await.map(|_| json!("both")));
    }
}

/// Makes something of this size.
#[derive(Serialize, Deserialize)]
pub struct Shape {
    pub size: u32,
}

/// What was made, and what is asked of whoever uses it.
#[derive(Serialize, Deserialize)]
pub struct Shaped {
    pub made: u32,
}

impl Step for Shape {
    const NAME: &'static str = "test.shape";
    type Answer = Shaped;
}

impl Step for Shaped {
    const NAME: &'static str = "test.use";
    type Answer = Done;
}

/// Two steps, of which the second asks for what the first one answered.
async fn relay(cx: Context) -> Result<Ending, Failure> {
    let start = cx.next_command().await;
    let shaped = cx.step(Shape { size: 1 }).await?;
    let made = json!(shaped.made);
    cx.step(shaped).await?;
    cx.complete(&start, Ok(made.clone()));
    Ok(Ending::Completed(made))
}

/// Asks for much.
#[derive(Serialize, Deserialize)]
pub struct Bulk {
    pub text: String,
}

impl Step for Bulk {
    const NAME: &'static str = "test.bulk";
    type Answer = Done;
}

/// Twelve steps at once, each followed by one that asks for a hundred kibibytes.
async fn fan(cx: Context) -> Result<Ending, Failure> {
    cx.next_command().await;
    let one = |size| {
        let cx = cx.clone();
        async move {
            cx.step(Shape { size }).await?;
            cx.step(Bulk { text: "x".repeat(100 * 1024) }).await
        }
    };
    let ends = all(12, (0..12).map(one)).await;
    let done = ends.into_iter().filter(Result::is_ok).count();
    Ok(Ending::Completed(json!(done)))
}

/// Eleven operations at once that wait for a cancel; what takes each back has a hundred kibibytes.
async fn makers(cx: Context) -> Result<Ending, Failure> {
    cx.next_command().await;
    let one = |size| {
        let cx = cx.clone();
        async move {
            let undo = Bulk { text: "x".repeat(100 * 1024) };
            let work = async {
                cx.step(Shape { size }).undo(undo).await?;
                cx.sleep(Duration::from_secs(3600), "a cancel").await;
                cx.step(First {}).await
            };
            cx.operation(work).await
        }
    };
    let ends = all(11, (0..11).map(one)).await;
    let failed = ends.into_iter().filter(Result::is_err).count();
    Ok(Ending::Completed(json!(failed)))
}

/// Panics at an answer that is too much for it.
async fn fragile(cx: Context) -> Result<Ending, Failure> {
    cx.next_command().await;
    let made = cx.step(Shape { size: 1 }).await?.made;
    assert!(made < 9, "{made} is too much");
    Ok(Ending::Completed(Value::Null))
}

/// Panics at once, unless it is told that it is born.
async fn stillborn(cx: Context) -> Result<Ending, Failure> {
    let start = cx.next_command().await;
    assert!(start.payload["born"] == true, "it is never born");
    cx.signal::<u32>("go").await.map(|said| Ending::Completed(json!(said)))
}

/// Panics once its second step is done.
async fn brittle(cx: Context) -> Result<Ending, Failure> {
    cx.next_command().await;
    let both = cx.operation(async {
        cx.step(First {}).undo(UndoFirst {}).await?;
        cx.step(Second {}).await
    });
    assert!(both.await.is_err(), "it is done");
    Ok(Ending::Completed(Value::Null))
}

/// Goes on without what an operation within its own would have made, once that is taken back.
async fn lenient(cx: Context) -> Result<Ending, Failure> {
    cx.next_command().await;
    let all = cx.operation(async {
        let inner = cx.operation(async {
            cx.step(First {}).undo(UndoFirst {}).await?;
            cx.step(Second {}).await
        });
        let _without = inner.await;
        cx.step(Second {}).await
    });
    all.await.map(|_| Ending::Completed(Value::Null))
}

step!(Strange, "other.strange");

/// One step for workers of another system.
async fn stranger(cx: Context) -> Result<Ending, Failure> {
    cx.next_command().await;
    cx.step(Strange {}).await?;
    Ok(Ending::Completed(Value::Null))
}

/// Waits for somebody outside.
#[derive(Serialize, Deserialize)]
pub struct Await {}

impl Step for Await {
    const NAME: &'static str = "test.await";
    type Answer = Done;
    fn route(&self) -> Route {
        Route::Outside
    }
}

/// Waits a minute for a report from outside.
async fn guest(cx: Context) -> Result<Ending, Failure> {
    let start = cx.next_command().await;
    let outcome = cx.step(Await {}).within(Duration::from_secs(60)).await.map(|_| json!("there"));
    cx.complete(&start, outcome.clone());
    outcome.map(Ending::Completed)
}

/// One step, and a result that no message of the log holds.
async fn huge(cx: Context) -> Result<Ending, Failure> {
    let start = cx.next_command().await;
    cx.step(First {}).await?;
    let result = json!("x".repeat(2 << 20));
    cx.complete(&start, Ok(result.clone()));
    Ok(Ending::Completed(result))
}

/// Answers each command with as many bytes as it names.
async fn bulky(cx: Context) -> Result<Ending, Failure> {
    loop {
        let command = cx.next_command().await;
        let bytes = command.payload["bytes"].as_u64().unwrap_or(0);
        cx.complete(&command, Ok(json!("x".repeat(usize::try_from(bytes).expect("a size")))));
    }
}

/// Goes on when somebody has done what it asks for.
async fn stuck(cx: Context) -> Result<Ending, Failure> {
    let start = cx.next_command().await;
    cx.complete(&start, Ok(Value::Null));
    cx.next_command_of_person(Duration::from_secs(3600), "somebody to mend it").await;
    Ok(Ending::Completed(Value::Null))
}

/// Sleeps for an hour.
async fn nap(cx: Context) -> Result<Ending, Failure> {
    let start = cx.next_command().await;
    cx.sleep(Duration::from_secs(3600), "a nap").await;
    cx.complete(&start, Ok(json!("rested")));
    Ok(Ending::Completed(json!("rested")))
}

/// Does by itself, an hour after its command is done, what a `pair` does.
async fn clock(cx: Context) -> Result<Ending, Failure> {
    let start = cx.next_command().await;
    cx.complete(&start, Ok(Value::Null));
    cx.sleep(Duration::from_secs(3600), "the hour").await;
    let both = cx.operation(async {
        cx.step(First {}).undo(UndoFirst {}).await?;
        cx.step(Second {}).await
    });
    both.await.map(|_| Ending::Completed(Value::Null))
}

/// One step with every limit that there is.
async fn patient(cx: Context) -> Result<Ending, Failure> {
    cx.next_command().await;
    let step = cx
        .step(First {})
        .schedule_to_start(Duration::from_secs(60))
        .start_to_close(Duration::from_secs(30))
        .heartbeat(Duration::from_secs(8))
        .attempts(3)
        .pauses(Duration::from_secs(4), Duration::from_secs(8))
        .pause_on_lasting();
    cx.operation(step.into_future()).await?;
    Ok(Ending::Completed(Value::Null))
}

/// Asks a `pair` of another name for the whole of its work, and cancels it with itself.
async fn parent(cx: Context) -> Result<Ending, Failure> {
    let start = cx.next_command().await;
    let work = cx.operation(async { cx.step(StartPair {}).cancel_with_parent().await });
    let outcome = work.await.map(|_| Value::Null);
    cx.complete(&start, outcome.clone());
    outcome.map(Ending::Completed)
}

/// Gives a `pair` of another name its work, and does a step of its own once that is accepted.
async fn hasty(cx: Context) -> Result<Ending, Failure> {
    cx.next_command().await;
    let work = cx.operation(async {
        cx.step(StartPair {}).detached().await?;
        cx.step(Strange {}).await
    });
    work.await.map(|_| Ending::Completed(Value::Null))
}

/// Waits for the whole work of a `pair` of another name, which is its own business.
async fn plain(cx: Context) -> Result<Ending, Failure> {
    cx.next_command().await;
    let work = cx.operation(async { cx.step(StartPair {}).await });
    work.await.map(Ending::Completed)
}

/// The same, but for ten seconds only.
async fn racer(cx: Context) -> Result<Ending, Failure> {
    cx.next_command().await;
    let work = cx.step(StartPair {}).into_future();
    let end = cx.within(Duration::from_secs(10), "the pair", work).await;
    Ok(Ending::Completed(json!(end.is_some())))
}

/// Asks for nothing that has a name.
#[derive(Serialize, Deserialize)]
pub struct Bare;

impl Step for Bare {
    const NAME: &'static str = "test.bare";
    type Answer = Done;
}

async fn bare(cx: Context) -> Result<Ending, Failure> {
    cx.next_command().await;
    cx.step(Bare).await?;
    Ok(Ending::Completed(Value::Null))
}

/// Waits for one signal.
async fn listener(cx: Context) -> Result<Ending, Failure> {
    cx.next_command().await;
    cx.signal::<u32>("go").await.map(|said| Ending::Completed(json!(said)))
}

/// Shows itself as a pool does that is short, and waits.
async fn pool(cx: Context) -> Result<Ending, Failure> {
    let start = cx.next_command().await;
    let view = PoolView {
        wanted: 3,
        by_hand: false,
        ready: 1,
        making: 2,
        given: 0,
        spares: Vec::new(),
        trouble: None,
        again_at: None,
    };
    cx.show("filling", &view);
    cx.complete(&start, Ok(Value::Null));
    cx.signal::<u32>("go").await.map(|said| Ending::Completed(json!(said)))
}

/// A command to a `pair`.
#[derive(Serialize, Deserialize)]
pub struct StartPair {}

impl Step for StartPair {
    const NAME: &'static str = "pair.start";
    type Answer = Value;

    fn route(&self) -> Route {
        let owner = Owner::new("john").expect("a name");
        Route::Entity { kind: "pair".into(), owner, name: "child".into() }
    }
}

fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    assert!(admission.name != "trap", "not that name");
    match admission.living {
        Some(_) => Err(Refusal::new("pair.exists", "it is running")),
        None => admit_more(admission),
    }
}

/// Lets commands to a run in that lives, too. One that says so interrupts what the run is at.
fn admit_more(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let payload = match admission.fields.is_empty() {
        true => Value::Null,
        false => Value::Object(admission.fields.clone()),
    };
    let interrupts = admission.fields.contains_key("interrupts");
    Ok(Admitted { payload, begins: admission.living.is_none(), interrupts })
}
