//! Webhooks, signed as Standard Webhooks has it: whoever takes one in knows by `webhook-id` that he
//! has it already, and by `webhook-timestamp` and `webhook-signature` that it is ours and new.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use sha2::Sha256;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::notify::PostWebhook;

use super::Client;
use crate::address::HttpAddress;
use crate::http::{self, Effect};
use crate::measured::Call;
use crate::trouble::Trouble;

/// How much of an answer is read, in bytes.
const SAID_MAX: usize = 4 * 1024;
/// What a secret begins with that is written as Standard Webhooks has it.
const ENCODED: &str = "whsec_";

/// Calls the webhook. Called again it has the same id.
pub(super) async fn post_webhook(
    client: Client,
    cx: StepContext,
    ask: PostWebhook,
) -> Result<Done, Failure> {
    let secrets = &client.shared.secrets;
    let secret = secrets.read(&ask.secret).await?;
    // Where knowing the address is enough to be let in, the order holds where it lies.
    let kept = match ask.url.starts_with("vault:") {
        true => Some(secrets.read(&ask.url).await?),
        false => None,
    };
    let url = kept.as_ref().map_or(Ok(&*ask.url), |kept| kept.field("url"))?;
    let http = http_for(url)?;
    let body = ask.body.to_string();
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let signature = signature(secret.field("key")?, &ask.id, at, &body)?;
    cx.still_wanted()?;
    let request = http
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", &ask.id)
        .header("webhook-timestamp", at)
        .header("webhook-signature", signature)
        .body(body);
    Call::of("notify", Effect::Possible).measured(call(request)).await?;
    Ok(Done {})
}

/// A client for where it leads; the rest of it may be a secret of its own and is not shown.
fn http_for(url: &str) -> Result<reqwest::Client, Failure> {
    let refused = |why: &dyn std::fmt::Display| {
        Failure::new(Class::Permanent, format!("the webhook cannot be called: {why}"))
    };
    let url = Url::parse(url).map_err(|error| refused(&error))?;
    let address = url.origin().ascii_serialization().parse::<HttpAddress>();
    http::client("notify", &address.map_err(|error| refused(&error))?).map_err(|e| refused(&e))
}

/// `v1,` and the digest of id, time and body.
pub(super) fn signature(secret: &str, id: &str, at: u64, body: &str) -> Result<String, Failure> {
    let key = match secret.strip_prefix(ENCODED) {
        None => secret.as_bytes().to_vec(),
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| {
            Failure::new(Class::Auth, "the webhook's secret in Vault is no base64 after whsec_")
        })?,
    };
    let mac = Hmac::<Sha256>::new_from_slice(&key);
    let mut mac = mac.unwrap_or_else(|_| unreachable!("a key of any length will do"));
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// What an answer begins with: it is a stranger's, and may be endless.
async fn beginning(answer: &mut reqwest::Response) -> String {
    let mut said = Vec::new();
    while let Ok(Some(part)) = answer.chunk().await {
        said.extend_from_slice(&part[..part.len().min(SAID_MAX - said.len())]);
        if said.len() == SAID_MAX {
            break;
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

async fn call(request: reqwest::RequestBuilder) -> Result<(), Trouble> {
    let lost = |error| Trouble::Other(http::unanswered("the webhook", error, Effect::Possible));
    let mut answer = http::send(request).await.map_err(lost)?;
    let status = answer.status().as_u16();
    if answer.status().is_success() {
        return Ok(());
    }
    let said = beginning(&mut answer).await;
    let trouble = match status {
        401 | 403 => Trouble::new(Class::Auth, "the webhook does not accept our signature"),
        408 | 425 | 429 => Trouble::new(Class::Wait, "the webhook asks us to come back later"),
        500..=599 => Trouble::new(Class::Retry, format!("the webhook is in trouble ({status})")),
        _ => Trouble::new(Class::Permanent, format!("the webhook refuses the message ({status})")),
    };
    Err(trouble.vendor(&said))
}
