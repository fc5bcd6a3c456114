//! What Forgejo's answers mean. It says 404 as well to who may not see a thing, and 403 to a token
//! without the scope.

use stead_schemas::failure::{Class, Failure};

use crate::http::Effect;
use crate::trouble::Trouble;

/// The meaning of an answer that is no success.
pub(super) fn classify(status: u16, said: &str, effect: Effect) -> Trouble {
    let trouble = match status {
        401 => Trouble::new(Class::Auth, "Forgejo does not accept our token"),
        403 => Trouble::new(Class::Auth, "our Forgejo token may not do this"),
        404 => Trouble::Missing(Failure::new(
            Class::Permanent,
            "Forgejo has no such thing, or our token may not see it",
        )),
        409 => Trouble::Already(Failure::new(Class::Conflict, "Forgejo has one already")),
        423 => Trouble::new(Class::Permanent, "the repository is archived"),
        429 => Trouble::new(Class::Wait, "Forgejo asks us to come back later"),
        503 => Trouble::new(Class::VendorDown, "Forgejo is not in service"),
        500 | 502 | 504 => {
            Trouble::new(effect.when_lost(), format!("Forgejo is in trouble ({status})"))
        }
        _ => Trouble::new(Class::Permanent, format!("Forgejo refuses our request ({status})")),
    };
    trouble.vendor(said)
}

#[cfg(test)]
mod tests {
    use super::classify;
    use crate::http::Effect;
    use crate::trouble::Trouble;

    fn check(status: u16, effect: Effect, meaning: &str) {
        let found = match classify(status, "some words", effect) {
            Trouble::Missing(_) => "missing".to_owned(),
            Trouble::Already(_) => "already".to_owned(),
            Trouble::Other(failure) => format!("{:?}", failure.class),
        };
        assert_eq!(found, meaning, "{status}");
    }

    #[test]
    fn every_status_has_one_meaning() {
        let (none, possible) = (Effect::None, Effect::Possible);
        check(400, possible, "Permanent");
        check(401, none, "Auth");
        check(403, possible, "Auth");
        check(404, none, "missing");
        check(409, possible, "already");
        check(422, possible, "Permanent");
        check(423, possible, "Permanent");
        check(429, possible, "Wait");
        check(500, possible, "Ambiguous");
        check(500, none, "Retry");
        check(502, possible, "Ambiguous");
        check(503, possible, "VendorDown");
    }
}
