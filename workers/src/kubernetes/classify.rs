//! What the answers of Kubernetes mean. Each refusal is a `Status`: a code, a reason, and causes.
//! One code has several meanings, so that the reasons count.
//!
//! The words in the tests are written after those of its own API server; none was recorded on a cluster.

use serde_json::Value;
use stead_schemas::failure::{Class, Failure};

use crate::http::Effect;
use crate::trouble::Trouble;

/// The meaning of an answer that is no success.
pub(super) fn classify(status: u16, said: &Value, effect: Effect) -> Trouble {
    let words = said["message"].as_str().unwrap_or_default();
    let trouble = match status {
        401 => Trouble::new(Class::Auth, "Kubernetes does not accept our token"),
        403 => forbidden(said),
        404 if words.starts_with("namespaces") => {
            Trouble::new(Class::Permanent, "Kubernetes has no such namespace")
        }
        404 => Trouble::Missing(Failure::new(Class::Permanent, "Kubernetes has no such object")),
        409 if said["reason"] == "AlreadyExists" => {
            Trouble::Already(Failure::new(Class::Conflict, "Kubernetes has one of that name"))
        }
        409 => conflict(said),
        413 | 415 | 422 => Trouble::new(Class::Permanent, "Kubernetes finds it invalid"),
        429 => Trouble::new(Class::Wait, "Kubernetes asks us to come back later"),
        503 => Trouble::new(Class::VendorDown, "Kubernetes is not in service"),
        500 | 502 | 504 => {
            Trouble::new(effect.when_lost(), format!("Kubernetes is in trouble ({status})"))
        }
        _ => Trouble::new(Class::Permanent, format!("Kubernetes refuses our request ({status})")),
    };
    trouble.vendor(words)
}

/// A namespace that is being deleted takes nothing, and one that is full nothing more.
fn forbidden(said: &Value) -> Trouble {
    let words = said["message"].as_str().unwrap_or_default();
    match words {
        words if words.contains("being terminated") => {
            Trouble::new(Class::Wait, "the namespace is being deleted")
        }
        words if words.contains("exceeded quota") => {
            Trouble::new(Class::Permanent, "the namespace's quota is used up")
        }
        _ => Trouble::new(Class::Auth, "our service account may not do this"),
    }
}

/// Others own what is to change, or somebody was faster.
fn conflict(said: &Value) -> Trouble {
    let causes = said["details"]["causes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of_fields = causes.iter().filter(|cause| cause["reason"] == "FieldManagerConflict");
    let owned = of_fields.map(|cause| {
        let field = cause["field"].as_str().unwrap_or("a field");
        let message = cause["message"].as_str().unwrap_or_default();
        match message.split('"').nth(1) {
            Some(manager) => format!("{field} ({manager})"),
            None => field.to_owned(),
        }
    });
    let owned: Vec<String> = owned.take(10).collect();
    if owned.is_empty() {
        return Trouble::new(Class::Retry, "somebody has changed it at the same time");
    }
    let words =
        format!("others have set what is to change, and would lose it: {}", owned.join(", "));
    Trouble::new(Class::Conflict, words)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::classify;
    use crate::http::Effect;
    use crate::trouble::Trouble;

    fn check(status: u16, said: &Value, effect: Effect, meaning: &str) {
        let found = match classify(status, said, effect) {
            Trouble::Missing(_) => "missing".to_owned(),
            Trouble::Already(_) => "already".to_owned(),
            Trouble::Other(failure) => format!("{:?}: {}", failure.class, failure.words),
        };
        assert!(found.starts_with(meaning), "{status}: {found}");
    }

    #[test]
    fn every_status_has_one_meaning() {
        let (none, possible, silent) = (Effect::None, Effect::Possible, Value::Null);
        let says = |message: &str| json!({ "message": message });
        check(400, &silent, possible, "Permanent");
        check(401, &silent, none, "Auth");
        check(403, &says("pods is forbidden"), possible, "Auth");
        check(403, &says("exceeded quota: pods"), possible, "Permanent");
        check(403, &says("namespace x is being terminated"), possible, "Wait");
        check(404, &says("deployments.apps \"x\" not found"), none, "missing");
        check(404, &says("namespaces \"x\" not found"), possible, "Permanent");
        check(409, &says("the object has been modified"), possible, "Retry");
        check(409, &json!({ "reason": "AlreadyExists" }), possible, "already");
        check(422, &silent, possible, "Permanent");
        check(429, &silent, none, "Wait");
        check(500, &silent, possible, "Ambiguous");
        check(500, &silent, none, "Retry");
        check(503, &silent, possible, "VendorDown");
        check(504, &silent, possible, "Ambiguous");
    }

    #[test]
    fn whoever_owns_a_field_is_named() {
        let said = json!({ "message": "Apply failed", "details": { "causes": [{
            "reason": "FieldManagerConflict", "field": ".spec.replicas",
            "message": "conflict with \"kubectl\" using apps/v1",
        }] } });
        let words = "Conflict: others have set what is to change, and would lose it: \
                     .spec.replicas (kubectl)";
        check(409, &said, Effect::Possible, words);
    }
}
