//! Whether payloads are encrypted, and whether every key to them is here.

use stead_nats::seal::{KeySeen, KeyState, inspect_keys};
use stead_nats::{Keys, Platform};

use super::finding::Finding;

const CHECK: &str = "encryption";

/// Looks at which keys the platform needs, and which we have.
pub async fn look(platform: &Platform, keys: &Keys) -> Vec<Finding> {
    match inspect_keys(platform).await {
        Ok(seen) => findings(&seen, keys),
        Err(error) => {
            let mend = "look again when the server answers";
            vec![Finding::unseen(CHECK, format!("the records of keys: {error}"), mend)]
        }
    }
}

fn findings(seen: &[KeySeen], keys: &Keys) -> Vec<Finding> {
    let strange: Vec<Finding> = seen.iter().filter_map(strange).collect();
    if !strange.is_empty() {
        return strange;
    }
    let Some(seals) = keys.names().next() else {
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
    use stead_nats::Keys;
    use stead_nats::seal::{KeySeen, KeyState, NotOpened, new_line};
    use stead_schemas::time::Timestamp;

    use super::super::finding::Verdict;
    use super::findings;

    fn seen(id: &str, state: KeyState) -> KeySeen {
        KeySeen { id: id.to_owned(), since: Timestamp::from_millis(0), state }
    }

    fn check(seen: &[KeySeen], keys: &Keys, verdict: Verdict, words: &str) {
        let found = findings(seen, keys);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].verdict, verdict, "{found:?}");
        assert!(found[0].words.contains(words), "{found:?}");
    }

    #[test]
    fn a_key_that_is_missing_is_named() {
        let keys = Keys::read(&new_line("k2").expect("a key")).expect("keys");
        let none = Keys::default();
        let missing = seen("k1", KeyState::NotOurs(NotOpened::Missing("k1".to_owned())));
        check(&[], &none, Verdict::Ok, "off");
        check(&[], &keys, Verdict::Warning, "`k2` yet");
        check(&[seen("k2", KeyState::Ours)], &keys, Verdict::Ok, "every key is here: k2");
        let both = [missing, seen("k2", KeyState::Ours)];
        check(&both, &keys, Verdict::Failed, "`k1`, which is not among");
    }
}
