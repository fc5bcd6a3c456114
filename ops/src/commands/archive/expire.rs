//! `stead archive expire`: has histories expire that are older than the site keeps them.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::TryStreamExt;
use serde_json::json;
use stead_nats::access::{public_key, sign};
use stead_nats::{NatsArchive, SteadClient};
use stead_runtime::archive;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::archive::{Burial, Segment};
use stead_schemas::ids::EntityKey;
use stead_schemas::time::Timestamp;

use super::partitions;
use crate::cli::Global;
use crate::cli::archive::Expire;
use crate::commands::ledger;
use crate::config::{AuditConfig, read_audit};
use crate::exit::Ended;
use crate::output;

/// A day.
const DAY: Duration = Duration::from_secs(86_400);

/// Whoever has histories expire.
struct Gravedigger {
    seed: String,
    public: String,
    who: String,
}

/// Why a segment that is old enough does not expire now.
enum Stay {
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
    let digger = if options.dry_run { None } else { Some(Gravedigger::of(&audit)?) };
    let now = SystemClock.now();
    let needed = needed(client).await?;
    let store = NatsArchive::new(client.platform());
    let mut all = Vec::new();
    for partition in partitions(client, &options.which)? {
        let epoch = client.epoch(partition).await?;
        for segment in archive::segments(&store, partition).await? {
            if now.since(segment.at) + DAY * options.clock_ahead_days < DAY * days {
                continue;
            }
            let stays = stays(&store, &segment, epoch, &needed).await?;
            // One that has expired is brought to its end, if that was broken off.
            let goes = !matches!(stays, Some(Stay::Needed(_)));
            if let (true, Some(digger)) = (goes, &digger) {
                let why = options.why.as_deref().unwrap_or_default();
                digger.expire(&store, &segment, now, why).await?;
            }
            all.push((segment, stays));
        }
    }
    tell(global, &all, days, options.dry_run);
    Ok(())
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

/// Why a segment that is old enough stays all the same.
async fn stays(
    store: &NatsArchive,
    segment: &Segment,
    epoch: u32,
    needed: &BTreeSet<EntityKey>,
) -> Result<Option<Stay>, Ended> {
    if let Some(tombstone) = archive::tombstone_of(store, segment).await? {
        let words = format!("expired {} by {}", tombstone.at, tombstone.who);
        return Ok(Some(Stay::Expired(words)));
    }
    if !archive::may_expire(store, segment) {
        let words = "stays: it was written when histories were kept for ever";
        return Ok(Some(Stay::Needed(words.to_owned())));
    }
    if segment.epoch >= epoch {
        let words = "stays: what is in it may still be in the log";
        return Ok(Some(Stay::Needed(words.to_owned())));
    }
    let lines = archive::lines(store, segment).await?;
    let needs = lines.iter().find(|line| needed.contains(&line.run.key()));
    Ok(needs.map(|line| {
        let (name, owner) = (&line.name, &line.owner);
        Stay::Needed(format!("stays: {name} of {owner} is in the log, or holds something outside"))
    }))
}

impl Gravedigger {
    fn of(audit: &AuditConfig) -> Result<Self, Ended> {
        let usage = |words: String| Ended::Usage(words);
        let seed = audit.key.as_ref().ok_or_else(|| {
            usage(
                "what expires leaves a signed tombstone: say by which key in `audit.key`"
                    .to_owned(),
            )
        })?;
        let seed = seed.expose().to_owned();
        let public = public_key(&seed).map_err(|error| usage(error.to_string()))?;
        let who = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
        Ok(Self { seed, public, who })
    }

    async fn expire(
        &self,
        store: &NatsArchive,
        segment: &Segment,
        at: Timestamp,
        why: &str,
    ) -> Result<(), Ended> {
        let burial = Burial { at, who: &self.who, why, key: &self.public };
        let sign = |bytes: &[u8]| sign(&self.seed, bytes).map_err(|error| error.to_string());
        archive::expire(store, segment, burial, sign).await?;
        Ok(())
    }
}

fn tell(global: &Global, all: &[(Segment, Option<Stay>)], days: u32, dry_run: bool) {
    if global.json {
        let each = all.iter().map(|(segment, stays)| {
            json!({
                "partition": segment.partition, "segment": segment.n, "runs": segment.runs,
                "expires": stays.is_none(), "words": stays.as_ref().map(Stay::words),
            })
        });
        output::json(&each.collect::<Vec<_>>());
        return;
    }
    for (segment, stays) in all {
        let expires = if dry_run { "would expire" } else { "has expired" };
        output::line(&format!(
            "{} {}",
            segment.name(),
            stays.as_ref().map_or(expires, Stay::words)
        ));
    }
    if all.is_empty() {
        output::line(&format!("no segment of the archive is older than {days} days"));
    }
}
