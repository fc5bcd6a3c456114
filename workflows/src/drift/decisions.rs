//! What people have decided about findings: one run, so that who decided what and why stands in one
//! history. What is ignored, what was adopted, and what is to go when its grace period is over is what
//! it knows.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_core::context::{Command, Context};
use stead_core::definition::{Admission, Admitted, Ending};
use stead_schemas::command::drift::{DECISIONS, DecideDrift, Found, WHY_MAX};
use stead_schemas::command::fields::is_reason;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::refusal::Refusal;
use stead_schemas::site::{
    CoderSite, ForgejoSite, KubernetesSite, ProxmoxSite, S3Site, TrueNasSite,
};
use stead_schemas::step::{Step, home, schedule, volume};
use stead_schemas::time::Timestamp;

use super::act;
use super::meaning::{Act, Case};
use crate::as_value;

/// How many findings may be ignored, adopted or on their way, together.
const HELD_MAX: usize = 500;

/// A decision, complete.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Decision {
    pub found: Found,
    pub why: String,
    pub act: Act,
    /// What it comes to, in words.
    pub plan: Vec<String>,
    pub proxmox: ProxmoxSite,
    pub truenas: TrueNasSite,
    pub coder: CoderSite,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Site>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgejo: Option<ForgejoSite>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesSite>,
}

/// What was decided and still holds.
#[derive(Default, Serialize, Deserialize)]
struct Decisions {
    ignored: Vec<Found>,
    /// By their paths.
    adopted: Vec<String>,
    going: Vec<Going>,
}

/// Something that is to go.
#[derive(Serialize, Deserialize)]
struct Going {
    at: Timestamp,
    decision: Decision,
}

pub(super) async fn run(cx: Context) -> Result<Ending, Failure> {
    let mut decisions: Decisions = cx.carried()?.unwrap_or_default();
    loop {
        decisions.show(&cx);
        if cx.should_begin_anew() {
            return Ok(Ending::ContinueAsNew(as_value(&decisions)));
        }
        match decisions.next_command(&cx).await {
            Some(command) => {
                let outcome = decisions.carry_out(&cx, &command).await;
                cx.complete(&command, outcome);
            }
            None => decisions.destroy_due(&cx).await,
        }
    }
}

impl Decisions {
    /// The next command; nothing once the grace period of something that is to go is over.
    async fn next_command(&self, cx: &Context) -> Option<Command> {
        let Some(due) = self.going.iter().map(|going| going.at).min() else {
            return Some(cx.next_command().await);
        };
        let reason = "the grace period of something that is to be destroyed";
        cx.next_command_within(due.since(cx.now()), reason).await
    }

    async fn carry_out(&mut self, cx: &Context, command: &Command) -> Result<Value, Failure> {
        let decision: Decision = command.read()?;
        let path = decision.found.path();
        match &decision.act {
            Act::Ignore => {
                self.check_room(&path)?;
                self.forget(&path);
                self.ignored.push(decision.found);
                Ok(told("ignored"))
            }
            Act::Destroy { grace_seconds } if *grace_seconds > 0 => {
                self.check_room(&path)?;
                let at = cx.now().after(Duration::from_secs(*grace_seconds));
                self.forget(&path);
                self.going.push(Going { at, decision });
                Ok(json!({ "decided": "going", "at": at }))
            }
            Act::Destroy { .. } => {
                act::destroy(cx, &decision, self.marker(cx, &decision.found)).await?;
                self.forget(&path);
                self.adopted.retain(|adopted| *adopted != path);
                Ok(told("destroyed"))
            }
            Act::TakeOver => {
                self.check_room(&path)?;
                cx.operation(act::mark(cx, &decision, cx.run().to_string(), false)).await?;
                self.forget(&path);
                self.adopted.push(path);
                Ok(told("adopted"))
            }
            Act::Restore => {
                let marker = self.marker(cx, &decision.found);
                cx.operation(act::mark(cx, &decision, marker, true)).await?;
                Ok(told("adopted"))
            }
            Act::Give(to_give) => {
                let Some(holder) = &decision.found.holder else { return Err(unowned()) };
                act::check_lives(cx, &decision.found, holder).await?;
                cx.operation(ask(cx, schedule::Give::to(&holder.owner, to_give))).await?;
                Ok(told("repaired"))
            }
            Act::RepairHome => {
                let Some(holder) = &decision.found.holder else { return Err(unowned()) };
                act::check_lives(cx, &decision.found, holder).await?;
                cx.operation(ask(cx, home::Repair { owner: holder.owner.clone() })).await?;
                Ok(told("repaired"))
            }
            Act::RepairVolume => {
                let Some(holder) = &decision.found.holder else { return Err(unowned()) };
                act::check_lives(cx, &decision.found, holder).await?;
                let (owner, name) = (holder.owner.clone(), holder.name.clone());
                cx.operation(ask(cx, volume::Repair { owner, name })).await?;
                Ok(told("repaired"))
            }
        }
    }

    /// The mark by which the thing is known to be ours.
    fn marker(&self, cx: &Context, found: &Found) -> String {
        match &found.holder {
            Some(holder) if !self.adopted.contains(&found.path()) => holder.marker.clone(),
            _ => cx.run().to_string(),
        }
    }

    /// Destroys what has outlived its grace period. What does not go is noted, and found again by the
    /// next scan.
    async fn destroy_due(&mut self, cx: &Context) {
        let now = cx.now();
        let Some(place) = self.going.iter().position(|going| going.at <= now) else { return };
        let decision = self.going.remove(place).decision;
        let (path, marker) = (decision.found.path(), self.marker(cx, &decision.found));
        match act::destroy(cx, &decision, marker).await {
            Ok(()) => {
                self.adopted.retain(|adopted| *adopted != path);
                cx.note("destroyed", format!("{path} is destroyed"), &decision.found);
            }
            Err(failure) => {
                let words = format!("{path} was to be destroyed and stays: {failure}");
                cx.note("stays", words, &decision.found);
            }
        }
    }

    /// What was decided about it before holds no more.
    fn forget(&mut self, path: &str) {
        self.ignored.retain(|found| found.path() != path);
        self.going.retain(|going| going.decision.found.path() != path);
    }

    fn check_room(&self, path: &str) -> Result<(), Failure> {
        let is_known = self.ignored.iter().any(|found| found.path() == path)
            || self.adopted.iter().any(|adopted| adopted == path)
            || self.going.iter().any(|going| going.decision.found.path() == path);
        let held = self.ignored.len() + self.adopted.len() + self.going.len();
        if is_known || held < HELD_MAX {
            return Ok(());
        }
        let words =
            format!("{HELD_MAX} findings are ignored, adopted or to go; settle some of them");
        Err(Failure::new(Class::Refused, words))
    }

    fn show(&self, cx: &Context) {
        let going = self.going.iter().map(|going| {
            json!({ "resource": going.decision.found.path(), "at": going.at, "why": going.decision.why })
        });
        let view = json!({
            "ignored": self.ignored, "adopted": self.adopted, "going": going.collect::<Vec<_>>(),
        });
        cx.show("holding", &view);
    }
}

async fn ask<S: Step>(cx: &Context, step: S) -> Result<(), Failure> {
    cx.step(step).await.map(drop)
}

fn told(decided: &str) -> Value {
    json!({ "decided": decided })
}

/// The door lets no such order in.
fn unowned() -> Failure {
    Failure::new(Class::Permanent, "no entity needs it")
}

pub(super) fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let asked = read(admission)?;
    if admission.name != DECISIONS {
        let words = "what is decided about findings is held by `decisions`";
        return Err(Refusal::new("drift.name", words).field("name"));
    }
    if !is_reason(&asked.why, WHY_MAX) {
        let words = format!("say why, on one line, in 1 to {WHY_MAX} characters");
        return Err(Refusal::new("drift.why", words).field("why"));
    }
    let found = asked.found;
    let adopted = admission.living.map(|living| &living.view["adopted"]);
    let adopted = adopted.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_adopted = adopted.iter().any(|path| path.as_str() == Some(&found.path()));
    let site = admission.site;
    let case = Case { verb: admission.verb, found: &found, is_adopted, site };
    let act = case.meaning()?;
    let plan = case.plan(&act);
    let decision = Decision {
        act,
        plan,
        why: asked.why,
        proxmox: site.proxmox.clone(),
        truenas: site.truenas.clone(),
        coder: site.coder.clone(),
        s3: site.s3.clone(),
        forgejo: site.forgejo.clone(),
        kubernetes: site.kubernetes.clone(),
        found,
    };
    Ok(Admitted { payload: as_value(&decision), begins: true, interrupts: false })
}

fn read(admission: &Admission<'_>) -> Result<DecideDrift, Refusal> {
    let mut fields = admission.fields.clone();
    fields.insert("name".to_string(), admission.name.into());
    serde_json::from_value(Value::Object(fields)).map_err(|error| {
        let words = format!("a decision says `why`, and what was `found`: {error}");
        Refusal::new("drift.unreadable", words)
    })
}
