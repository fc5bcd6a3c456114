//! What Authentik's answers mean. A token that it does not accept is a 403 as well as one that lacks a
//! permission; its `detail` tells which.
//!
//! The words in the tests are those of its source and of the framework beneath it; none was recorded on a
//! running one.

use stead_schemas::failure::{Class, Failure};

use crate::trouble::Trouble;

/// The meaning of an answer that is no success. Nothing that we ask changes anything, and so no answer
/// leaves doubt.
pub(super) fn classify(status: u16, said: &str) -> Trouble {
    let trouble = match status {
        401 => Trouble::new(Class::Auth, "Authentik does not accept our token"),
        403 if said.contains("Token invalid") || said.contains("credentials") => {
            Trouble::new(Class::Auth, "Authentik does not accept our token")
        }
        403 => Trouble::new(Class::Auth, "our Authentik token may not see users"),
        404 => Trouble::Missing(Failure::new(Class::Permanent, "Authentik has no such thing")),
        429 => Trouble::new(Class::Wait, "Authentik asks us to come back later"),
        503 => Trouble::new(Class::VendorDown, "Authentik is not in service"),
        500 | 502 | 504 => {
            Trouble::new(Class::Retry, format!("Authentik is in trouble ({status})"))
        }
        300..=399 => {
            Trouble::new(Class::Permanent, "Authentik sends us elsewhere; compare its address")
        }
        _ => Trouble::new(Class::Permanent, format!("Authentik refuses our request ({status})")),
    };
    trouble.vendor(said)
}

#[cfg(test)]
mod tests {
    use super::classify;
    use crate::trouble::Trouble;

    fn check(status: u16, said: &str, meaning: &str) {
        let found = match classify(status, said) {
            Trouble::Missing(_) => "missing".to_owned(),
            Trouble::Already(_) => "already".to_owned(),
            Trouble::Other(failure) => format!("{:?}: {}", failure.class, failure.words),
        };
        assert!(found.starts_with(meaning), "{status} {said}: {found}");
    }

    #[test]
    fn every_status_has_one_meaning() {
        check(301, "", "Permanent: Authentik sends us elsewhere");
        check(400, "", "Permanent");
        check(401, "", "Auth");
        check(403, "Token invalid/expired", "Auth: Authentik does not accept");
        check(403, "Authentication credentials were not provided.", "Auth: Authentik does not");
        check(403, "You do not have permission to perform this action.", "Auth: our Authentik");
        check(404, "Invalid page.", "missing");
        check(429, "", "Wait");
        check(500, "", "Retry");
        check(502, "", "Retry");
        check(503, "authentik starting", "VendorDown");
    }
}
