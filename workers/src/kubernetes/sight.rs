//! The objects of servers that are there, whoever made them.

use serde_json::Value;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::sight::{PAGE, SightServers, Sighted, Thing};
use stead_schemas::step::touch::Resource;

use super::client::Client;
use super::manifest::{Kind, MARKER};

/// A page of one kind of object, kind after kind.
pub(super) async fn sight_servers(
    client: Client,
    _cx: StepContext,
    ask: SightServers,
) -> Result<Sighted, Failure> {
    let kubernetes = client.open(&ask.login, &ask.namespace).await?;
    let after = ask.after.as_deref().unwrap_or(Kind::ALL[0].base().1);
    let (plural, word) = after.split_once('/').unwrap_or((after, ""));
    let place = Kind::ALL.iter().position(|kind| kind.base().1 == plural).ok_or_else(|| {
        Failure::new(Class::Permanent, format!("`{plural}` is no kind of object of a server"))
    })?;
    let kind = Kind::ALL[place];
    let limit = PAGE.to_string();
    let mut query = vec![("limit", limit.as_str())];
    if !word.is_empty() {
        query.push(("continue", word));
    }
    let (objects, rest) = kubernetes.page(kind.base(), &query).await?;
    let next = || Kind::ALL.get(place + 1).map(|kind| kind.base().1.to_owned());
    let after = rest.map(|word| format!("{plural}/{word}")).or_else(next);
    let things = objects.iter().map(|object| thing(kind, &ask.namespace, object)).collect();
    Ok(Sighted { things, after })
}

fn thing(kind: Kind, namespace: &str, object: &Value) -> Thing {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let resource = Resource::new("kubernetes", kind.word(), format!("{namespace}/{name}"));
    let marker = object["metadata"]["labels"][MARKER].as_str().map(str::to_owned);
    Thing::new(resource, marker)
}

#[cfg(test)]
mod tests;
