//! Notices: e-mail by a server of the site's, and webhooks that are signed as Standard Webhooks has
//! it. Neither can be looked at afterwards; so a message that may have arrived is sent again, under
//! the same id.

mod mail;
#[cfg(test)]
mod tests;
mod webhook;

use std::sync::Arc;

use serde::Deserialize;
use stead_runtime::worker::Worker;

use crate::address::MailAddress;
use crate::vault::Secrets;

/// Where mail is taken in; webhooks name their place themselves.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `smtps://mail.lan`, if the site has a mail server.
    pub address: Option<MailAddress>,
}

/// What sends messages.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    mail: Option<MailAddress>,
    secrets: Secrets,
}

impl Client {
    /// A client that connects when there is something to send.
    #[must_use]
    pub fn new(config: &Config, secrets: Secrets) -> Self {
        Self { shared: Arc::new(Shared { mail: config.address.clone(), secrets }) }
    }
}

/// The table of steps.
#[must_use]
pub fn worker(client: Client) -> Worker<Client> {
    Worker::new("notify", client).on(webhook::post_webhook).on(mail::send_mail)
}
