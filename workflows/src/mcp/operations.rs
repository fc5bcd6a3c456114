//! What is done with an MCP server in Kubernetes.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use serde_json::{Value, json};
use stead_core::context::Context;
use stead_schemas::command::mcp::{McpOrder, McpPhase, McpRelease};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::site::{KubernetesSite, McpServer};
use stead_schemas::step::kubernetes::{Apply, AwaitRollout, Place, Remove, ResolveImage, TryApply};
use stead_schemas::step::vault::PinSecrets;

use super::state::{Server, earlier};

/// How long one step may take before it counts as failed.
const STEP_MAX: Duration = Duration::from_secs(15 * 60);
/// How long pods may take to be pulled and to answer, one after the other. Kubernetes itself gives a
/// rollout up that makes no progress for five minutes.
const ROLLOUT_MAX: Duration = Duration::from_secs(60 * 60);

/// What is to run.
struct Wanted {
    place: Place,
    server: McpServer,
    /// By digest.
    image: String,
    take_over: bool,
}

/// Has it run as it is declared now, with the image that its tag means now.
pub(super) async fn deploy(
    cx: &Context,
    server: &mut Server,
    order: McpOrder,
) -> Result<Value, Failure> {
    stays(server, &order.site)?;
    server.begins(cx, &order.site);
    let rolled_out = cx.operation(resolve_and_roll_out(cx, server, &order)).await;
    finish(cx, server, rolled_out, "runs")
}

/// Has what ran before run again, as it was declared then.
pub(super) async fn rollback(
    cx: &Context,
    server: &mut Server,
    order: McpOrder,
) -> Result<Value, Failure> {
    stays(server, &order.site)?;
    let before = earlier(&server.releases, server.active.as_deref()).cloned();
    let before = before.map_err(|words| Failure::new(Class::Refused, words))?;
    server.begins(cx, &order.site);
    let rolled_out = cx.operation(roll_back(cx, server, &order, before)).await;
    finish(cx, server, rolled_out, "runs again")
}

/// Has what runs rolled out once more, as it was declared then: what is gone of it is there again.
pub(super) async fn repair(
    cx: &Context,
    server: &mut Server,
    order: McpOrder,
) -> Result<Value, Failure> {
    stays(server, &order.site)?;
    let running = server.running().cloned();
    let running = running.ok_or_else(|| {
        Failure::new(Class::Refused, "nothing of it runs that could be put right; deploy it")
    })?;
    server.begins(cx, &order.site);
    let rolled_out = cx.operation(roll_back(cx, server, &order, running)).await;
    finish(cx, server, rolled_out, "runs, put right")
}

/// What runs in one namespace cannot be rolled out in another: nobody would take it away there.
fn stays(server: &Server, site: &KubernetesSite) -> Result<(), Failure> {
    let (runs, wanted) = (&server.site.namespace, &site.namespace);
    if server.active.is_none() || runs == wanted {
        return Ok(());
    }
    let words = format!("it runs in {runs}; remove it there before it is deployed in {wanted}");
    Err(Failure::new(Class::Refused, words))
}

async fn resolve_and_roll_out(
    cx: &Context,
    server: &Server,
    order: &McpOrder,
) -> Result<McpRelease, Failure> {
    let (place, registry) = log_in(cx, &order.site).await?;
    let ask = ResolveImage { login: registry, image: order.server.image.clone() };
    let image = cx.step(ask).within(STEP_MAX).await?.image;
    let (server_wanted, take_over) = (order.server.clone(), order.take_over);
    let wanted = Wanted { place, server: server_wanted, image, take_over };
    roll_out(cx, server, &order.site, wanted).await
}

async fn roll_back(
    cx: &Context,
    server: &Server,
    order: &McpOrder,
    before: McpRelease,
) -> Result<McpRelease, Failure> {
    let (place, _) = log_in(cx, &order.site).await?;
    let wanted =
        Wanted { place, server: before.server, image: before.image, take_over: order.take_over };
    roll_out(cx, server, &order.site, wanted).await
}

/// Where everything is, and the pinned login of the registry, where it wants one.
async fn log_in(cx: &Context, site: &KubernetesSite) -> Result<(Place, Option<String>), Failure> {
    let registry = site.registry_secret.clone();
    let secrets = [site.secret.clone()].into_iter().chain(registry.clone()).collect();
    let pinned = cx.step(PinSecrets { secrets }).within(STEP_MAX).await?;
    let place = place(cx, site, pinned.of(&site.secret));
    Ok((place, registry.map(|registry| pinned.of(&registry))))
}

fn place(cx: &Context, site: &KubernetesSite, login: String) -> Place {
    let (namespace, marker) = (site.namespace.clone(), cx.run().to_string());
    Place { login, namespace, name: cx.name(), marker }
}

async fn roll_out(
    cx: &Context,
    server: &Server,
    site: &KubernetesSite,
    wanted: Wanted,
) -> Result<McpRelease, Failure> {
    let place = wanted.place.clone();
    let ask = apply(site, &wanted);
    // What others have set shows here, before anything has changed that would have to be undone.
    cx.step(TryApply { ask: ask.clone() }).within(STEP_MAX).await?;
    let applying = cx.step(ask);
    let applied = match server.running() {
        Some(before) => {
            let before = Wanted {
                place: place.clone(),
                server: before.server.clone(),
                image: before.image.clone(),
                take_over: wanted.take_over,
            };
            applying.undo(apply(site, &before)).within(STEP_MAX).await?
        }
        None => applying.undo(Remove { place: place.clone() }).within(STEP_MAX).await?,
    };
    let (image, generation) = (wanted.image.clone(), applied.generation);
    cx.step(AwaitRollout { place, image, generation }).within(ROLLOUT_MAX).await?;
    Ok(McpRelease { image: wanted.image, at: cx.now(), server: wanted.server })
}

fn apply(site: &KubernetesSite, wanted: &Wanted) -> Apply {
    let server = &wanted.server;
    Apply {
        place: wanted.place.clone(),
        image: wanted.image.clone(),
        port: server.port,
        replicas: server.replicas,
        env: environment(site, server),
        vault_path: server.vault_path.clone(),
        take_over: wanted.take_over,
    }
}

/// What every server is told, and what the site tells this one, which counts more.
fn environment(site: &KubernetesSite, server: &McpServer) -> BTreeMap<String, String> {
    let ours = [
        ("MCP_MODE", "http-streamable".to_string()),
        ("PORT", server.port.to_string()),
        ("VAULT_ADDR", site.vault_address.clone()),
    ];
    let ours = ours.into_iter().map(|(name, value)| (name.to_string(), value));
    ours.chain(server.env.clone()).collect()
}

fn finish(
    cx: &Context,
    server: &mut Server,
    rolled_out: Result<McpRelease, Failure>,
    how: &str,
) -> Result<Value, Failure> {
    let name = cx.name();
    match rolled_out {
        Ok(release) => {
            let words = format!("{} {how}", release.image);
            let about = json!({ "server": name, "image": release.image });
            cx.note("mcp-deployed", format!("{name}: {words}"), &about);
            match how {
                "runs" => server.takes(release),
                _ => server.active = Some(release.image),
            }
            server.ends(cx, None);
            Ok(server.told(&words))
        }
        Err(failure) => {
            let stays = match &server.active {
                Some(image) => format!("{image} goes on"),
                None => "nothing of it is left".to_string(),
            };
            let words = format!("{name} is not deployed, {stays}: {failure}");
            let about = json!({ "server": name, "image": server.active });
            server.ends(cx, Some(&failure));
            if failure.class != Class::Cancelled {
                cx.note("mcp-rejected", words, &about);
            }
            Err(failure)
        }
    }
}

/// Takes it away.
pub(super) async fn remove(
    cx: &Context,
    server: &mut Server,
    order: McpOrder,
) -> Result<Value, Failure> {
    let before = server.phase;
    server.enter(cx, McpPhase::Removing);
    // Where it was made, wherever the site would make it now.
    let namespace = server.site.namespace.clone();
    let removed = take_away(cx, &KubernetesSite { namespace, ..order.site }).await;
    server.enter(cx, if removed.is_ok() { McpPhase::Removed } else { before });
    removed?;
    Ok(json!({ "phase": McpPhase::Removed }))
}

async fn take_away(cx: &Context, site: &KubernetesSite) -> Result<(), Failure> {
    let secret = site.secret.clone();
    let pinned = cx.take_back(PinSecrets { secrets: [secret.clone()].into() }).await?;
    cx.take_back(Remove { place: place(cx, site, pinned.of(&secret)) }).await?;
    Ok(())
}
