//! Whether a stream is what it must be. The server rewrites some settings without a word, and
//! people have other tools at hand than ours.

use async_nats::jetstream::stream::{
    Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType,
};

/// Everything by which a stream that keeps facts differs from a safe one, in words.
pub(super) fn deviations(wanted: &Config, found: &Config) -> Vec<String> {
    let mut all = lossy_settings(found, wanted.deny_delete);
    if found.subjects != wanted.subjects {
        all.push(format!("it captures {:?} instead of {:?}", found.subjects, wanted.subjects));
    }
    if found.num_replicas < wanted.num_replicas {
        all.push(format!(
            "it has {} replicas instead of {}",
            found.num_replicas, wanted.num_replicas
        ));
    }
    if wanted.allow_direct && !found.allow_direct {
        all.push("direct reads are off".to_string());
    }
    all
}

/// Only where nothing expires must single messages stay for ever.
fn lossy_settings(found: &Config, for_ever: bool) -> Vec<String> {
    let rules = [
        (found.storage != StorageType::File, "it is kept in memory only"),
        (found.retention != RetentionPolicy::Limits, "messages go when they are read"),
        (found.discard != DiscardPolicy::New, "the oldest messages make room for new ones"),
        (found.max_messages > 0, "the number of messages is limited"),
        (found.max_messages_per_subject > 0, "the number of messages of a run is limited"),
        (found.max_bytes > 0, "its size is limited"),
        (found.max_message_size > 0, "the size of a message is limited"),
        (!found.max_age.is_zero(), "messages go when they are old"),
        (found.no_ack, "nothing is acknowledged"),
        (found.persist_mode == Some(PersistenceMode::Async), "it acknowledges before it writes"),
        (for_ever && !found.deny_delete, "messages may be deleted"),
        (!for_ever && found.deny_delete, "nothing can expire: messages cannot be deleted"),
        (!found.deny_purge, "it may be purged"),
        (found.allow_rollup, "a message may replace others"),
        (found.allow_message_ttl, "messages may carry an end"),
        (
            found.subject_delete_marker_ttl.is_some_and(|ttl| !ttl.is_zero()),
            "it writes delete markers",
        ),
        (found.allow_message_schedules, "it takes scheduled messages"),
        (found.allow_message_counter, "it counts instead of keeping"),
        (found.sealed, "it is sealed"),
        (found.mirror.is_some(), "it mirrors another stream"),
        (
            found.sources.as_ref().is_some_and(|sources| !sources.is_empty()),
            "it copies other streams",
        ),
        (found.subject_transform.is_some(), "it renames subjects"),
    ];
    rules.into_iter().filter(|(broken, _)| *broken).map(|(_, words)| words.to_string()).collect()
}

/// Whether a stream of messages that may be lost does what it is for.
pub(super) fn works_as(wanted: &Config, found: &Config) -> bool {
    differences(wanted, found).is_empty()
}

/// Everything by which it does not, in words.
pub(super) fn differences(wanted: &Config, found: &Config) -> Vec<String> {
    let rules = [
        (found.subjects != wanted.subjects, "it captures other subjects"),
        (found.retention != wanted.retention, "it keeps messages by another rule"),
        (found.discard != wanted.discard, "when it is full, it discards others"),
        (found.max_bytes != wanted.max_bytes, "its size is limited otherwise"),
        (found.max_age != wanted.max_age, "messages last otherwise"),
        (
            found.max_messages_per_subject != wanted.max_messages_per_subject,
            "it keeps another number of messages of a subject",
        ),
        (
            found.allow_message_ttl != wanted.allow_message_ttl,
            "whether messages may carry an end is otherwise",
        ),
        (found.num_replicas < wanted.num_replicas, "it has fewer replicas"),
    ];
    rules.into_iter().filter(|(other, _)| *other).map(|(_, words)| words.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_nats::jetstream::stream::{Config, DiscardPolicy};

    use super::deviations;

    fn safe() -> Config {
        Config {
            subjects: vec!["stead.log.0.1.*".into()],
            discard: DiscardPolicy::New,
            max_bytes: -1,
            max_messages: -1,
            max_messages_per_subject: -1,
            num_replicas: 1,
            deny_delete: true,
            deny_purge: true,
            allow_direct: true,
            ..Config::default()
        }
    }

    fn check(change: impl FnOnce(&mut Config), words: &[&str]) {
        let mut found = safe();
        change(&mut found);
        assert_eq!(deviations(&safe(), &found), words);
    }

    #[test]
    fn each_unsafe_setting_is_named() {
        check(|_| {}, &[]);
        check(|found| found.deny_purge = false, &["it may be purged"]);
        check(|found| found.max_age = Duration::from_secs(1), &["messages go when they are old"]);
        check(|found| found.allow_message_ttl = true, &["messages may carry an end"]);
        check(
            |found| {
                found.num_replicas = 0;
                found.deny_delete = false;
            },
            &["messages may be deleted", "it has 0 replicas instead of 1"],
        );
    }
}
