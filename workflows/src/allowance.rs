//! What an owner has of what the site allows: counted by one entity for each owner, one workspace
//! at a time, so that two that are made at once cannot both have the last of it.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_core::context::{Command, Context};
use stead_core::definition::{Admission, Admitted, Definition, Ending};
use stead_core::run::execution;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::refusal::Refusal;
use stead_schemas::step::Done;
use stead_schemas::step::allowance::{GiveBack, KIND, Take};

use crate::as_value;

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: KIND,
    public: false,
    verbs: &["take", "give-back"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit,
};

/// What each workspace has.
#[derive(Default, Serialize, Deserialize)]
struct Allowance {
    by_workspace: BTreeMap<String, Share>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Share {
    cpu_cores: u32,
    memory_gb: u32,
}

async fn run(cx: Context) -> Result<Ending, Failure> {
    let mut allowance: Allowance = cx.carried()?.unwrap_or_default();
    loop {
        cx.show("counting", &allowance);
        if cx.should_begin_anew() {
            return Ok(Ending::ContinueAsNew(as_value(&allowance)));
        }
        let command = cx.next_command().await;
        let outcome = match command.verb.as_str() {
            "take" => take(&mut allowance, &command),
            _ => give_back(&mut allowance, &command),
        };
        cx.complete(&command, outcome.clone());
        if allowance.by_workspace.is_empty() && !cx.has_command() {
            return outcome.map(Ending::Completed);
        }
    }
}

fn take(allowance: &mut Allowance, command: &Command) -> Result<Value, Failure> {
    let ask: Take = command.read()?;
    let share = Share { cpu_cores: ask.cpu_cores, memory_gb: ask.memory_gb };
    let before = allowance.by_workspace.insert(ask.workspace.clone(), share);
    let Some(words) = exceeded(allowance, &ask, before) else { return Ok(as_value(&Done {})) };
    match before {
        Some(before) => allowance.by_workspace.insert(ask.workspace, before),
        None => allowance.by_workspace.remove(&ask.workspace),
    };
    Err(Failure::new(Class::Refused, words))
}

/// The limit that is exceeded, in words. Whoever asks for no more than before is not refused,
/// even if the limits are narrower by now.
fn exceeded(allowance: &Allowance, ask: &Take, before: Option<Share>) -> Option<String> {
    let shares = || allowance.by_workspace.values();
    let workspaces = u32::try_from(allowance.by_workspace.len()).unwrap_or(u32::MAX);
    let cores = shares().map(|share| share.cpu_cores).fold(0, u32::saturating_add);
    let memory = shares().map(|share| share.memory_gb).fold(0, u32::saturating_add);
    let before = before.unwrap_or(Share { cpu_cores: 0, memory_gb: 0 });
    let is_new = before.memory_gb == 0 && before.cpu_cores == 0;
    let rules = [
        ("workspaces", workspaces, ask.allowance.workspaces, is_new),
        ("cores", cores, ask.allowance.cpu_cores, ask.cpu_cores > before.cpu_cores),
        ("GiB of memory", memory, ask.allowance.memory_gb, ask.memory_gb > before.memory_gb),
    ];
    let broken = rules
        .into_iter()
        .find(|(_, sum, limit, is_more)| *is_more && limit.is_some_and(|limit| *sum > limit));
    broken.map(|(what, sum, limit, _)| {
        let (owner, limit) = (&ask.owner, limit.unwrap_or_default());
        format!("{owner} would have {sum} {what}, and may have {limit}; stopped workspaces count")
    })
}

fn give_back(allowance: &mut Allowance, command: &Command) -> Result<Value, Failure> {
    let ask: GiveBack = command.read()?;
    allowance.by_workspace.remove(&ask.workspace);
    Ok(as_value(&Done {}))
}

fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let payload = Value::Object(admission.fields.clone());
    Ok(Admitted { payload, begins: true, interrupts: false })
}
