//! The announcement of the seed to cloud-init, in the serial number of the machine's SMBIOS.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The `smbios1` setting that announces `seed_url` and keeps the machine's own uuid.
///
/// `dsmode=net` is not decoration: without it cloud-init 22.4 fetches the seed and then throws
/// it away, because it takes the network for a later stage's business.
pub(super) fn announcing(seed_url: &str, present: Option<&str>) -> String {
    let serial = STANDARD.encode(format!("ds=nocloud;dsmode=net;s={seed_url}"));
    let uuid =
        present.and_then(|present| present.split(',').find(|part| part.starts_with("uuid=")));
    match uuid {
        Some(uuid) => format!("{uuid},base64=1,serial={serial}"),
        None => format!("base64=1,serial={serial}"),
    }
}

/// The tags of an owner's machine. A tag is a label for people; two owners may share one.
pub(super) fn tags(owner: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let owner: String = owner.chars().map(plain).collect();
    format!("stead;owner-{owner}")
}

/// Whether two lists of tags name the same; Proxmox sorts them as it likes.
pub(super) fn same_tags(one: &str, other: &str) -> bool {
    let sorted = |tags: &str| {
        let mut tags: Vec<_> = tags.split([';', ',', ' ']).map(str::to_lowercase).collect();
        tags.retain(|tag| !tag.is_empty());
        tags.sort();
        tags
    };
    sorted(one) == sorted(other)
}

#[cfg(test)]
mod tests {
    use super::{announcing, same_tags, tags};

    #[test]
    fn the_announcement_keeps_the_uuid() {
        let set = announcing("http://h/ci/x/", Some("uuid=1-2,manufacturer=Q,base64=1"));
        assert_eq!(
            set,
            "uuid=1-2,base64=1,serial=ZHM9bm9jbG91ZDtkc21vZGU9bmV0O3M9aHR0cDovL2gvY2kveC8="
        );
    }

    #[test]
    fn tags_are_plain() {
        assert_eq!(tags("John.Doe"), "stead;owner-john-doe");
        assert!(same_tags("owner-a;stead", "stead;owner-a"));
        assert!(!same_tags("stead", "stead;owner-a"));
    }
}
