//! Subjects, owners, ids: whatever is read is the one spelling of what it means.

use stead_schemas::ids::{Partition, RunId};
use stead_schemas::owner::{Owner, decode_token, encode_token};
use stead_schemas::subjects;

/// Tries one input.
pub fn target(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let token = encode_token(text);
    assert_eq!(decode_token(&token).as_deref(), Some(text));
    if let Some(plain) = decode_token(text) {
        assert_eq!(encode_token(&plain), text);
    }
    if let Ok(owner) = Owner::new(text) {
        assert_eq!(Owner::from_token(&owner.token()), Ok(owner));
    }
    if let Ok(owner) = Owner::from_token(text) {
        assert_eq!(owner.token(), text);
    }
    if let Ok(run) = text.parse::<RunId>() {
        assert_eq!((run.as_str(), run.key().run(run.life())), (text, run.clone()));
        assert!(run.partition(7).0 < 7);
    }
    if let Some(said) = subjects::parse_answer(text) {
        let (address, attempt) = (&said.address, said.attempt);
        let subject = match &said.proof {
            Some(proof) => subjects::answer(Partition(0), address, attempt, proof),
            None => subjects::told(Partition(0), address, attempt),
        };
        assert_eq!(subjects::parse_answer(&subject), Some(said));
    }
    if let Some(said) = subjects::parse_command(text) {
        let rest = format!("{}.{}.{}", said.owner, said.kind, said.verb);
        assert!(text.ends_with(&rest));
    }
}
