//! Folds every history there is: first those in the log, partition by partition, then those in the
//! archive. In this order a run that goes into the archive meanwhile is seen at least once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::TryStreamExt;
use stead_core::ledger::Ledger;
use stead_nats::{NatsArchive, SteadClient};
use stead_runtime::archive::{self, Graveyard};
use stead_runtime::ports::LogError;
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::ledger::{Held, Standing};
use stead_schemas::step::touch::Resource;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;

use crate::exit::Ended;

/// How often a partition is read anew whose epoch is left meanwhile.
const READS_MAX: u32 = 5;

/// What all runs together hold.
#[derive(Debug, Default)]
pub struct Book {
    /// The resources, run by run.
    pub held: Vec<Held>,
    /// Steps of which this build does not know what they make.
    pub unread: BTreeSet<String>,
    /// What runs took away that others had left.
    cleared: BTreeSet<(String, String)>,
}

/// Reads the whole ledger, as it was at that time if one is named. Only what is held is kept in
/// memory.
pub async fn read(
    client: &SteadClient,
    no_archive: bool,
    until: Option<Timestamp>,
) -> Result<Book, Ended> {
    let (mut book, mut found) = (Book::default(), BTreeMap::new());
    let archive = NatsArchive::new(client.platform());
    for partition in client.platform().all_partitions() {
        for (run, ledger) in in_log(client, partition, until).await? {
            book.note(&mut found, run, &ledger);
        }
        if no_archive {
            continue;
        }
        let mut gone = Graveyard::default();
        for segment in archive::segments(&archive, partition).await? {
            for history in archive::histories(&archive, &segment, &mut gone).await? {
                let mut ledger = Ledger::new(history.run.clone());
                for message in &history.messages {
                    take(&mut ledger, &message.bytes, until)?;
                }
                book.note(&mut found, history.run, &ledger);
            }
        }
    }
    book.close(found);
    Ok(book)
}

async fn in_log(
    client: &SteadClient,
    partition: Partition,
    until: Option<Timestamp>,
) -> Result<HashMap<RunId, Ledger>, Ended> {
    let mut reads = 1;
    loop {
        match once(client, partition, until).await {
            Err(Unread::Log(_)) if reads < READS_MAX => reads += 1,
            Err(Unread::Log(error)) => return Err(error.into()),
            Err(Unread::Message(ended)) => return Err(ended),
            Ok(ledgers) => return Ok(ledgers),
        }
    }
}

enum Unread {
    Log(LogError),
    Message(Ended),
}

async fn once(
    client: &SteadClient,
    partition: Partition,
    until: Option<Timestamp>,
) -> Result<HashMap<RunId, Ledger>, Unread> {
    let mut ledgers: HashMap<RunId, Ledger> = HashMap::new();
    let mut messages = client.read_partition(partition).await.map_err(Unread::Log)?;
    while let Some(recorded) = messages.try_next().await.map_err(Unread::Log)? {
        let new = || Ledger::new(recorded.run.clone());
        let ledger = ledgers.entry(recorded.run.clone()).or_insert_with(new);
        take(ledger, &recorded.bytes, until).map_err(Unread::Message)?;
    }
    Ok(ledgers)
}

fn take(ledger: &mut Ledger, bytes: &[u8], until: Option<Timestamp>) -> Result<(), Ended> {
    let transition = Transition::decode(bytes).map_err(|error| Ended::Failed(error.to_string()))?;
    if until.is_none_or(|until| transition.at <= until) {
        ledger.take(&transition);
    }
    Ok(())
}

impl Book {
    /// All runs are noted: what one of them has left and another one taken away is held no more.
    fn close(&mut self, found: BTreeMap<RunId, Vec<Held>>) {
        let held = found.into_values().flatten();
        self.held = held.filter(|held| !self.is_cleared(held)).collect();
    }

    fn is_cleared(&self, held: &Held) -> bool {
        let names = [Some(held.resource.clone()), held.resource.whole()];
        let is_gone = |name: Resource| self.cleared.contains(&(name.path(), held.marker.clone()));
        held.standing == Standing::Left && names.into_iter().flatten().any(is_gone)
    }

    fn note(&mut self, found: &mut BTreeMap<RunId, Vec<Held>>, run: RunId, ledger: &Ledger) {
        self.unread.extend(ledger.unread().iter().cloned());
        self.cleared.extend(ledger.cleared().iter().cloned());
        if ledger.held().is_empty() {
            found.remove(&run);
        } else {
            found.insert(run, ledger.held().to_vec());
        }
    }
}

#[cfg(test)]
mod tests {
    use stead_schemas::ids::EntityKey;
    use stead_schemas::owner::Owner;

    use super::*;

    /// What is held of these, once a run has taken away a machine that another one had left.
    fn held(left: &[Resource]) -> Vec<String> {
        let owner = Owner::new("john").expect("a plain name");
        let run = EntityKey::of("workspace", &owner, "dev").run(1);
        let hold = |resource: &Resource| Held {
            resource: resource.clone(),
            marker: run.to_string(),
            standing: Standing::Left,
            owner: owner.clone(),
            entity: "workspace".to_owned(),
            name: "dev".to_owned(),
            run: run.clone(),
            since: Timestamp::from_millis(0),
            seen: None,
            quota_bytes: None,
            step: "proxmox.clone-vm".to_owned(),
            why: String::new(),
        };
        let cleared = [("proxmox/machine/7".to_owned(), run.to_string())];
        let mut book = Book { cleared: cleared.into(), ..Book::default() };
        book.close([(run.clone(), left.iter().map(hold).collect())].into());
        book.held.iter().map(|held| held.resource.path()).collect()
    }

    #[test]
    fn what_another_run_took_away_is_held_no_more_and_neither_is_what_went_with_it() {
        let of = |kind: &str, id: &str| Resource::new("proxmox", kind, id);
        let left = [
            of("machine", "7"),
            of("snapshot", "7/monday"),
            of("machine", "70"),
            of("snapshot", "70/monday"),
        ];
        assert_eq!(held(&left), ["proxmox/machine/70", "proxmox/snapshot/70/monday"]);
    }
}
