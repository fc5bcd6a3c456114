//! `[vault]`: by which of its doors Vault lets us in.

use serde_json::{Value, json};

use super::reader::Section;

/// Where Kubernetes lays a pod's token, unless it is told otherwise.
const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// An AppRole with its secret, or with one that is wrapped, or a service account; nothing, and a
/// fault, if it is two of them.
pub(super) fn login(section: &mut Section<'_, '_>) -> Option<Value> {
    let role = section.optional_text("kubernetes_role");
    let mount = section.text_or("kubernetes_mount", "kubernetes");
    let token_file = section.text_or("kubernetes_token_file", TOKEN_FILE);
    let wrapped = section.optional_text("secret_id_wrapped");
    let has = ["role_id", "secret_id"].map(|key| section.has(key));
    if let Some(role) = role {
        if wrapped.is_some() || has.contains(&true) {
            let words = "is one way to log in and the AppRole another: leave one of them out";
            section.fault("kubernetes_role", words);
            return None;
        }
        let by = "kubernetes";
        return Some(json!({ "by": by, "role": role, "mount": mount, "token_file": token_file }));
    }
    let role_id = section.secret("role_id")?.expose().to_owned();
    let Some(file) = wrapped else {
        let secret_id = section.secret("secret_id")?.expose().to_owned();
        return Some(json!({ "by": "app-role", "role_id": role_id, "secret_id": secret_id }));
    };
    if has[1] {
        let words = "names the file in which secret_id lies wrapped: leave one of them out";
        section.fault("secret_id_wrapped", words);
        return None;
    }
    Some(json!({ "by": "wrapped-app-role", "role_id": role_id, "secret_id_wrapped": file }))
}
