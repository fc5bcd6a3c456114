//! What lies sealed in the log and in the archive: a line with the key's name, and then the body. Only
//! what was sealed opens, and nothing that was changed does.

use stead_nats::Keys;

const KEYS: &str = "k1 MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// Where what is opened stands: the first one is that of the seeds, the second one is the record of a key.
const SUBJECTS: [&str; 2] = ["stead.log.0.0.workspace-k3j5x7q2m4n6p8r9-1", "stead.archive.key.k1"];

/// Tries one input.
pub fn target(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let (id, body) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let Ok(id) = str::from_utf8(id) else { return };
    let _refused = Keys::read(id);
    let keys = Keys::read(KEYS).expect("a key");
    for subject in SUBJECTS {
        match keys.open_sealed(subject, id, body.to_vec()) {
            Ok(opened) => {
                assert!(opened.len() < body.len());
                assert!(keys.open_sealed("stead.log.0.0.another", id, body.to_vec()).is_err());
                let mut changed = body.to_vec();
                changed[0] ^= 1;
                assert!(keys.open_sealed(subject, id, changed).is_err());
            }
            Err(error) => assert!(!error.to_string().contains(char::is_control)),
        }
    }
}
