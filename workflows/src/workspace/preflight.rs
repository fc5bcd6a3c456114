//! What is looked at before the first change: whether the secrets can be read, whether Coder knows the
//! owner, whether he may have so much, and whether there is room for it. Where the answer is no, nothing
//! has been made, and the refusal says what is missing, or names the number and the limit.
//!
//! Nothing is reserved by looking: two who look at the same moment may both find the last room.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use stead_core::context::Context;
use stead_schemas::command::workspace::Order;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::site::{Allowance, AuthentikSite};
use stead_schemas::step::authentik::{FindUser, User};
use stead_schemas::step::home::dataset_name;
use stead_schemas::step::truenas::{PoolSeen, SurveyPool};
use stead_schemas::step::vault::{PinSecrets, PinnedSecrets};
use stead_schemas::step::{Step, allowance, coder, people, proxmox, volume};
use stead_schemas::time::Timestamp;

use super::ask;
use super::placement::{self, Wanted};
use super::state::Workspace;
use crate::machine;

/// How old the cluster's list may be, and a little more.
const LIST_AGE_MAX: Duration = Duration::from_secs(15);

/// How long a login must last from now for something to be made with it.
const LOGIN_MIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks at everything that making the workspace needs, and chooses the node. `counted` is what it
/// has of its owner's allowance already. Returns the nodes that have room, too.
pub(super) async fn look(
    cx: &Context,
    workspace: &mut Workspace,
    counted: Option<allowance::Take>,
) -> Result<(PinnedSecrets, Vec<String>), Failure> {
    let order = workspace.order.clone();
    if !order.looks_first() {
        return Ok((ask::logins(cx, &order).await?, Vec::new()));
    }
    let logins = cx.step(secrets(&order)).await?;
    know_owner(cx, workspace, &logins).await?;
    survey_coder(cx, workspace, &logins).await?;
    take_allowance(cx, workspace, counted).await?;
    let with_room = place(cx, workspace, &logins, None).await?;
    room_for_home(cx, workspace, &logins).await?;
    room_for_volume(cx, workspace, &logins).await?;
    Ok((logins, with_room))
}

/// Looks at what may have changed while a machine was there already: the logins, and how much its
/// owner may have.
pub(super) async fn look_again(
    cx: &Context,
    workspace: &mut Workspace,
    counted: Option<allowance::Take>,
) -> Result<PinnedSecrets, Failure> {
    let logins = cx.step(secrets(&workspace.order)).await?;
    know_owner(cx, workspace, &logins).await?;
    survey_coder(cx, workspace, &logins).await?;
    take_allowance(cx, workspace, counted).await?;
    Ok(logins)
}

/// The home's login, too: a home that cannot be had is found out before anything is made.
fn secrets(order: &Order) -> PinSecrets {
    let PinSecrets { mut secrets } = ask::secrets(order);
    secrets.push(order.truenas.secret.clone());
    secrets.extend(order.authentik.iter().map(|authentik| authentik.secret.clone()));
    PinSecrets { secrets }
}

/// Whoever Authentik knows and has not disabled may have a workspace. He is the user of the owner's name
/// when he is first seen, and stays whoever he was then. His groups there may say how much he may have.
async fn know_owner(
    cx: &Context,
    workspace: &mut Workspace,
    logins: &PinnedSecrets,
) -> Result<(), Failure> {
    let Some(authentik) = &workspace.order.authentik else { return Ok(()) };
    let owner = cx.owner();
    let meet = people::Meet { owner: owner.clone(), workspace: cx.name() };
    let known = cx.step(meet).undo(part(cx)).await?.user;
    let find = FindUser {
        login: logins.of(&authentik.secret),
        username: owner.to_string(),
        subject: known.as_ref().map(|user| user.subject.clone()),
        groups: authentik.groups().cloned().collect(),
    };
    let found = cx.step(find).await?.user;
    let words = match found {
        Some(user) if user.is_active => {
            workspace.allowance = authentik.allowance_of(&user.groups);
            let user = User { groups: Vec::new(), ..user };
            if known.as_ref() != Some(&user) {
                cx.step(people::Record { owner, user }).await?;
            }
            return Ok(());
        }
        Some(user) if user.username == owner.as_str() => {
            format!("authentik: user is disabled: {owner}")
        }
        Some(user) => {
            format!("authentik: user is disabled: {owner}, called {} there", user.username)
        }
        None if known.is_some() => format!(
            "authentik: whoever was {owner} is gone. If another one is called so now, let him be \
             known by `stead owner forget {owner}`"
        ),
        None => format!("authentik: there is no user {owner}"),
    };
    Err(Failure::new(Class::Refused, words).at(FindUser::NAME))
}

/// Whoever Coder does not know, or has suspended, cannot be shown a workspace there.
async fn survey_coder(
    cx: &Context,
    workspace: &Workspace,
    logins: &PinnedSecrets,
) -> Result<(), Failure> {
    if !cx.changed("coder-is-surveyed") {
        return Ok(());
    }
    let order = &workspace.order;
    let survey = coder::Survey {
        login: logins.of(&order.coder.secret),
        organization: order.coder.organization.clone(),
        template: order.template.coder_template.clone(),
        user: cx.owner().to_string(),
    };
    let seen = cx.step(survey).await?;
    login_lasts(cx, "Coder", seen.login_ends, coder::Survey::NAME)
}

/// The workspace is no more, as far as its owner is concerned.
pub(super) fn part(cx: &Context) -> people::Part {
    people::Part { owner: cx.owner(), workspace: cx.name() }
}

/// Counts the workspace against what its owner may have, if that is limited. Taken back, it has
/// what it had before, whatever others have taken meanwhile, or nothing.
pub(super) async fn take_allowance(
    cx: &Context,
    workspace: &Workspace,
    before: Option<allowance::Take>,
) -> Result<(), Failure> {
    let Some(take) = allowance(cx, workspace) else { return Ok(()) };
    let call = cx.step(take);
    match before {
        // Who takes back does not ask: it must not be refused.
        Some(before) => {
            call.undo(allowance::Take { allowance: Allowance::default(), ..before }).await?
        }
        None => call.undo(give_back(cx)).await?,
    };
    Ok(())
}

/// What the workspace has of its owner's allowance, if that is limited.
pub(super) fn allowance(cx: &Context, workspace: &Workspace) -> Option<allowance::Take> {
    let allowance = workspace.allowance.unwrap_or(workspace.order.allowance);
    is_counted(&workspace.order).then(|| allowance::Take {
        owner: cx.owner(),
        workspace: cx.run().to_string(),
        cpu_cores: workspace.size.cpu_cores,
        memory_gb: workspace.size.memory_gb,
        allowance,
    })
}

/// Whether somebody's share may be limited. Where his groups say how much he may have, those who may
/// have any amount are counted, too: groups change.
pub(super) fn is_counted(order: &Order) -> bool {
    let by_groups = |authentik: &AuthentikSite| !authentik.allowances.is_empty();
    !order.allowance.is_none() || order.authentik.as_ref().is_some_and(by_groups)
}

pub(super) fn give_back(cx: &Context) -> allowance::GiveBack {
    allowance::GiveBack { owner: cx.owner(), workspace: cx.run().to_string() }
}

/// Chooses the node for a new machine and says why. `besides` is the workspace with the machine that
/// is off before the new one starts, if it runs now. Returns all nodes that have room.
pub(super) async fn place(
    cx: &Context,
    workspace: &mut Workspace,
    logins: &PinnedSecrets,
    besides: Option<&Workspace>,
) -> Result<Vec<String>, Failure> {
    let order = &workspace.order;
    let survey = survey(order, logins);
    let (login, site, storage) = (survey.login.clone(), &order.proxmox, order.storage_backend);
    let seen = cx.step(survey).await?;
    login_lasts(cx, "Proxmox VE", seen.login_ends, proxmox::Survey::NAME)?;
    let without_bridge =
        &machine::check_template(cx, &seen, site, login, &order.template, storage).await?;
    let room = besides.map_or_else(|| seen.clone(), |old| placement::without(&seen, old));
    let wanted = Wanted {
        cpu_cores: workspace.size.cpu_cores,
        memory_gb: workspace.size.memory_gb,
        disk_gb: workspace.disk_gb(),
        template: &order.template,
        storage: order.storage_backend,
        site: &order.proxmox,
        without_bridge,
    };
    let placed = placement::choose(&room, &wanted)
        .map_err(|words| Failure::new(Class::Permanent, words).at(proxmox::Survey::NAME))?;
    cx.note("placed", format!("on {}", placed.words), &seen);
    workspace.placement = Some(placed.words);
    workspace.order.proxmox.node = placed.node;
    workspace.show(cx);
    Ok(placed.with_room)
}

/// Nothing is made with a login that may have ended before it could be taken back.
fn login_lasts(
    cx: &Context,
    vendor: &str,
    ends: Option<Timestamp>,
    step: &str,
) -> Result<(), Failure> {
    let Some(left) = ends.map(|ends| ends.since(cx.now())).filter(|left| *left < LOGIN_MIN) else {
        return Ok(());
    };
    let hours = left.as_secs() / 3600;
    let words = format!(
        "the login that Stead has at {vendor} ends in {hours} h; make another one and lay it in Vault"
    );
    Err(Failure::new(Class::Permanent, words).at(step))
}

fn survey(order: &Order, logins: &PinnedSecrets) -> proxmox::Survey {
    proxmox::Survey {
        login: logins.of(&order.proxmox.secret),
        nodes: order.proxmox.nodes.clone(),
        template: order.template.vmid,
        storage: order.storage_backend,
        vmid_first: order.proxmox.vmid_first,
        vmid_last: order.proxmox.vmid_last,
        machine: None,
    }
}

/// Looks whether the machine's node has room for what grows of it. What it has now is its own; where it
/// is off, that is nothing.
pub(super) async fn room_to_grow(
    cx: &Context,
    workspace: &Workspace,
    larger: &Workspace,
    logins: &PinnedSecrets,
) -> Result<(), Failure> {
    let order = &workspace.order;
    let seen = cx.step(survey(order, logins)).await?;
    let is_off = workspace.phase.is_off();
    let seen = if is_off { seen } else { placement::without(&seen, workspace) };
    let wanted = Wanted {
        cpu_cores: grown(workspace.size.cpu_cores, larger.size.cpu_cores),
        memory_gb: grown(workspace.size.memory_gb, larger.size.memory_gb),
        disk_gb: larger.disk_gb().saturating_sub(workspace.disk_gb()),
        template: &order.template,
        storage: order.storage_backend,
        site: &order.proxmox,
        without_bridge: &[],
    };
    match placement::against_growing(&seen, &wanted) {
        Some(words) => Err(Failure::new(Class::Permanent, words).at(proxmox::Survey::NAME)),
        None => Ok(()),
    }
}

/// Looks whether there is room for the machine where its disk is. The cluster's list may show what is off
/// by now, so one look does not refuse.
pub(super) async fn room_to_start(
    cx: &Context,
    workspace: &Workspace,
    logins: &PinnedSecrets,
) -> Result<(), Failure> {
    let order = &workspace.order;
    let look = proxmox::Survey { machine: workspace.vmid, ..survey(order, logins) };
    let wanted = Wanted {
        cpu_cores: workspace.size.cpu_cores,
        memory_gb: workspace.size.memory_gb,
        disk_gb: 0,
        template: &order.template,
        storage: order.storage_backend,
        site: &order.proxmox,
        without_bridge: &[],
    };
    if placement::against_starting(&cx.step(look.clone()).await?, &wanted).is_none() {
        return Ok(());
    }
    cx.sleep(LIST_AGE_MAX, "there seems to be no room; looking again").await;
    match placement::against_starting(&cx.step(look).await?, &wanted) {
        Some(words) => {
            let words = format!("there is no room for it to run: {words}");
            Err(Failure::new(Class::Permanent, words).at(proxmox::Survey::NAME))
        }
        None => Ok(()),
    }
}

/// What there has to be room for; nothing where it does not grow.
const fn grown(now: u32, later: u32) -> u32 {
    if later > now { later } else { 0 }
}

async fn room_for_home(
    cx: &Context,
    workspace: &Workspace,
    logins: &PinnedSecrets,
) -> Result<(), Failure> {
    let site = &workspace.order.truenas;
    let survey = SurveyPool {
        login: logins.of(&site.secret),
        parent: site.parent.clone(),
        dataset: dataset_name(&site.parent, &cx.owner()),
    };
    let PoolSeen { free_gb, has_home, login_ends } = cx.step(survey).await?;
    login_lasts(cx, "TrueNAS", login_ends, SurveyPool::NAME)?;
    let quota = workspace.size.storage_quota_gb;
    let words = match free_gb {
        None => format!("there is no dataset {} for homes; make it on TrueNAS", site.parent),
        Some(free) if !has_home && free < u64::from(quota) => {
            format!("{} has {free} GiB free, and a home of {quota} GiB is wanted", site.parent)
        }
        Some(_) => return Ok(()),
    };
    Err(Failure::new(Class::Permanent, words).at(SurveyPool::NAME))
}

/// TrueNAS does not let a volume be larger than most of what is free, however much of it is written.
async fn room_for_volume(
    cx: &Context,
    workspace: &Workspace,
    logins: &PinnedSecrets,
) -> Result<(), Failure> {
    let site = &workspace.order.truenas;
    let (Some(size), Some(volumes)) = (workspace.size.volume_gb, &site.volumes) else {
        return Ok(());
    };
    let parent = volumes.parent.clone();
    let dataset = volume::dataset_name(&parent, &cx.owner(), &cx.name());
    let survey = SurveyPool { login: logins.of(&site.secret), parent: parent.clone(), dataset };
    let PoolSeen { free_gb, has_home, .. } = cx.step(survey).await?;
    let words = match free_gb {
        None => format!("there is no dataset {parent} for volumes; make it on TrueNAS"),
        Some(free) if !has_home && free / 5 * 4 < u64::from(size) => format!(
            "{parent} has {free} GiB free, a volume may take 80 % of that, and {size} are wanted"
        ),
        Some(_) => return Ok(()),
    };
    Err(Failure::new(Class::Permanent, words).at(SurveyPool::NAME))
}
