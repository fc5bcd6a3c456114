//! `stead demo`: a whole platform on this machine, and the whole life of a workspace on it.
//!
//! Everything is a process of its own, in a temporary folder, on free ports (`sandbox.rs`); this
//! page tells the story.

use serde_json::{Map, Value, json};
use stead_lab::{Inventory, LabClient};
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::command::workspace::KIND;
use stead_schemas::event::Outcome;
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;

use super::run::follow::{Follower, Until, listen};
use super::run::screen::Screen;
use super::run::timeline;
use crate::cli::Global;
use crate::cli::demo::Demo;
use crate::exit::{Ended, with_causes};
use crate::processes::sandbox::{Sandbox, Wanted, soon};
use crate::story::words::{glued, hanging, span};
use crate::{output, signals};

/// Whose workspace it is, and what it is called.
const OWNER: &str = "john";
const NAME: &str = "dev";
/// The partitions of the demo's log.
const PARTITIONS: u16 = 2;

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Demo) -> Result<(), Ended> {
    let mut sandbox = Sandbox::new("stead-demo-")?;
    let told = tokio::select! {
        told = tell(&mut sandbox, global, options) => told,
        ended = interrupted() => Err(ended),
    };
    match told {
        Ok(()) => sandbox.close().await,
        Err(Ended::Interrupted) if !options.once => {
            output::note("\nTaking everything down.");
            sandbox.close().await;
        }
        Err(Ended::Interrupted) => {
            sandbox.close().await;
            return Err(Ended::Interrupted);
        }
        Err(ended) => {
            let kept = sandbox.close_and_keep().await;
            output::note(&format!("the logs are kept in {}", kept.display()));
            return Err(ended);
        }
    }
    Ok(())
}

async fn interrupted() -> Ended {
    match signals::stop() {
        Ok(mut stop) => {
            signals::stopped(&mut stop).await;
            Ended::Interrupted
        }
        Err(error) => Ended::Failed(format!("cannot listen for signals: {error}")),
    }
}

async fn tell(sandbox: &mut Sandbox, global: &Global, options: &Demo) -> Result<(), Ended> {
    say("Setting up a platform: nats-server, lab, engine and workers, each a process of its own.");
    let began = SystemClock.now();
    let wanted = Wanted {
        nats_server: &options.nats_server,
        partitions: PARTITIONS,
        realistic: !options.fast,
        log: "info",
    };
    sandbox.start(&wanted).await?;
    let url = &sandbox.place()?.url;
    say(&format!(
        "Up after {}, on {url} with fsync on every append; the lab stands in for Vault, TrueNAS, \
         Proxmox VE, Coder and the guests.",
        glued(&span(SystemClock.now().since(began)))
    ));
    let global = Global { config: sandbox.place()?.site.clone(), json: false, ..global.clone() };
    sandbox.or_broken(a_life(sandbox, &global)).await?;
    if options.once {
        return Ok(());
    }
    output::line(&what_next(sandbox)?);
    Err(sandbox.broken().await)
}

async fn a_life(sandbox: &Sandbox, global: &Global) -> Result<(), Ended> {
    give(sandbox, "create", json!({ "cpu_cores": 4, "storage_quota_gb": 50 })).await?;
    output::line("\nWhere the time went:\n");
    let which = format!("{OWNER}/{NAME}");
    timeline::print(global, &sandbox.connect().await?, &which).await?;
    give(sandbox, "resize", json!({ "storage_quota_gb": 80 })).await?;
    give(sandbox, "stop", json!({})).await?;
    give(sandbox, "start", json!({})).await?;
    give(sandbox, "delete", json!({})).await?;
    output::line(&format!("\n$ stead replay {which}"));
    say(&super::replay::prove(global, &which).await?);
    nothing_is_left(sandbox).await
}

/// Publishes a command as any NATS client would, and shows what becomes of it.
async fn give(sandbox: &Sandbox, verb: &str, fields: Value) -> Result<(), Ended> {
    let owner = Owner::new(OWNER).map_err(|error| Ended::Usage(error.to_string()))?;
    let client = sandbox.connect().await?;
    let id = format!("demo-{verb}");
    let mut command = Map::new();
    command.insert("id".to_owned(), json!(id));
    command.insert("name".to_owned(), json!(NAME));
    command.extend(fields.as_object().cloned().unwrap_or_default());
    let shown = Value::Object(command.clone());
    output::line(&format!("\n$ nats pub stead.cmd.{OWNER}.{KIND}.{verb} '{shown}'"));
    // Whoever listens before he asks misses nothing.
    let published = listen(&client, &owner, KIND).await?;
    let began = SystemClock.now();
    client.publish_command(&owner, KIND, verb, &command).await?;
    let run = EntityKey::of(KIND, &owner, NAME).run(1);
    let mut follower = Follower::new(&client, run, published, Screen::new(false));
    let outcome = follower.follow(&Until::Command(id)).await?;
    let took = span(SystemClock.now().since(began));
    match outcome {
        Outcome::Done(result) => {
            let phase = result["phase"].as_str().unwrap_or("done");
            output::line(&format!("{verb}: {phase} after {took}"));
            Ok(())
        }
        Outcome::Failed(failure) => Err(Ended::Failed(format!("{verb} failed: {failure}"))),
    }
}

/// The lab holds nothing any more.
async fn nothing_is_left(sandbox: &Sandbox) -> Result<(), Ended> {
    let lab = LabClient::new(&sandbox.place()?.lab);
    output::line("\n$ stead lab inventory");
    let empty = async || lab.inventory().await.ok().filter(Inventory::is_empty);
    if soon("the lab is empty", empty).await.is_ok() {
        say("Nothing is left behind: no machine, no dataset, no share, no Coder workspace.");
        return Ok(());
    }
    let left = lab.inventory().await.map_err(|error| Ended::Failed(with_causes(&error)))?;
    let left = serde_json::to_string_pretty(&left).unwrap_or_default();
    Err(Ended::Failed(format!("something is left behind in the lab:\n{left}")))
}

fn what_next(sandbox: &Sandbox) -> Result<String, Ended> {
    let this = std::env::current_exe().map(|path| path.display().to_string());
    let this = this.unwrap_or_else(|_| "stead".to_owned());
    let place = sandbox.place()?;
    let (site, lab) = (place.site.display(), &place.lab);
    Ok(format!(
        "\nThe platform stays up until Ctrl-C. To work with it in another terminal:\n\n\
         export STEAD_CONFIG={site}\n\
         export STEAD_LAB={lab} STEAD_OWNER={OWNER}\n\
         alias stead={this}\n\n\
         stead workspace create api --wait\n\
         stead workspace list\n\
         stead run timeline api\n\
         stead lab break vault sealed       # now something is wrong,\n\
         stead workspace stop api           # this waits,\n\
         stead run show api                 # this says for what,\n\
         stead lab mend                     # and now it goes on\n\
         stead lab inventory\n"
    ))
}

fn say(text: &str) {
    output::line(&hanging("", text, output::width(), 0));
}
