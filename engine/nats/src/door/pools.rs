//! Tells each pool what the site's configuration says of it, when that is new, and once an hour in
//! any case. Every engine does; that each says the same under the same id makes it one command.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use stead_runtime::env::CurrentSite;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::dispatch::{Caller, CommandReply, EntityCommand};
use stead_schemas::ids::fnv1a;
use stead_schemas::owner::Owner;
use stead_schemas::public::{RunState, RunSummary};
use stead_schemas::site::Site;
use stead_schemas::step::pool::KIND;
use stead_schemas::step::vmids::PLATFORM;
use stead_schemas::time::Timestamp;
use tokio::time::sleep;

use super::{Shutdown, shut};
use crate::client::SteadClient;
use crate::platform::Platform;

/// How often to look whether the configuration is another one.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A pool that somebody has ended begins anew after so long.
const AGAIN: Duration = Duration::from_secs(60 * 60);

/// Tells pools what they are to be until the door is shut.
pub async fn run_pools(platform: &Platform, site: CurrentSite, mut shutdown: Shutdown) {
    let client = SteadClient::new(platform);
    let mut known = None;
    loop {
        tokio::select! {
            () = shut(&mut shutdown) => return,
            () = sleep(LOOK_EVERY) => {}
        }
        if known.is_none() {
            known = tokio::select! {
                () = shut(&mut shutdown) => return,
                living = living(&client) => living,
            };
        }
        let Some(said) = &mut known else { continue };
        let wanted = wanted(&site.now(), said, SystemClock.now());
        tokio::select! {
            () = shut(&mut shutdown) => return,
            () = tell(&client, wanted, said) => {}
        }
    }
}

/// The pools that live, to each of which nothing has been said: one of them may have been taken out of
/// the configuration while no engine ran. Nothing if that cannot be found out now.
async fn living(client: &SteadClient) -> Option<BTreeMap<String, String>> {
    let lines = client.list_all().await.ok()?;
    let lives = |line: &RunSummary| matches!(line.state, RunState::Running | RunState::Paused);
    let pools = lines.into_iter().filter(|line| line.kind == KIND && lives(line));
    Some(pools.map(|line| (line.name, String::new())).collect())
}

/// The id of what is to be said to each pool; one that was told before and is no longer in the
/// configuration is told that, too.
fn wanted(
    site: &Site,
    said: &BTreeMap<String, String>,
    now: Timestamp,
) -> BTreeMap<String, String> {
    let hour = now.as_millis() / i64::try_from(AGAIN.as_millis()).unwrap_or(i64::MAX);
    let gone = said.keys().map(|name| (name.clone(), format!("keep:{name}:gone:{hour}")));
    let there = site.pools.iter().map(|pool| {
        let template = site.templates.iter().find(|template| template.name == pool.template);
        let digest = fnv1a(json!([pool, template]).to_string().as_bytes());
        (pool.name.clone(), format!("keep:{}:{digest:08x}:{hour}", pool.name))
    });
    gone.chain(there).collect()
}

/// What is not taken in is said again the next time.
async fn tell(
    client: &SteadClient,
    wanted: BTreeMap<String, String>,
    said: &mut BTreeMap<String, String>,
) {
    let Ok(owner) = Owner::new(PLATFORM) else { return };
    for (name, id) in wanted {
        if said.get(&name) == Some(&id) {
            continue;
        }
        let fields: Map<String, Value> = Map::from_iter([("name".to_owned(), json!(name))]);
        let command = EntityCommand {
            kind: KIND.to_owned(),
            owner: owner.clone(),
            name: name.clone(),
            verb: "keep".to_owned(),
            fields,
            id: id.clone(),
            by: Caller::Engine,
        };
        let partition = command.key().partition(client.platform().partitions);
        match client.forward(partition, &command).await {
            // There is none, and none is wanted.
            CommandReply::Accepted(_) | CommandReply::Refused(_) => {
                said.insert(name, id);
            }
            reply => tracing::debug!(?reply, name, "a pool does not hear what it is to be"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stead_schemas::site::{PoolSite, Site};
    use stead_schemas::time::Timestamp;

    use super::{AGAIN, wanted};

    #[test]
    fn a_pool_is_told_what_is_new_and_once_an_hour_and_that_it_is_gone() {
        let pool = |ready| PoolSite {
            name: "a".into(),
            template: "t".into(),
            ready,
            ..PoolSite::default()
        };
        let site = |pools: &[PoolSite]| Site { pools: pools.to_vec(), ..Site::default() };
        let now = Timestamp::from_millis(0);
        let said = wanted(&site(&[pool(1)]), &BTreeMap::new(), now);
        assert_eq!(said.len(), 1);
        assert_eq!(wanted(&site(&[pool(1)]), &said, now), said, "nothing is new");
        assert_ne!(wanted(&site(&[pool(2)]), &said, now), said);
        assert_ne!(wanted(&site(&[pool(1)]), &said, now.after(AGAIN)), said);
        assert_eq!(wanted(&site(&[]), &said, now)["a"], "keep:a:gone:0");
        // It lived before this engine did.
        let found = BTreeMap::from([("b".to_owned(), String::new())]);
        assert_eq!(wanted(&site(&[pool(1)]), &found, now)["b"], "keep:b:gone:0");
    }
}
