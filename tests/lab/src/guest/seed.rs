//! The seed: where the serial number says it is, fetched as cloud-init's NoCloud does.

use serde_json::Value;

use crate::world::World;

/// How often cloud-init asks for a part of the seed before it gives up.
const TRIES: u32 = 11;

/// What the serial number announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announcement {
    /// Ends in a slash.
    base: String,
    /// Whether the network data source takes what it finds. Without `dsmode=net` cloud-init
    /// 22.4.2 fetches everything and then throws it away.
    kept: bool,
}

/// A fetched seed.
pub(super) struct Seed {
    pub(super) instance: String,
    pub(super) user_data: String,
}

impl Announcement {
    pub(super) fn parse(serial: &str) -> Option<Self> {
        let mut parts = serial.split(';');
        let source = parts.next()?.strip_prefix("ds=")?;
        if !matches!(source, "nocloud" | "nocloud-net") {
            return None;
        }
        let (mut base, mut net) = (None, source == "nocloud-net");
        for part in parts {
            match part.split_once('=') {
                Some(("s" | "seedfrom", url)) => {
                    base = Some(url.trim_end_matches('/').to_owned() + "/")
                }
                Some(("dsmode", mode)) => net = mode == "net",
                Some(_) | None => {}
            }
        }
        Some(Self { base: base?, kept: net })
    }
}

/// Why a boot goes on without a seed.
pub(super) enum NoSeed {
    /// Fetched, then thrown away.
    Discarded,
    /// Not to be had.
    Unreachable,
}

/// Fetches the seed, network-config first.
pub(super) async fn fetch(world: &World, from: &Announcement) -> Result<Seed, NoSeed> {
    if !is_local(&from.base) {
        return Err(NoSeed::Unreachable);
    }
    if ask(world, &from.base, "network-config").await.is_none() {
        // Eleven questions, ten seconds in all on a real guest.
        world.pace.stage(1000).await;
    }
    let meta = insist(world, &from.base, "meta-data").await?;
    let user_data = insist(world, &from.base, "user-data").await?;
    // Vendor data may be missing.
    let _ = ask(world, &from.base, "vendor-data").await;
    if !from.kept {
        return Err(NoSeed::Discarded);
    }
    Ok(Seed { instance: instance_id(&meta), user_data })
}

async fn insist(world: &World, base: &str, part: &str) -> Result<String, NoSeed> {
    for attempt in 1..=TRIES {
        if let Some(text) = ask(world, base, part).await {
            return Ok(text);
        }
        tokio::time::sleep(world.pace.retry_pause(attempt)).await;
    }
    Err(NoSeed::Unreachable)
}

async fn ask(world: &World, base: &str, part: &str) -> Option<String> {
    let answer = world.http.get(format!("{base}{part}")).send().await.ok()?;
    answer.error_for_status().ok()?.text().await.ok()
}

/// The lab's traffic stays on loopback, whatever a serial number says.
pub(super) fn is_local(url: &str) -> bool {
    let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| matches!(host.as_str(), "127.0.0.1" | "localhost" | "[::1]"))
}

/// JSON or the one line of YAML that matters.
pub(super) fn instance_id(meta: &str) -> String {
    let from_json = serde_json::from_str::<Value>(meta).ok();
    let from_json = from_json.and_then(|meta| meta["instance-id"].as_str().map(str::to_owned));
    let from_line = || {
        let line = meta.lines().find_map(|line| line.strip_prefix("instance-id:"));
        line.map_or("nocloud", |id| id.trim().trim_matches(['"', '\''])).to_owned()
    };
    from_json.unwrap_or_else(from_line)
}

#[cfg(test)]
mod tests {
    use super::{Announcement, instance_id, is_local};

    #[test]
    fn only_the_network_mode_is_kept() {
        let kept = |serial| Announcement::parse(serial).map(|found| found.kept);
        assert_eq!(kept("ds=nocloud;dsmode=net;s=http://127.0.0.1/x/"), Some(true));
        assert_eq!(kept("ds=nocloud-net;s=http://127.0.0.1/x/"), Some(true));
        assert_eq!(kept("ds=nocloud;s=http://127.0.0.1/x/"), Some(false));
        assert_eq!(kept("ds=nocloud;dsmode=net"), None);
        assert_eq!(kept("0123456789"), None);
    }

    #[test]
    fn the_instance_id_is_read_from_either_spelling() {
        assert_eq!(instance_id("instance-id: i-1\nlocal-hostname: x\n"), "i-1");
        assert_eq!(instance_id("{\"instance-id\": \"i-2\"}"), "i-2");
        assert_eq!(instance_id(""), "nocloud");
    }

    #[test]
    fn nothing_leaves_the_machine() {
        assert!(is_local("http://127.0.0.1:80/") && is_local("http://localhost/"));
        assert!(!is_local("http://10.0.0.1/") && !is_local("nonsense"));
    }
}
