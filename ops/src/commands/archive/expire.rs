//! `stead archive expire`: has histories expire that are older than the site keeps them. By hand, or
//! by an engine (`by_itself.rs`).

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::TryStreamExt;
use serde_json::json;
use stead_nats::access::{public_key, sign};
use stead_nats::{NatsArchive, SteadClient};
use stead_runtime::archive::{self, Graveyard};
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::archive::{Burial, Segment};
use stead_schemas::ids::{EntityKey, Partition};
use stead_schemas::time::Timestamp;

use super::partitions;
use crate::cli::Global;
use crate::cli::archive::Expire;
use crate::commands::ledger;
use crate::config::{AuditConfig, read_audit};
use crate::exit::Ended;
use crate::output;
use crate::story::words::counted;

/// A day.
const DAY: Duration = Duration::from_secs(86_400);

/// Whoever has histories expire.
pub(super) struct Gravedigger {
    seed: String,
    public: String,
    pub who: String,
    pub why: String,
}

/// What is old enough to expire.
pub(super) struct Old {
    pub days: u32,
    /// So many days the clock is ahead: tests cannot wait.
    pub ahead_days: u32,
}

/// What has become of what is old.
#[derive(Default)]
pub(super) struct Done {
    pub segments: Vec<(Segment, Option<Stay>)>,
    /// Copies that no segment names, and what was left of segments, that are gone.
    pub swept: u64,
}

/// Why a segment that is old enough does not expire now.
pub(super) enum Stay {
    /// It has, in these words.
    Expired(String),
    /// It must not, in these words.
    Needed(String),
}

impl Stay {
    fn words(&self) -> &str {
        match self {
            Self::Expired(words) | Self::Needed(words) => words,
        }
    }
}

/// Carries the verb out.
pub async fn carry_out(
    global: &Global,
    client: &SteadClient,
    options: &Expire,
) -> Result<(), Ended> {
    let audit = read_audit(&global.config)?;
    let Some(days) = audit.keep_days else {
        let words = "nothing expires: histories are kept for ever unless `audit.keep_days` says \
                     otherwise";
        return Err(Ended::Usage(words.to_owned()));
    };
    let who = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    let why = options.why.clone().unwrap_or_default();
    let digger = if options.dry_run { None } else { Some(Gravedigger::of(&audit, who, why)?) };
    let old = Old { days, ahead_days: options.clock_ahead_days };
    let partitions = partitions(client, &options.which)?;
    let done = old.expire(client, &partitions, digger.as_ref()).await?;
    tell(global, &done, days, options.dry_run);
    Ok(())
}

impl Old {
    /// Has expire what may, or only says what would if there is nobody to do it.
    pub(super) async fn expire(
        &self,
        client: &SteadClient,
        partitions: &[Partition],
        digger: Option<&Gravedigger>,
    ) -> Result<Done, Ended> {
        let (now, store) = (SystemClock.now(), NatsArchive::new(client.platform()));
        let mut done = Done::default();
        for partition in partitions {
            done.segments.extend(self.segments(client, &store, *partition, now).await?);
        }
        if done.segments.iter().any(|(_, stays)| stays.is_none()) {
            let needed = needed(client).await?;
            for (segment, stays) in done.segments.iter_mut().filter(|(_, stays)| stays.is_none()) {
                *stays = needs(&store, segment, &needed).await?;
                if let (None, Some(digger)) = (&stays, digger) {
                    digger.expire(&store, segment, now).await?;
                }
            }
        }
        if digger.is_some() {
            done.swept = archive::sweep(&store, client.platform().all_partitions()).await?;
        }
        Ok(done)
    }

    /// The segments that are old enough, and why each stays as far as that shows at once.
    async fn segments(
        &self,
        client: &SteadClient,
        store: &NatsArchive,
        partition: Partition,
        now: Timestamp,
    ) -> Result<Vec<(Segment, Option<Stay>)>, Ended> {
        let epoch = client.epoch(partition).await?;
        let gone = Graveyard::of(store, partition).await?;
        let mut segments = archive::segments(store, partition).await?;
        let ahead = DAY * self.ahead_days;
        segments.retain(|segment| now.since(segment.at) + ahead >= DAY * self.days);
        let stays = |segment: &Segment| {
            if let Some(tombstone) = gone.known(segment) {
                let words = format!("expired {} by {}", tombstone.at, tombstone.who);
                return Some(Stay::Expired(words));
            }
            if !archive::may_expire(store, segment) {
                let words = "stays: it was written when histories were kept for ever";
                return Some(Stay::Needed(words.to_owned()));
            }
            (segment.epoch >= epoch)
                .then(|| Stay::Needed("stays: what is in it may still be in the log".to_owned()))
        };
        let each = segments.into_iter().map(|segment| {
            let stays = stays(&segment);
            (segment, stays)
        });
        Ok(each.collect())
    }
}

/// Entities of which nothing may go: those that hold something outside, and those of which
/// something is in the log.
async fn needed(client: &SteadClient) -> Result<BTreeSet<EntityKey>, Ended> {
    let mut needed = BTreeSet::new();
    for partition in client.platform().all_partitions() {
        let mut messages = client.read_partition(partition).await?;
        while let Some(message) = messages.try_next().await? {
            needed.insert(message.run.key());
        }
    }
    let book = ledger::read(client, false, None).await?;
    if !book.unread.is_empty() {
        let steps = book.unread.into_iter().collect::<Vec<_>>().join(", ");
        let words = format!("this build cannot tell what these steps made outside: {steps}");
        return Err(Ended::Failed(words));
    }
    needed.extend(book.held.iter().map(|held| held.run.key()));
    Ok(needed)
}

/// Why a segment stays that may expire: somebody needs an entity in it.
async fn needs(
    store: &NatsArchive,
    segment: &Segment,
    needed: &BTreeSet<EntityKey>,
) -> Result<Option<Stay>, Ended> {
    let lines = archive::lines(store, segment, &mut Graveyard::default()).await?;
    let needs = lines.iter().find(|line| needed.contains(&line.run.key()));
    Ok(needs.map(|line| {
        let (name, owner) = (&line.name, &line.owner);
        Stay::Needed(format!("stays: {name} of {owner} is in the log, or holds something outside"))
    }))
}

impl Gravedigger {
    pub(super) fn of(audit: &AuditConfig, who: String, why: String) -> Result<Self, Ended> {
        let usage = |words: String| Ended::Usage(words);
        let seed = audit.key.as_ref().ok_or_else(|| {
            usage(
                "what expires leaves a signed tombstone: say by which key in `audit.key`"
                    .to_owned(),
            )
        })?;
        let seed = seed.expose().to_owned();
        let public = public_key(&seed).map_err(|error| usage(error.to_string()))?;
        Ok(Self { seed, public, who, why })
    }

    async fn expire(
        &self,
        store: &NatsArchive,
        segment: &Segment,
        at: Timestamp,
    ) -> Result<(), Ended> {
        let burial = Burial { at, who: &self.who, why: &self.why, key: &self.public };
        let sign = |bytes: &[u8]| sign(&self.seed, bytes).map_err(|error| error.to_string());
        archive::expire(store, segment, burial, sign).await?;
        Ok(())
    }
}

fn tell(global: &Global, done: &Done, days: u32, dry_run: bool) {
    if global.json {
        let each = done.segments.iter().map(|(segment, stays)| {
            json!({
                "partition": segment.partition, "segment": segment.n, "runs": segment.runs,
                "expires": stays.is_none(), "words": stays.as_ref().map(Stay::words),
            })
        });
        output::json(&each.collect::<Vec<_>>());
        return;
    }
    for (segment, stays) in &done.segments {
        let expires = if dry_run { "would expire" } else { "has expired" };
        output::line(&format!(
            "{} {}",
            segment.name(),
            stays.as_ref().map_or(expires, Stay::words)
        ));
    }
    if done.segments.is_empty() {
        output::line(&format!("no segment of the archive is older than {days} days"));
    }
    if done.swept > 0 {
        let parts = counted(done.swept, "part");
        output::line(&format!("{parts} of the shelf that no segment needs: gone"));
    }
}
