//! Coder's provisioner, as far as a site has one: what Terraform does with the template in
//! `ops/deploy/coder/workspace`. It writes the agent's token into Vault, gives `stead` the words of
//! the template's hand-over, shows what that says in the build's log, and fails where it fails.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;

use super::state::{Build, JobStatus, Transition, Workspace};
use crate::world::World;

/// What the template declares: the parameters whose change is a resize, with what they are if
/// nobody chooses.
pub(super) const SIZES: [(&str, &str); 3] =
    [("cpu_cores", "4"), ("memory_gb", "8"), ("storage_quota_gb", "50")];
/// The parameter that cannot be changed once the workspace is there.
const BACKEND: (&str, &str) = ("storage_backend", "iscsi");

/// The program that builds hand over to.
#[derive(Clone, Debug)]
pub struct Provisioner {
    /// The `stead` binary.
    pub program: PathBuf,
    /// What it finds in its environment beside what Coder says there.
    pub environment: Vec<(String, String)>,
}

/// One call, and what is remembered as applied once it has gone well.
struct Call {
    words: Vec<String>,
    applies: Option<(String, String)>,
}

/// Hands a build over, if the site has a provisioner that does.
pub(super) async fn hand_over(world: &Arc<World>, build: Uuid) -> Result<(), String> {
    let Some(provisioner) = world.provisioner() else { return Ok(()) };
    let planned = world.read(|state| {
        let (workspace, build) = state.coder.build(build)?;
        Some((calls(workspace, build), coder_says(workspace, build)))
    });
    let Some((calls, says)) = planned else { return Ok(()) };
    // Terraform does at once what does not depend on each other.
    let (resized, whole): (Vec<Call>, Vec<Call>) =
        calls.into_iter().partition(|call| call.applies.is_some());
    for together in [resized, whole] {
        let all = together.iter().map(|call| apply(world, build, &provisioner, &says, call));
        futures_util::future::join_all(all).await.into_iter().collect::<Result<(), _>>()?;
    }
    Ok(())
}

/// Carries a call out, and remembers what it has applied.
async fn apply(
    world: &Arc<World>,
    build: Uuid,
    provisioner: &Provisioner,
    says: &[(&'static str, String)],
    call: &Call,
) -> Result<(), String> {
    carry_out(world, build, provisioner, says, &call.words).await?;
    let Some((name, value)) = call.applies.clone() else { return Ok(()) };
    world.change(|state| {
        let holds = |held: &&mut Workspace| held.builds.iter().any(|one| one.id == build);
        if let Some(held) = state.coder.workspaces.values_mut().find(holds) {
            held.applied.insert(name, value);
        }
    });
    Ok(())
}

fn calls(workspace: &Workspace, build: &Build) -> Vec<Call> {
    let verb = ["workspace", "from-coder"].map(str::to_owned).to_vec();
    let call = |words: Vec<String>| Call { words, applies: None };
    if build.transition == Transition::Delete {
        return vec![call(verb)];
    }
    let chosen = chosen(build);
    let option = |name: &str| [format!("--{}", name.replace('_', "-")), chosen[name].clone()];
    let changed =
        SIZES.iter().filter(|(name, _)| workspace.applied.get(*name) != chosen.get(*name));
    let resized = changed.map(|(name, _)| {
        let mut words = verb.clone();
        words.push("--resize".to_owned());
        words.extend(option(name));
        Call { words, applies: Some(((*name).to_owned(), chosen[*name].clone())) }
    });
    let all = SIZES.iter().chain([&BACKEND]).flat_map(|(name, _)| option(name));
    let whole = call(verb.iter().cloned().chain(all).collect());
    resized.chain([whole]).collect()
}

/// What a build's parameters come to.
fn chosen(build: &Build) -> BTreeMap<String, String> {
    let value = |name: &str, default: &str| match build.parameter(name) {
        "" => default.to_owned(),
        value => value.to_owned(),
    };
    let all = SIZES.iter().chain([&BACKEND]);
    all.map(|(name, default)| ((*name).to_owned(), value(name, default))).collect()
}

/// What Coder's provisioner puts into the environment of Terraform while it applies.
fn coder_says(workspace: &Workspace, build: &Build) -> Vec<(&'static str, String)> {
    let transition = match build.transition {
        Transition::Start | Transition::Stop => build.transition.word(),
        Transition::Delete => "destroy",
    };
    vec![
        ("CODER_WORKSPACE_TRANSITION", transition.to_owned()),
        ("CODER_WORKSPACE_ID", workspace.id.to_string()),
        ("CODER_WORKSPACE_NAME", workspace.name.clone()),
        ("CODER_WORKSPACE_OWNER", workspace.owner.clone()),
        ("CODER_WORKSPACE_TEMPLATE_NAME", workspace.template.name.to_owned()),
        ("CODER_WORKSPACE_BUILD_ID", build.id.to_string()),
    ]
}

/// Carries one call out. Where the build is canceled meanwhile, it is killed, as Terraform does.
async fn carry_out(
    world: &Arc<World>,
    build: Uuid,
    provisioner: &Provisioner,
    says: &[(&'static str, String)],
    words: &[String],
) -> Result<(), String> {
    let mut command = Command::new(&provisioner.program);
    command.args(words).envs(provisioner.environment.iter().cloned()).envs(says.iter().cloned());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let cannot = |error: std::io::Error| format!("{}: {error}", provisioner.program.display());
    let mut child = command.spawn().map_err(cannot)?;
    let canceled = world.until(|world| {
        let state = world.read(|state| state.coder.build(build).map(|(_, build)| build.status));
        (state != Some(JobStatus::Running)).then_some(())
    });
    let ended = tokio::select! {
        ended = listen(world, build, &mut child) => ended.map_err(cannot)?,
        () = canceled => return Err("the build was canceled".to_owned()),
    };
    if ended.success() {
        return Ok(());
    }
    Err(format!("terraform apply: local-exec provisioner error: {}: {ended}", words.join(" ")))
}

async fn listen(
    world: &World,
    build: Uuid,
    child: &mut Child,
) -> std::io::Result<std::process::ExitStatus> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let ((), (), ended) =
        tokio::join!(show(world, build, out), show(world, build, err), child.wait());
    ended
}

/// Shows what comes in the build's log, line by line.
async fn show(world: &World, build: Uuid, from: Option<impl AsyncRead + Unpin>) {
    let Some(from) = from else { return };
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        world.change(|state| {
            if let Some(build) = state.coder.build_mut(build) {
                build.log.push(line);
            }
        });
    }
}

/// The lines of a log as Coder shows them.
pub(super) fn shown(build: &Build) -> Vec<Value> {
    let first = ("Planning infrastructure", "terraform plan".to_owned());
    let said = build.log.iter().map(|line| ("Starting workspace", line.clone()));
    let error = (!build.error.is_empty()).then(|| ("Applying", build.error.clone()));
    let lines = std::iter::once(first).chain(said).chain(error).enumerate();
    let line = |(at, (stage, output)): (usize, (&str, String))| {
        serde_json::json!({
            "id": at + 1, "created_at": build.created, "log_source": "provisioner",
            "log_level": "info", "stage": stage, "output": output,
        })
    };
    lines.map(line).collect()
}
