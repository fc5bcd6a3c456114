//! Who signs a request to S3: recomputes the signature from the request as it came.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::answer;
use super::objects::encoded;
use super::state::State;
use crate::net::{Answer, Call, decoded};

/// The id of the key that signed the call.
///
/// # Errors
/// As S3 refuses: no signature, an unknown key, another body, another signature.
pub(super) fn signer(state: &State, call: &Call) -> Result<String, Answer> {
    let denied = |message: &str| answer::refused(403, "AccessDenied", message);
    let header = call.header("authorization").unwrap_or_default();
    let parts = header.strip_prefix("AWS4-HMAC-SHA256 ");
    let parts =
        parts.ok_or_else(|| denied("Forbidden: Garage does not support anonymous access"))?;
    let part = |name: &str| {
        let found = parts.split(", ").find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        found.ok_or_else(|| denied("Forbidden: incomplete Authorization header"))
    };
    let (credential, names, signature) =
        (part("Credential")?, part("SignedHeaders")?, part("Signature")?);
    let (id, scope) = credential.split_once('/').unwrap_or((credential, ""));
    let unknown = || denied(&format!("Forbidden: No such key: {id}"));
    let key = state.key(id).ok_or_else(unknown)?;
    if call.header("x-amz-content-sha256") != Some(&hex(&Sha256::digest(&call.raw_body))) {
        return Err(answer::refused(400, "InvalidDigest", "Invalid digest: x-amz-content-sha256"));
    }
    let text = to_sign(call, names, scope);
    let wanted = scope.split('/').fold(format!("AWS4{}", key.secret).into_bytes(), keyed);
    if hex(&keyed(wanted, &text)) != signature {
        return Err(denied("Forbidden: Invalid signature"));
    }
    Ok(id.to_owned())
}

fn to_sign(call: &Call, names: &str, scope: &str) -> String {
    let headers: String = names
        .split(';')
        .map(|name| format!("{name}:{}\n", call.header(name).unwrap_or_default().trim()))
        .collect();
    let mut query: Vec<&str> = call.raw_query.split('&').filter(|pair| !pair.is_empty()).collect();
    query.sort_unstable();
    // However it was spelled on the way, it was signed with plain slashes.
    let path = encoded(&decoded(&call.path));
    let body = call.header("x-amz-content-sha256").unwrap_or_default();
    let canonical =
        format!("{}\n{}\n{}\n{headers}\n{names}\n{body}", call.method, path, query.join("&"));
    let at = call.header("x-amz-date").unwrap_or_default();
    format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex(&Sha256::digest(canonical)))
}

fn keyed(key: Vec<u8>, text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key)
        .unwrap_or_else(|_| unreachable!("a key of any length will do"));
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
