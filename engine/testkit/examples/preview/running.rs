//! What the guide says and does not show: the example is killed between two commands, and goes on
//! where it was; a preview that is extended for ever keeps its history short.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use stead_nats::testing::NatsServer;
use stead_nats::{PlatformSettings, SteadClient, open_platform};
use stead_schemas::event::Event;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::transition::Transition;
use stead_testkit::{Kit, Trouble, World};
use tokio::time::Instant;

use crate::PARTITIONS;
use crate::tests::Sites;
use crate::workflow::PREVIEW;

/// Says to a process of this program that it is the example, and no test.
const IS_EXAMPLE: &str = "PREVIEW_IS_RUNNING";
/// How long one step on the way may take, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// The example as a process of its own, which is killed without a word.
struct Example {
    child: Child,
    /// What it says more. Nobody reads that; but it must not be cut off either.
    _says: Lines<BufReader<ChildStdout>>,
}

impl Example {
    /// Starts it and waits until it says that commands are taken, as a reader of the guide does.
    fn start(url: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "--nocapture", "running::the_example_itself"]);
        command.env("STEAD_NATS_URL", url).env(IS_EXAMPLE, "yes").stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut says = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let ready = format!("commands are taken at {url}");
        let mut read = says.by_ref().map_while(Result::ok);
        assert!(read.any(|line| line.ends_with(&ready)), "it has ended");
        Self { child, _says: says }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends when it is killed");
    }
}

/// Is the example where it is asked to be, until that is killed.
#[test]
fn the_example_itself() {
    if std::env::var_os(IS_EXAMPLE).is_some() {
        crate::main().expect("it takes part");
    }
}

fn john() -> Owner {
    Owner::new("john").expect("a name")
}

async fn publish(client: &SteadClient, verb: &str, fields: Value) {
    let fields = fields.as_object().expect("fields");
    client.publish_command(&john(), "preview", verb, fields).await.expect("it is kept");
}

/// The events of a run, as soon as there is one like this.
async fn until(client: &SteadClient, run: &RunId, is_it: fn(&Event) -> bool) -> Vec<Event> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let messages = client.history(run).await.map(|found| found.messages).unwrap_or_default();
        let read = |bytes: &[u8]| Transition::decode(bytes).expect("it can be read").events;
        let events: Vec<Event> = messages.iter().flat_map(|it| read(&it.bytes)).collect();
        if events.iter().any(is_it) {
            return events;
        }
        assert!(Instant::now() < deadline, "it stands at {:?}", events.last());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_two_commands_it_goes_on_where_it_was() {
    let server = NatsServer::start().await;
    let example = Example::start(&server.url());
    let settings = PlatformSettings { partitions: Some(PARTITIONS), replicas: 1 };
    let platform = open_platform(&server.connect().await, settings).await.expect("a platform");
    let client = SteadClient::new(&platform);
    let run = EntityKey::of("preview", &john(), "login-page").run(1);
    publish(&client, "open", json!({ "name": "login-page", "branch": "login" })).await;
    until(&client, &run, |event| matches!(event, Event::CommandCompleted(_))).await;
    drop(example);
    let _again = Example::start(&server.url());
    publish(&client, "close", json!({ "name": "login-page" })).await;
    let events = until(&client, &run, |event| matches!(event, Event::RunCompleted(_))).await;
    let steps = events.iter().filter_map(|event| match event {
        Event::StepScheduled(step) => Some(&*step.step),
        _ => None,
    });
    let steps: Vec<&str> = steps.collect();
    assert_eq!(steps, ["sites.publish", "sites.await-page", "sites.withdraw"], "each once");
}

fn opened() -> Kit<Sites> {
    let kit = Kit::of(&[PREVIEW]).entity("preview", "john", "login-page");
    kit.command("open", json!({ "branch": "login" }))
}

#[test]
fn a_preview_that_is_extended_for_ever_keeps_its_history_short() {
    let kit = (0..240).fold(opened(), |kit, _| kit.command("extend", json!({})));
    let (stage, _) = kit.command("close", json!({})).leaves([]).play(&Trouble::default());
    let run = stage.latest(&EntityKey::of("preview", &john(), "login-page")).expect("a run");
    let stretches = stage.stretches(&run);
    assert!(stretches.len() > 1 && stretches.iter().all(|length| *length < 240), "{stretches:?}");
    assert!(stage.world.things().is_empty());
}
