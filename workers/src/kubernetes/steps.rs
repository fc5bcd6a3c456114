//! What is done with the objects of a server.

use serde_json::Value;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::kubernetes::{
    Applied, Apply, Image, ListServers, Place, Remove, TryApply,
};

use super::client::{self, Client, Kubernetes};
use super::manifest::{Kind, Whose, objects, strange, whose};

/// Looks whether Kubernetes answers us.
pub(super) async fn list_servers(
    client: Client,
    _cx: StepContext,
    ask: ListServers,
) -> Result<Done, Failure> {
    let kubernetes = client.open(&ask.login, &ask.namespace).await?;
    kubernetes.list(Kind::Deployment.base(), &[("limit", "1")]).await?;
    Ok(Done {})
}

/// Asks whether each object would be taken as it is.
pub(super) async fn try_apply(
    client: Client,
    _cx: StepContext,
    TryApply { ask }: TryApply,
) -> Result<Done, Failure> {
    let kubernetes = open(&client, &ask).await?;
    for object in &objects(&ask) {
        kubernetes.try_apply(object, how(&ask)).await?;
    }
    Ok(Done {})
}

/// Applies each object.
pub(super) async fn apply(client: Client, cx: StepContext, ask: Apply) -> Result<Applied, Failure> {
    let kubernetes = open(&client, &ask).await?;
    let mut generation = 0;
    for object in &objects(&ask) {
        cx.still_wanted()?;
        let applied = kubernetes.apply(object, how(&ask)).await?;
        if Kind::of(object) == Kind::Deployment {
            generation = applied["metadata"]["generation"].as_u64().unwrap_or_default();
        }
    }
    Ok(Applied { generation })
}

const fn how(ask: &Apply) -> client::Apply {
    if ask.take_over { client::Apply::ByForce } else { client::Apply::Gently }
}

/// Kubernetes, once nothing of what is to be applied is somebody else's.
async fn open(client: &Client, ask: &Apply) -> Result<Kubernetes, Failure> {
    if !Image::read(&ask.image).is_some_and(|image| image.is_digest()) {
        let words = format!("`{}` names no digest; what its tag means changes", ask.image);
        return Err(Failure::new(Class::Permanent, words));
    }
    let kubernetes = client.open(&ask.place.login, &ask.place.namespace).await?;
    for kind in Kind::ALL {
        let found = kubernetes.look(kind, &ask.place.name).await?;
        let strangers = found.filter(|object| whose(object, &ask.place) == Whose::Others);
        if let Some(object) = strangers {
            return Err(strange(kind, &object, &ask.place));
        }
    }
    Ok(kubernetes)
}

/// Takes each object away that is ours.
pub(super) async fn remove(client: Client, cx: StepContext, ask: Remove) -> Result<Done, Failure> {
    let Place { login, namespace, name, .. } = &ask.place;
    let kubernetes = client.open(login, namespace).await?;
    for kind in Kind::ALL {
        let Some(object) = kubernetes.look(kind, name).await? else { continue };
        if whose(&object, &ask.place) == Whose::Others {
            tracing::warn!(name, kind = kind.base().1, "a stranger's object is left alone");
            continue;
        }
        cx.still_wanted()?;
        kubernetes.delete(kind, name, uid(&object)).await?;
    }
    Ok(Done {})
}

fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}
