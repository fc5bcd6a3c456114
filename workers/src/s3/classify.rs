//! What Garage's answers mean, those of its administration API and those of S3 alike: a status and
//! a code.

use reqwest::StatusCode;
use stead_schemas::failure::{Class, Failure};

use crate::http::{Effect, in_front_of};
use crate::trouble::Trouble;

/// Said with a plain 400 where an alias is another bucket's.
const ALIAS_TAKEN: &str = "points to different bucket";

/// The meaning of an answer that is no success.
pub(super) fn classify(status: u16, code: &str, said: &str, effect: Effect) -> Trouble {
    let conflict = |words: &str| Failure::new(Class::Conflict, words);
    let trouble = match (status, code) {
        (400, _) if said.contains(ALIAS_TAKEN) => {
            Trouble::Already(conflict("the bucket's name is another one's"))
        }
        (401 | 403, _) => Trouble::new(Class::Auth, "S3 does not accept our key or token"),
        // S3 and Garage say what there is none of; a proxy in front of them does not.
        (404, "") => Trouble::Other(in_front_of("S3", StatusCode::NOT_FOUND, Class::VendorDown)),
        (404, _) => Trouble::Missing(Failure::new(Class::Permanent, "S3 has no such thing")),
        (409, "BucketNotEmpty") => Trouble::new(Class::Conflict, "the bucket holds something"),
        (409, "KeyAlreadyExists") => {
            Trouble::Already(conflict("the key is there, or was there before"))
        }
        (409, _) => Trouble::Already(conflict("S3 has one of that name")),
        (501, _) => Trouble::new(Class::Permanent, "this S3 does not know that call"),
        (429, _) => Trouble::new(Class::Wait, "S3 asks us to come back later"),
        // Not enough nodes answered each other: some may have done it.
        (503, _) if effect == Effect::None => {
            Trouble::new(Class::VendorDown, "S3 is not in service")
        }
        (500..=599, _) => Trouble::new(effect.when_lost(), format!("S3 is in trouble ({status})")),
        _ => Trouble::new(Class::Permanent, format!("S3 refuses our request ({status})")),
    };
    trouble.vendor(said)
}

#[cfg(test)]
mod tests {
    use super::classify;
    use crate::http::Effect;
    use crate::trouble::Trouble;

    fn check(status: u16, code: &str, effect: Effect, meaning: &str) {
        let found = match classify(status, code, "some words", effect) {
            Trouble::Missing(_) => "missing".to_owned(),
            Trouble::Already(_) => "already".to_owned(),
            Trouble::Other(failure) => format!("{:?}", failure.class),
        };
        assert_eq!(found, meaning, "{status} {code}");
    }

    #[test]
    fn every_status_has_one_meaning() {
        let (none, possible) = (Effect::None, Effect::Possible);
        check(400, "InvalidRequest", possible, "Permanent");
        check(403, "AccessDenied", none, "Auth");
        check(404, "NoSuchBucket", none, "missing");
        check(404, "", none, "VendorDown");
        check(409, "BucketAlreadyExists", possible, "already");
        check(409, "KeyAlreadyExists", possible, "already");
        check(409, "BucketNotEmpty", possible, "Conflict");
        check(429, "", possible, "Wait");
        check(500, "InternalError", possible, "Ambiguous");
        check(500, "InternalError", none, "Retry");
        check(501, "NotImplemented", possible, "Permanent");
        check(503, "ServiceUnavailable", possible, "Ambiguous");
        check(503, "ServiceUnavailable", none, "VendorDown");
    }

    #[test]
    fn an_alias_that_is_taken_is_told_by_its_words() {
        let said = "Bad request: Alias dev already exists and points to different bucket: 12";
        let trouble = classify(400, "InvalidRequest", said, Effect::Possible);
        assert!(matches!(trouble, Trouble::Already(_)), "{trouble:?}");
    }
}
