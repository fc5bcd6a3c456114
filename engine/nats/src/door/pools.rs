//! Tells each pool, each backup and each template of a repository what the site's configuration says of it,
//! when that is new, and once an hour in any case. Every engine does; that each says the same under the
//! same id makes it one command.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use stead_runtime::env::CurrentSite;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::command::{backup, template};
use stead_schemas::dispatch::{Caller, CommandReply, EntityCommand};
use stead_schemas::ids::fnv1a;
use stead_schemas::owner::Owner;
use stead_schemas::site::Site;
use stead_schemas::step::pool;
use stead_schemas::step::vmids::PLATFORM;
use stead_schemas::time::Timestamp;
use tokio::time::sleep;

use super::{Shutdown, shut};
use crate::client::SteadClient;
use crate::platform::Platform;

/// How often to look whether the configuration is another one.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// What somebody has ended begins anew after so long.
const AGAIN: Duration = Duration::from_secs(60 * 60);

/// Of which kind one is, whose, and its name.
type Which = (&'static str, String, String);

/// What was said to each: the id under which it was.
type Said = BTreeMap<Which, String>;

/// Tells them what they are to be until the door is shut.
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

/// Those that live, to each of which nothing has been said: one of them may have been taken out of the
/// configuration while no engine ran. Nothing if that cannot be found out now.
async fn living(client: &SteadClient) -> Option<Said> {
    let mut said = Said::new();
    for kind in [pool::KIND, backup::KIND, template::KIND] {
        let lines = client.list_kind(kind, None).await;
        let lines =
            lines.inspect_err(|error| tracing::debug!(kind, %error, "cannot list yet")).ok()?;
        let living = lines.into_iter().filter(|line| line.state.lives());
        said.extend(living.map(|line| ((kind, line.owner.to_string(), line.name), String::new())));
    }
    Some(said)
}

/// The id of what is to be said to each; one that was told before and is no longer in the
/// configuration is told that, too.
fn wanted(site: &Site, said: &Said, now: Timestamp) -> Said {
    let hour = now.as_millis() / i64::try_from(AGAIN.as_millis()).unwrap_or(i64::MAX);
    let id = |name: &str, what: Value| {
        let digest = fnv1a(what.to_string().as_bytes());
        format!("keep:{name}:{digest:08x}:{hour}")
    };
    let gone = said.keys().map(|which| (which.clone(), gone(&which.2, hour)));
    let ours = |kind, name: &String| (kind, PLATFORM.to_owned(), name.clone());
    let pools = site.pools.iter().map(|pool| {
        let template = site.templates.iter().find(|template| template.name == pool.template);
        (ours(pool::KIND, &pool.name), id(&pool.name, json!([pool, template])))
    });
    let backups = site.backups.iter().map(|backup| {
        let logins = json!([site.nas, site.truenas.secret, site.kubernetes, site.proxmox.secret]);
        (ours(backup::KIND, &backup.name), id(&backup.name, json!([backup, logins])))
    });
    let deployments = site.deployments.iter().map(|deployment| {
        let name = &deployment.template;
        let shown = site.templates.iter().filter(|template| template.coder_template == *name);
        let about = json!([deployment, site.coder, site.forgejo, shown.collect::<Vec<_>>()]);
        ((template::KIND, deployment.owner().to_owned(), name.clone()), id(name, about))
    });
    gone.chain(pools).chain(backups).chain(deployments).collect()
}

fn gone(name: &str, hour: i64) -> String {
    format!("keep:{name}:gone:{hour}")
}

/// What is not taken in is said again the next time.
async fn tell(client: &SteadClient, wanted: Said, said: &mut Said) {
    for ((kind, owner, name), id) in wanted {
        let which = (kind, owner.clone(), name.clone());
        if said.get(&which) == Some(&id) {
            continue;
        }
        // The configuration was checked.
        let Ok(owner) = Owner::new(&owner) else { continue };
        let fields: Map<String, Value> = Map::from_iter([("name".to_owned(), json!(name))]);
        let command = EntityCommand {
            kind: kind.to_owned(),
            owner,
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
                said.insert(which, id);
            }
            reply => tracing::debug!(?reply, name, kind, "it does not hear what it is to be"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stead_schemas::command::{backup, template};
    use stead_schemas::site::{BackupOf, BackupSite, Deployment, PoolSite, Site, ZfsBackup};
    use stead_schemas::step::pool;
    use stead_schemas::time::Timestamp;

    use super::{AGAIN, PLATFORM, Which, wanted};

    fn ours(kind: &'static str) -> Which {
        (kind, PLATFORM.to_owned(), "a".to_owned())
    }

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
        assert_eq!(wanted(&site(&[]), &said, now)[&ours(pool::KIND)], "keep:a:gone:0");
        // It lived before this engine did.
        let other = (pool::KIND, PLATFORM.to_owned(), "b".to_owned());
        let found = BTreeMap::from([(other.clone(), String::new())]);
        assert_eq!(wanted(&site(&[pool(1)]), &found, now)[&other], "keep:b:gone:0");
    }

    #[test]
    fn a_backup_is_told_as_a_pool_is_even_one_of_its_name() {
        let backup = |cron: &str| BackupSite {
            name: "a".into(),
            cron: cron.into(),
            time_zone: "UTC".into(),
            keep_days: 7,
            of: BackupOf::Zfs(ZfsBackup::default()),
        };
        let pools = vec![PoolSite { name: "a".into(), ..PoolSite::default() }];
        let site =
            |cron| Site { pools: pools.clone(), backups: vec![backup(cron)], ..Site::default() };
        let now = Timestamp::from_millis(0);
        let said = wanted(&site("@daily"), &BTreeMap::new(), now);
        let key = ours(backup::KIND);
        assert_eq!((said.len(), said.contains_key(&key)), (2, true));
        assert_ne!(wanted(&site("@weekly"), &said, now)[&key], said[&key]);
        let none = Site { pools: pools.clone(), ..Site::default() };
        assert_eq!(wanted(&none, &said, now)[&key], "keep:a:gone:0");
    }

    #[test]
    fn a_template_is_told_whose_repository_it_is_made_of_and_when_it_is_looked_at() {
        let site = |owner: &str, poll: Option<&str>| Site {
            deployments: vec![Deployment {
                template: "a".into(),
                repository: format!("{owner}/templates"),
                poll: poll.map(Into::into),
                ..Deployment::default()
            }],
            ..Site::default()
        };
        let now = Timestamp::from_millis(0);
        let which = |owner: &str| (template::KIND, owner.to_owned(), "a".to_owned());
        let said = wanted(&site("john", Some("@daily")), &BTreeMap::new(), now);
        assert_eq!(said.keys().collect::<Vec<_>>(), [&which("john")]);
        assert_ne!(wanted(&site("john", None), &said, now), said);
        let moved = wanted(&site("mary", Some("@daily")), &said, now);
        assert_eq!(moved[&which("john")], "keep:a:gone:0");
        assert!(moved.contains_key(&which("mary")));
    }
}
