//! Whether payloads are encrypted, and whether every key to them is here.

use std::time::Duration;

use stead_nats::seal::{KeySeen, KeyState, inspect_keys};
use stead_nats::{Keys, Platform};
use tokio::time::timeout;

use super::finding::Finding;
use crate::config::Encryption;

const CHECK: &str = "encryption";
/// How long Vault may take to open the keys.
const OPENED_WITHIN: Duration = Duration::from_secs(5);

/// The keys, or that they cannot be had now.
pub async fn opened(keys: &Encryption) -> Result<Keys, Finding> {
    let failed = |words: String| {
        let mend = "unseal Vault, and let our login use that key: no engine starts before that";
        Finding::failed(CHECK, words, mend)
    };
    match timeout(OPENED_WITHIN, keys.open()).await {
        Ok(opened) => opened.map_err(|error| failed(error.to_string())),
        Err(_) => Err(failed("Vault does not open the keys".to_owned())),
    }
}

/// Looks at which keys the platform needs, and which we have.
pub async fn look(platform: &Platform, keys: &Encryption) -> Vec<Finding> {
    match inspect_keys(platform).await {
        Ok(seen) => findings(&seen, keys.names().first().copied()),
        Err(error) => {
            let mend = "look again when the server answers";
            vec![Finding::unseen(CHECK, format!("the records of keys: {error}"), mend)]
        }
    }
}

fn findings(seen: &[KeySeen], seals: Option<&str>) -> Vec<Finding> {
    let strange: Vec<Finding> = seen.iter().filter_map(strange).collect();
    if !strange.is_empty() {
        return strange;
    }
    let Some(seals) = seals else {
        return vec![Finding::ok(CHECK, "off: payloads lie plain on the servers' disks")];
    };
    if seen.iter().all(|key| key.id != seals) {
        let words = format!("nothing is sealed with the key `{seals}` yet");
        return vec![Finding::warning(CHECK, words, "start the engines anew, which read it then")];
    }
    let opens: Vec<&str> = seen.iter().map(|key| key.id.as_str()).collect();
    let words = format!("sealed with `{seals}`; every key is here: {}", opens.join(", "));
    vec![Finding::ok(CHECK, words)]
}

fn strange(key: &KeySeen) -> Option<Finding> {
    let KeyState::NotOurs(error) = &key.state else { return None };
    let words = format!("the record of a key that is in use since {}: {error}", key.since);
    let mend = "add the line of that key to what `encryption.keys` names; without it nobody reads \
                what it has sealed";
    Some(Finding::failed(CHECK, words, mend))
}

#[cfg(test)]
mod tests {
    use stead_nats::seal::{KeySeen, KeyState, NotOpened};
    use stead_schemas::time::Timestamp;

    use super::super::finding::Verdict;
    use super::findings;

    fn seen(id: &str, state: KeyState) -> KeySeen {
        KeySeen { id: id.to_owned(), since: Timestamp::from_millis(0), state }
    }

    fn check(seen: &[KeySeen], seals: Option<&str>, verdict: Verdict, words: &str) {
        let found = findings(seen, seals);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].verdict, verdict, "{found:?}");
        assert!(found[0].words.contains(words), "{found:?}");
    }

    #[test]
    fn a_key_that_is_missing_is_named() {
        let ours = Some("k2");
        let missing = seen("k1", KeyState::NotOurs(NotOpened::Missing("k1".to_owned())));
        check(&[], None, Verdict::Ok, "off");
        check(&[], ours, Verdict::Warning, "`k2` yet");
        check(&[seen("k2", KeyState::Ours)], ours, Verdict::Ok, "every key is here: k2");
        let both = [missing, seen("k2", KeyState::Ours)];
        check(&both, ours, Verdict::Failed, "`k1`, which is not among");
    }
}
