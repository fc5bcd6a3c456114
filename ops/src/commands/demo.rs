//! `stead demo`: a whole platform on this machine, and the whole life of a workspace on it.
//!
//! Everything is a process of its own, in a temporary folder, on free ports (`sandbox.rs`); this
//! page tells the story, `live.rs` shows the steps of one command.

use std::time::Duration;

use serde_json::{Map, Value, json};
use stead_lab::{Credentials, LabClient};
use stead_nats::SteadClient;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::command::workspace::KIND;
use stead_schemas::dispatch::Caller;
use stead_schemas::event::{Event, Outcome};
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::step::home::KIND as HOME;
use stead_schemas::subjects;
use tokio::time::{Instant, timeout};

use super::run::timeline;
use crate::cli::Global;
use crate::cli::demo::Demo;
use crate::exit::{Ended, with_causes};
use crate::processes::broker::version;
use crate::processes::sandbox::{Sandbox, Wanted};
use crate::story::words::{glued, hanging, span};
use crate::{output, signals};

mod live;
mod seen;

use live::{Lines, Live};
use seen::{News, Seen};

/// How long a command may take, on the slowest machine.
const COMMAND_WITHIN: Duration = Duration::from_secs(120);
/// Whose workspace it is, and what it is called.
const OWNER: &str = "john";
const NAME: &str = "dev";
/// The partitions of the demo's log.
const PARTITIONS: u16 = 2;

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Demo) -> Result<(), Ended> {
    // Said before anything is started: a wrong path is the likeliest mistake.
    version(&options.nats_server).await?;
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
        servers: 1,
        partitions: PARTITIONS,
        realistic: !options.fast,
        systems: &[],
        log: "info",
    };
    let client = sandbox.start(&wanted).await?;
    let url = &sandbox.place()?.url;
    say(&format!(
        "Up after {}, on {url} with fsync on every append; the lab stands in for Vault, TrueNAS, \
         Proxmox VE, Coder and the guests.",
        glued(&span(SystemClock.now().since(began)))
    ));
    let global = Global { json: false, ..global.clone() };
    sandbox.or_broken(a_life(sandbox, &client, &global)).await?;
    if options.once {
        return Ok(());
    }
    output::line(&what_next(sandbox)?);
    Err(sandbox.broken().await)
}

async fn a_life(sandbox: &Sandbox, client: &SteadClient, global: &Global) -> Result<(), Ended> {
    let owner = Owner::new(OWNER).map_err(|error| Ended::Usage(error.to_string()))?;
    let run = EntityKey::of(KIND, &owner, NAME).run(1);
    // Whoever listens before he asks misses nothing.
    let seen = Seen::listen(client).await?;
    let mut life = Life { client, owner, run, seen };
    life.give("create", json!({ "cpu_cores": 4, "storage_quota_gb": 50 })).await?;
    output::line("\nWhere the time went, with what home and VMID ledger did for it:\n");
    let which = format!("{OWNER}/{NAME}");
    timeline::print(global, client, &which).await?;
    for (verb, fields) in [
        ("resize", json!({ "storage_quota_gb": 80 })),
        ("stop", json!({})),
        ("start", json!({})),
        ("delete", json!({})),
    ] {
        life.give(verb, fields).await?;
    }
    output::line(&format!("\n$ stead replay {which}"));
    say(&super::replay::prove(client, &which).await?);
    life.until_over().await?;
    nothing_is_left(&sandbox.place()?.lab).await
}

/// The workspace's life.
struct Life<'a> {
    client: &'a SteadClient,
    owner: Owner,
    run: RunId,
    seen: Seen,
}

impl Life<'_> {
    /// Publishes a command as any NATS client would, and shows what becomes of it.
    async fn give(&mut self, verb: &str, fields: Value) -> Result<(), Ended> {
        let mut command = Map::from_iter([("name".to_owned(), json!(NAME))]);
        command.extend(fields.as_object().cloned().unwrap_or_default());
        let shown = Value::Object(command.clone());
        let subject = subjects::command(&self.owner, KIND, verb);
        output::line(&hanging(
            "\n$ ",
            &format!("nats pub {subject} '{shown}'"),
            output::width(),
            4,
        ));
        // What another page draws afterwards need not be listed here.
        let lines = if verb == "create" { Lines::Own } else { Lines::All };
        let mut live = Live::new(self.run.clone(), SystemClock.now(), lines);
        let began = Instant::now();
        let message = self.client.publish_command(&self.owner, KIND, verb, &command).await?;
        let outcome = timeout(COMMAND_WITHIN, self.follow(&mut live, message)).await;
        let took = began.elapsed();
        match outcome {
            Ok(Ok(Outcome::Done(result))) => {
                live.end(took, result["phase"].as_str().unwrap_or("done"));
                Ok(())
            }
            Ok(Ok(Outcome::Failed(failure))) => {
                Err(Ended::Failed(format!("{verb} failed: {failure}")))
            }
            Ok(Err(ended)) => Err(ended),
            Err(_) => Err(self.too_long(verb).await),
        }
    }

    /// Shows what happens until the command has an outcome that is this message of the inbox.
    async fn follow(&mut self, live: &mut Live, message: u64) -> Result<Outcome, Ended> {
        let mut id = None;
        loop {
            let (run, moment) = match self.seen.next().await? {
                News::Event(run, moment) => (run, moment),
                News::Remark(step, words) => {
                    live.remark(&step, &words);
                    continue;
                }
                News::Refused(refusal) => return Err(Ended::Refused(refusal)),
            };
            live.show(&self.seen, &run, &moment);
            match moment.event {
                Event::CommandAccepted(asked) if is_message(&asked.by, message) => {
                    id = Some(asked.id);
                }
                Event::CommandCompleted(done) if id.as_ref() == Some(&done.id) => {
                    return Ok(done.outcome);
                }
                _ => {}
            }
        }
    }

    async fn too_long(&self, verb: &str) -> Ended {
        let view = self.client.view(&self.run).await.ok().flatten();
        let waits = view.map(|view| view.summary.waiting).filter(|words| !words.is_empty());
        let waits = waits.map_or(String::new(), |words| format!("; it waits for {words}"));
        let limit = span(COMMAND_WITHIN);
        Ended::Failed(format!("{verb} takes more than {limit}{waits}"))
    }

    /// Waits until workspace and home have said that they are over.
    async fn until_over(&mut self) -> Result<(), Ended> {
        let all = async {
            while !(self.seen.are_over(KIND) && self.seen.are_over(HOME)) {
                self.seen.next().await?;
            }
            Ok(())
        };
        let over = timeout(COMMAND_WITHIN, all).await;
        over.unwrap_or_else(|_| Err(Ended::Failed("the home does not come to its end".to_owned())))
    }
}

/// The lab holds nothing any more.
async fn nothing_is_left(lab: &str) -> Result<(), Ended> {
    output::line("\n$ stead lab inventory");
    let left = LabClient::new(lab).inventory().await;
    let left = left.map_err(|error| Ended::Failed(with_causes(&error)))?;
    if left.is_empty() {
        say(
            "Nothing is left behind: no machine, no dataset, no share, no Coder workspace, no bucket.",
        );
        return Ok(());
    }
    let things = super::lab::things(&left, output::width());
    Err(Ended::Failed(format!("something is left behind in the lab:\n{things}")))
}

fn what_next(sandbox: &Sandbox) -> Result<String, Ended> {
    let this = std::env::current_exe().map(|path| path.display().to_string());
    let this = this.unwrap_or_else(|_| "stead".to_owned());
    let place = sandbox.place()?;
    let (site, url, lab) = (place.site.display(), &place.url, &place.lab);
    let Credentials { vault_role_id, vault_secret_id } = &place.login;
    Ok(format!(
        "
The platform stays up until Ctrl-C.
To work with it, in another terminal:

export STEAD_CONFIG={site}
export STEAD_NATS_URL={url}
export STEAD_LAB={lab}
export STEAD_VAULT_ROLE_ID={vault_role_id}
export STEAD_VAULT_SECRET_ID={vault_secret_id}
export STEAD_OWNER={OWNER}
alias stead={this}

stead workspace create api --wait
stead run timeline api
stead lab inventory

# Seal Vault: what is asked now waits.
stead lab break vault sealed
stead workspace create late
stead run show late
# Unseal it: it goes on by itself. Ctrl-C ends the watching, not the create.
stead lab mend
stead run watch late"
    ))
}

fn say(text: &str) {
    output::line(&hanging("", text, output::width(), 0));
}

fn is_message(by: &Caller, wanted: u64) -> bool {
    matches!(by, Caller::Inbox { message, .. } if *message == wanted)
}
