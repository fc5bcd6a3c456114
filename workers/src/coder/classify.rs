//! What Coder's answers mean. A 404 says as well that we may not see it, and a deleted workspace
//! answers 410.
//!
//! The words in the tests are those of its source and documentation of 2026; none was recorded on a running
//! one.

use stead_schemas::failure::{Class, Failure};

use crate::http::Effect;
use crate::trouble::Trouble;

/// The meaning of an answer that is no success.
pub(super) fn classify(status: u16, said: &str, effect: Effect) -> Trouble {
    let trouble = match status {
        401 => Trouble::new(Class::Auth, "Coder does not accept our token"),
        403 => Trouble::new(Class::Auth, "our Coder token may not do this"),
        400 if said.contains("must be an existing uuid or username") => {
            Trouble::Missing(Failure::new(Class::Permanent, "Coder has no such user"))
        }
        400 if said.contains("already archived") => {
            Trouble::Already(Failure::new(Class::Conflict, "Coder has archived it already"))
        }
        404 | 410 => Trouble::Missing(Failure::new(Class::Permanent, "Coder has no such thing")),
        409 if said.contains("already active") => {
            Trouble::new(Class::Wait, "another build of the workspace is going on")
        }
        409 => Trouble::Already(Failure::new(Class::Conflict, "Coder has one of that name")),
        412 => Trouble::new(Class::Retry, "the build had moved on"),
        413 => Trouble::new(Class::Permanent, "Coder does not take a file of that size"),
        429 => Trouble::new(Class::Wait, "Coder asks us to come back later"),
        503 => Trouble::new(Class::VendorDown, "Coder is not in service"),
        500 | 502 | 504 => {
            Trouble::new(effect.when_lost(), format!("Coder is in trouble ({status})"))
        }
        _ => Trouble::new(Class::Permanent, format!("Coder refuses our request ({status})")),
    };
    trouble.vendor(said)
}

#[cfg(test)]
mod tests {
    use super::classify;
    use crate::http::Effect;
    use crate::trouble::Trouble;

    fn check(status: u16, said: &str, meaning: &str) {
        let found = match classify(status, said, Effect::Possible) {
            Trouble::Missing(_) => "missing".to_owned(),
            Trouble::Already(_) => "already".to_owned(),
            Trouble::Other(failure) => format!("{:?}", failure.class),
        };
        assert_eq!(found, meaning, "{status} {said}");
    }

    #[test]
    fn every_status_has_one_meaning() {
        check(400, "Validation failed.", "Permanent");
        check(400, "\"user\" must be an existing uuid or username.", "missing");
        check(400, "This template version is already archived", "already");
        check(401, "", "Auth");
        check(403, "Forbidden.", "Auth");
        check(404, "Resource not found", "missing");
        check(409, "Workspace \"dev\" already exists.", "already");
        check(409, "A workspace build is already active.", "Wait");
        check(410, "Workspace was deleted.", "missing");
        check(412, "", "Retry");
        check(413, "", "Permanent");
        check(429, "You've been rate limited", "Wait");
        check(500, "", "Ambiguous");
        check(502, "", "Ambiguous");
        check(503, "", "VendorDown");
    }
}
