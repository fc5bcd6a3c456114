//! Whether a tombstone bears a signature that counts.

use stead_nats::access::{has_signed, public_key};
use stead_schemas::archive::Tombstone;

use crate::config::AuditConfig;

/// What is wrong with the signature of a tombstone. Where nobody says whose signature counts, any
/// key's does, and it is only shown which.
pub fn fault(tombstone: &Tombstone, audit: &AuditConfig) -> Option<String> {
    let Tombstone { n, key, signature, .. } = tombstone;
    if !has_signed(key, &tombstone.signed(), signature) {
        return Some(format!("tombstone {n} is forged: the key that it names has not signed it"));
    }
    let own = audit.key.as_ref().and_then(|seed| public_key(seed.expose()).ok());
    let counts = own.iter().chain(&audit.signers).any(|known| known == key);
    if counts || audit.signers.is_empty() && own.is_none() {
        return None;
    }
    Some(format!("tombstone {n} is signed by {key}, which is not among `audit.signers`"))
}

#[cfg(test)]
mod tests {
    use stead_nats::access::{new_seed, public_key, sign};
    use stead_schemas::archive::Tombstone;
    use stead_schemas::ids::Partition;
    use stead_schemas::time::Timestamp;

    use super::fault;
    use crate::config::AuditConfig;

    fn tombstone(key: &str) -> Tombstone {
        Tombstone {
            v: 1,
            partition: Partition(0),
            n: 1,
            segment: 3,
            record: "record".to_owned(),
            runs: 7,
            messages: 70,
            histories: "histories".to_owned(),
            lines: "lines".to_owned(),
            written: Timestamp::from_millis(1),
            at: Timestamp::from_millis(2),
            who: "jane".to_owned(),
            why: "kept for long enough".to_owned(),
            key: key.to_owned(),
            prev: String::new(),
            signature: String::new(),
        }
    }

    #[test]
    fn only_the_signature_of_a_known_key_over_all_of_it_counts() {
        let seed = new_seed().expect("a seed");
        let key = public_key(&seed).expect("its public half");
        let mut signed = tombstone(&key);
        signed.signature = sign(&seed, &signed.signed()).expect("signed");
        let other = public_key(&new_seed().expect("a seed")).expect("its public half");
        let nobody = AuditConfig::default();
        let hers = AuditConfig { signers: vec![other.clone(), key], ..AuditConfig::default() };
        let strangers = AuditConfig { signers: vec![other.clone()], ..AuditConfig::default() };
        assert_eq!(fault(&signed, &nobody), None);
        assert_eq!(fault(&signed, &hers), None);
        let words = fault(&signed, &strangers).expect("another key");
        assert!(words.contains("not among `audit.signers`"), "{words}");
        for forged in [
            Tombstone { runs: 8, ..signed.clone() },
            Tombstone { who: "john".to_owned(), ..signed.clone() },
            Tombstone { key: other, ..signed.clone() },
            Tombstone { signature: String::new(), ..signed },
        ] {
            let words = fault(&forged, &hers).expect("a forgery");
            assert!(words.contains("is forged"), "{words}");
        }
    }
}
