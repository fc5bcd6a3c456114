//! Carries runs out in memory: no broker, no clock, one thing after the other, always in the
//! same order. What goes wrong is chosen by the test.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};
use stead_core::definition::{Admission, Definition, Living};
use stead_core::run::Run;
use stead_schemas::dispatch::{Caller, Route, StepAddress};
use stead_schemas::event::{
    CancelRequested, CommandAccepted, Event, Outcome, RunStarted, StepCancelled, StepCompleted,
    StepFailed, TimerFired,
};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;
use stead_schemas::site::{CoderSite, ProxmoxSite, Site, Template, TrueNasSite};
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION};
use stead_workflows::WORKFLOWS;

use crate::world::World;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    /// The step, counted from 0 over the whole story, that fails for good.
    pub fail_at: Option<usize>,
    /// The failing step has its effect before it fails.
    pub after_effect: bool,
    /// Every step is carried out twice.
    pub twice: bool,
    /// Every run is thrown away and replayed after every transition.
    pub crash: bool,
}

pub struct Stage {
    pub world: World,
    pub site: Site,
    trouble: Trouble,
    runs: BTreeMap<RunId, Actor>,
    lives: BTreeMap<EntityKey, (u32, Option<RunId>)>,
    to_do: VecDeque<StepAddress>,
    now: i64,
    /// How many steps have been asked for that are not undo steps.
    pub asked: usize,
    commands: u32,
}

struct Actor {
    run: Run,
    history: Vec<Transition>,
    definition: Definition,
}

impl Stage {
    pub fn new(trouble: Trouble) -> Self {
        Self {
            world: World::default(),
            site: site(),
            trouble,
            runs: BTreeMap::new(),
            lives: BTreeMap::new(),
            to_do: VecDeque::new(),
            now: 1_000,
            asked: 0,
            commands: 0,
        }
    }

    /// Gives a command to a workspace and carries everything out that follows.
    pub fn workspace(&mut self, verb: &str, name: &str, fields: Value) -> Result<Outcome, Refusal> {
        let id = self.give("workspace", "john", name, verb, fields)?;
        self.settle();
        let key = key("workspace", "john", name);
        let life = self.lives[&key].0;
        Ok(self.outcome(&key.run(life), &id).expect("the command has an outcome"))
    }

    /// Gives a command and leaves it at that.
    pub fn give(
        &mut self,
        kind: &str,
        owner: &str,
        name: &str,
        verb: &str,
        fields: Value,
    ) -> Result<String, Refusal> {
        self.commands += 1;
        let id = format!("command-{}", self.commands);
        let fields = fields.as_object().cloned().unwrap_or_default();
        let owner = Owner::new(owner).expect("a good owner");
        self.command(kind, &owner, name, verb, &fields, id.clone(), None)?;
        Ok(id)
    }

    /// Cancels what a run does.
    pub fn cancel(&mut self, run: &RunId) {
        let by = Caller::Api;
        self.take(
            run,
            vec![Event::CancelRequested(CancelRequested { by, why: "test".into(), id: None })],
        );
        self.cancel_open_steps(run);
    }

    fn cancel_open_steps(&mut self, run: &RunId) {
        let open: Vec<_> = self.runs[run].run.folded().steps.values().cloned().collect();
        for open in open.iter().filter(|open| !open.step.undo) {
            let seq = open.step.seq;
            self.to_do.retain(|address| *address != StepAddress { run: run.clone(), seq });
            self.take(run, vec![Event::StepCancelled(StepCancelled { seq })]);
        }
    }

    /// Carries out one open step. False if there is none.
    pub fn one_step(&mut self) -> bool {
        let Some(address) = self.to_do.pop_front() else { return false };
        let Some(actor) = self.runs.get(&address.run) else { return true };
        let Some(open) = actor.run.folded().steps.get(&address.seq).cloned() else { return true };
        let seq = address.seq;
        if let Route::Entity { kind, owner, name } = &open.step.route {
            let verb = open.step.step.split_once('.').expect("a step has a verb").1;
            let fields = open.step.request.as_object().cloned().unwrap_or_default();
            let id = format!("{}:{seq}", address.run);
            self.command(kind, owner, name, verb, &fields, id, Some(address.clone()))
                .expect("entities refuse nothing");
            return true;
        }
        let result = self.carry_out(&open.step.step, &open.step.request, open.step.undo);
        let event = match result {
            Ok(answer) => Event::StepCompleted(StepCompleted { seq, answer, attempts: 1 }),
            Err(failure) => Event::StepFailed(StepFailed {
                seq,
                failure: failure.at(&open.step.step),
                attempts: 1,
            }),
        };
        self.take(&address.run, vec![event]);
        true
    }

    /// Carries out whatever is open, and fires timers when nothing else is.
    pub fn settle(&mut self) {
        loop {
            while self.one_step() {}
            let timer = self.runs.iter().find_map(|(run, actor)| {
                actor.run.folded().timers.keys().next().map(|seq| (run.clone(), *seq))
            });
            let Some((run, seq)) = timer else { return };
            self.take(&run, vec![Event::TimerFired(TimerFired { seq })]);
        }
    }

    /// The run of a workspace's latest life.
    pub fn latest(&self, name: &str) -> RunId {
        let key = key("workspace", "john", name);
        key.run(self.lives[&key].0)
    }

    pub fn phase(&self, run: &RunId) -> String {
        self.runs[run].run.phase()
    }

    /// The history of a run as it can be read aloud.
    pub fn story(&self, run: &RunId) -> Vec<String> {
        let mut names = BTreeMap::new();
        let events = self.runs[run].history.iter().flat_map(|transition| &transition.events);
        events.filter_map(|event| line(&mut names, event)).collect()
    }

    fn carry_out(&mut self, step: &str, ask: &Value, undo: bool) -> Result<Value, Failure> {
        let number = self.asked;
        if !undo {
            self.asked += 1;
        }
        let fails = !undo && self.trouble.fail_at == Some(number);
        if fails && !self.trouble.after_effect {
            return Err(Failure::new(Class::Permanent, "it was made to fail"));
        }
        if self.trouble.twice {
            self.world.carry_out(step, ask)?;
        }
        let answer = self.world.carry_out(step, ask)?;
        match fails {
            true => Err(Failure::new(Class::Permanent, "it was made to fail")),
            false => Ok(answer),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a command has that many parts")]
    fn command(
        &mut self,
        kind: &str,
        owner: &Owner,
        name: &str,
        verb: &str,
        fields: &Map<String, Value>,
        id: String,
        reply: Option<StepAddress>,
    ) -> Result<(), Refusal> {
        let key = EntityKey::of(kind, owner, name);
        let (life, living) = self.lives.get(&key).cloned().unwrap_or_default();
        let definition = WORKFLOWS.iter().find(|known| known.kind == kind).expect("a known kind");
        let actor = living.as_ref().and_then(|run| self.runs.get(run));
        let (phase, view) =
            (actor.map(|actor| actor.run.phase()), actor.and_then(|a| a.run.view()));
        let living_view = match (&phase, &view) {
            (Some(phase), Some(view)) => Some(Living { phase, view }),
            _ => None,
        };
        let admitted = (definition.admit)(&Admission {
            site: &self.site,
            owner,
            name,
            living: living_view,
            verb,
            fields,
        })?;
        drop(view);
        let mut facts = Vec::new();
        let run = living.clone().unwrap_or_else(|| key.run(life + 1));
        if living.is_none() {
            assert!(admitted.begins, "{verb} begins nothing");
            facts.push(Event::RunStarted(RunStarted {
                workflow: kind.into(),
                owner: owner.clone(),
                name: name.into(),
                build: "test".into(),
            }));
            let run_in_memory = Run::new(*definition, run.clone());
            let actor = Actor { run: run_in_memory, history: Vec::new(), definition: *definition };
            self.runs.insert(run.clone(), actor);
            self.lives.insert(key, (life + 1, Some(run.clone())));
        }
        let interrupts = admitted.interrupts && self.runs[&run].run.can_cancel();
        if interrupts {
            let by = Caller::Command { id: id.clone() };
            facts.push(Event::CancelRequested(CancelRequested { by, why: verb.into(), id: None }));
        }
        let by = reply.clone().map_or(Caller::Api, Caller::Run);
        let accepted = CommandAccepted {
            id,
            verb: verb.into(),
            payload: admitted.payload,
            digest: String::new(),
            by,
            reply,
        };
        facts.push(Event::CommandAccepted(accepted));
        self.take(&run, facts);
        if interrupts {
            self.cancel_open_steps(&run);
        }
        Ok(())
    }

    /// What a partition's owner does with facts, without a log.
    fn take(&mut self, id: &RunId, facts: Vec<Event>) {
        self.now += 10;
        let at = Timestamp::from_millis(self.now);
        let Some(actor) = self.runs.get_mut(id) else { return };
        let decided = actor.run.decide(at, facts).expect("the workflow decides legally");
        if decided.events.is_empty() {
            return;
        }
        let transition = Transition {
            v: VERSION,
            run: id.clone(),
            n: actor.run.transitions(),
            at,
            engine: "test".into(),
            prev: String::new(),
            events: decided.events,
        };
        let bytes = transition.encode();
        actor.history.push(Transition::decode(&bytes).expect("what was written can be read"));
        if self.trouble.crash {
            actor.replay(id);
        }
        for event in transition.events {
            self.act(id, event);
        }
    }

    fn act(&mut self, id: &RunId, event: Event) {
        match event {
            Event::StepScheduled(step) => {
                self.to_do.push_back(StepAddress { run: id.clone(), seq: step.seq });
            }
            Event::CommandCompleted(completed) => {
                let known = self.runs[id].run.folded().command(&completed.id).cloned();
                let Some(address) = known.and_then(|known| known.command.reply) else { return };
                let seq = address.seq;
                let event = match completed.outcome {
                    Outcome::Done(answer) => {
                        Event::StepCompleted(StepCompleted { seq, answer, attempts: 1 })
                    }
                    Outcome::Failed(failure) => {
                        Event::StepFailed(StepFailed { seq, failure, attempts: 1 })
                    }
                };
                self.take(&address.run, vec![event]);
            }
            Event::RunCompleted(_) | Event::RunFailed(_) => {
                if let Some((_, living)) = self.lives.get_mut(&id.key()) {
                    *living = None;
                }
            }
            _ => {}
        }
    }

    fn outcome(&self, run: &RunId, id: &str) -> Option<Outcome> {
        self.runs[run].run.folded().command(id)?.outcome.clone()
    }

    /// Every history, replayed from nothing, decides the same.
    pub fn everything_replays(&self) {
        for (id, actor) in &self.runs {
            let mut run = Run::new(actor.definition, id.clone());
            for transition in &actor.history {
                run.replay(transition).expect("the same decisions");
            }
        }
    }
}

impl Actor {
    fn replay(&mut self, id: &RunId) {
        self.run = Run::new(self.definition, id.clone());
        for transition in &self.history {
            self.run.replay(transition).expect("the same decisions");
        }
    }
}

fn line(names: &mut BTreeMap<u32, String>, event: &Event) -> Option<String> {
    Some(match event {
        Event::CommandAccepted(command) => format!("command {}", command.verb),
        Event::CommandCompleted(completed) => match &completed.outcome {
            Outcome::Done(_) => "done".to_owned(),
            Outcome::Failed(failure) => format!("failed: {failure}"),
        },
        Event::StepScheduled(step) => {
            let kind = if step.undo { "undo" } else { "step" };
            names.insert(step.seq, format!("{kind} {}", step.step));
            return None;
        }
        Event::StepCompleted(done) => names[&done.seq].clone(),
        Event::StepFailed(failed) => {
            format!("{} failed: {}", names[&failed.seq], failed.failure.words)
        }
        Event::StepCancelled(step) => format!("{} cancelled", names[&step.seq]),
        Event::CancelRequested(cancel) => format!("cancel: {}", cancel.why),
        Event::RunCompleted(_) => "completed".to_owned(),
        Event::RunFailed(_) => "run failed".to_owned(),
        Event::RunStarted(_)
        | Event::TimerStarted(_)
        | Event::TimerFired(_)
        | Event::TimerDropped(_)
        | Event::StepDropped(_)
        | Event::ChangeMarked(_)
        | Event::ContinuedAsNew(_) => return None,
        by_hand => by_hand.name().to_owned(),
    })
}

fn key(kind: &str, owner: &str, name: &str) -> EntityKey {
    EntityKey::of(kind, &Owner::new(owner).expect("a good owner"), name)
}

fn site() -> Site {
    let template = json!({
        "name": "debian-12", "vmid": 9000, "disk_gb": 40, "coder_template": "stead-machine",
    });
    Site {
        templates: vec![serde_json::from_value::<Template>(template).expect("a good template")],
        proxmox: ProxmoxSite {
            node: "pve1".into(),
            secret: "vault:secret/data/proxmox/api".into(),
            vmid_first: 10_000,
            vmid_last: 10_009,
        },
        truenas: TrueNasSite {
            parent: "tank/home".into(),
            nfs_server: "10.0.0.2".into(),
            secret: "vault:secret/data/truenas/api".into(),
            grace_seconds: 0,
        },
        coder: CoderSite {
            organization: "default".into(),
            secret: "vault:secret/data/coder/api".into(),
        },
    }
}
