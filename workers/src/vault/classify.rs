//! What Vault's answers mean. Vault says the same 403 to a token that has ended and to one that
//! was never allowed, and 400 to a login with the wrong secret.
//!
//! Statuses and texts are those of its documentation and, where that is silent, of its source; none was
//! recorded on a running one.

use std::error::Error;
use std::path::Path;

use reqwest::StatusCode;
use rustify::errors::ClientError as HttpError;
use serde_json::{Map, Value};
use stead_schemas::failure::{Class, Failure};
use vaultrs::error::ClientError;

use super::login::Way;
use crate::http;

/// What was being done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Doing<'a> {
    /// Logging in, or renewing the login.
    LogIn(Way),
    /// Taking in the secret that lies wrapped in this file.
    TakeIn(&'a Path),
    /// Reading the secret of this reference.
    Read(&'a str),
    /// Listing the names in this folder.
    List(&'a str),
    /// Writing or forgetting the secret of this reference.
    Write(&'a str),
    /// Opening or making something with this key, which Vault keeps to itself.
    Unwrap(&'a str),
}

/// The one place where an error of the Vault client is given its meaning. Only Vault's own
/// list of errors is passed on; a body that could not be read may hold a secret.
pub(super) fn classify(error: &ClientError, doing: Doing<'_>) -> Failure {
    match error {
        ClientError::APIError { code, errors } => by_status(*code, doing, errors),
        ClientError::ResponseDataEmptyError => missing(doing),
        other => match odd(other) {
            Some(Odd { code: 404, is_vaults: false }) => {
                http::in_front_of("Vault", StatusCode::NOT_FOUND, Class::VendorDown)
            }
            Some(odd) => by_status(odd.code, doing, &[]),
            None => unanswered(other, doing),
        },
    }
}

/// The failure of a status code.
fn by_status(code: u16, doing: Doing<'_>, errors: &[String]) -> Failure {
    let failure = match (code, doing) {
        (400 | 403, Doing::LogIn(way)) => not_let_in(code, way),
        (400 | 403, Doing::TakeIn(file)) => used_up(file),
        (403, Doing::Read(path)) => {
            Failure::new(Class::Auth, format!("Vault does not let us read {path}"))
        }
        (403, Doing::List(path)) => {
            let words = format!("Vault does not let us list {path}; our policy must allow `list`");
            Failure::new(Class::Auth, words)
        }
        (403, Doing::Write(path)) => {
            Failure::new(Class::Auth, format!("Vault does not let us write {path}"))
        }
        (403, Doing::Unwrap(key)) => {
            let words = format!("Vault does not let us use {key}; our policy must allow `update`");
            Failure::new(Class::Auth, words)
        }
        (404, _) => missing(doing),
        (412 | 429, _) => Failure::new(Class::Wait, "Vault asks us to come back later"),
        (472 | 473 | 501, _) => Failure::new(Class::VendorDown, "this Vault is not in service"),
        (503, _) => Failure::new(Class::VendorDown, "Vault is sealed: somebody must unseal it"),
        (500..=599, Doing::Write(_)) => {
            Failure::new(Class::Ambiguous, format!("Vault is in trouble ({code})"))
        }
        (500..=599, _) => Failure::new(Class::Retry, format!("Vault is in trouble ({code})")),
        _ => Failure::new(Class::Permanent, format!("Vault refuses our request ({code})")),
    };
    match errors {
        [] => failure,
        errors => failure.vendor(http::shortened(&errors.join("; "))),
    }
}

fn not_let_in(code: u16, way: Way) -> Failure {
    let words = match (way, code) {
        (Way::Kubernetes, 403) => {
            "Vault does not take our service account for its role: its token has ended, or the role \
             is bound to another one"
                .to_owned()
        }
        (way, 400) => format!("Vault does not accept our {way}"),
        (way, _) => format!("Vault lets our {way} do nothing"),
    };
    Failure::new(Class::Auth, words)
}

/// Vault says the same of both, and of an answer of its own that got lost.
fn used_up(file: &Path) -> Failure {
    let words = format!(
        "what lies wrapped in {} has expired, or was taken in already: if not by this process, before \
         it was started anew, somebody has stolen it; have the secret id revoked and another one made",
        file.display()
    );
    Failure::new(Class::Auth, words)
}

fn missing(doing: Doing<'_>) -> Failure {
    let words = match doing {
        Doing::LogIn(way) => format!("Vault has no login by {way}"),
        Doing::TakeIn(_) => "this Vault unwraps nothing".to_owned(),
        Doing::Read(path) | Doing::List(path) | Doing::Write(path) => {
            format!("there is no secret at {path}, or that version was deleted")
        }
        Doing::Unwrap(key) => format!("there is no key {key}: is its engine mounted there?"),
    };
    Failure::new(Class::Permanent, words)
}

/// Whether nothing lies where something was looked for. A version that was deleted answers with
/// a body of its own, which is no list of errors.
pub(super) fn is_missing(error: &ClientError) -> bool {
    match error {
        ClientError::APIError { code, .. } => *code == 404,
        other => odd(other).is_some_and(|odd| odd.code == 404 && odd.is_vaults),
    }
}

/// An answer that was not of Vault's usual shape: a deleted version answers 404 with a body of its own,
/// a proxy in front with a page, which says nothing of what lies in Vault.
struct Odd {
    code: u16,
    is_vaults: bool,
}

fn odd(error: &ClientError) -> Option<Odd> {
    let ClientError::RestClientError { source } = error else { return None };
    let HttpError::ServerResponseError { code, content } = source else { return None };
    let said = content.as_deref().unwrap_or_default();
    Some(Odd { code: *code, is_vaults: serde_json::from_str::<Map<String, Value>>(said).is_ok() })
}

fn unanswered(error: &ClientError, doing: Doing<'_>) -> Failure {
    match transport_error(error) {
        Some(transport) if transport.is_connect() => {
            Failure::new(Class::VendorDown, "Vault cannot be reached")
        }
        Some(_) if matches!(doing, Doing::Write(_)) => {
            Failure::new(Class::Ambiguous, "Vault did not answer; it may have been written")
        }
        Some(_) => Failure::new(Class::Retry, "Vault did not answer"),
        None if matches!(doing, Doing::Write(_)) => Failure::new(
            Class::Ambiguous,
            "Vault's answer cannot be read; it may have been written",
        ),
        None => Failure::new(Class::Retry, "Vault's answer cannot be read"),
    }
}

fn transport_error(error: &ClientError) -> Option<&reqwest::Error> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(transport) = error.downcast_ref() {
            return Some(transport);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use stead_schemas::failure::Class;

    use super::{Doing, Way, by_status};

    fn check(code: u16, doing: Doing<'_>, class: Class) {
        assert_eq!(by_status(code, doing, &[]).class, class, "{code} {doing:?}");
    }

    #[test]
    fn every_status_has_one_meaning() {
        let read = Doing::Read("vault:secret/data/x");
        check(400, Doing::LogIn(Way::AppRole), Class::Auth);
        check(403, Doing::LogIn(Way::Kubernetes), Class::Auth);
        check(400, Doing::TakeIn(Path::new("x")), Class::Auth);
        check(503, Doing::TakeIn(Path::new("x")), Class::VendorDown);
        check(400, read, Class::Permanent);
        check(403, read, Class::Auth);
        check(404, read, Class::Permanent);
        check(412, read, Class::Wait);
        check(429, read, Class::Wait);
        check(473, read, Class::VendorDown);
        check(500, read, Class::Retry);
        check(501, read, Class::VendorDown);
        check(502, read, Class::Retry);
        check(503, read, Class::VendorDown);
        let write = Doing::Write("vault:secret/data/x");
        check(400, write, Class::Permanent);
        check(403, write, Class::Auth);
        check(500, write, Class::Ambiguous);
        check(503, write, Class::VendorDown);
    }

    #[test]
    fn a_missing_secret_is_named() {
        assert!(
            by_status(404, Doing::Read("vault:secret/data/x"), &[]).words.contains("secret/data/x")
        );
    }
}
