//! Notices: what a run asks to be told, and the messages that go out. A message has an id, by which
//! whoever gets it twice can tell.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::vmids::PLATFORM;
use super::{Done, Step};
use crate::command::notice::{KIND, NAME};
use crate::dispatch::Route;
use crate::notice::Topic;
use crate::owner::Owner;

/// Tells whoever wants to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tell {
    /// What kind of thing it is.
    pub topic: Topic,
    /// Which thing.
    pub about: String,
    /// What there is to say.
    pub words: String,
}

impl Step for Tell {
    const NAME: &'static str = "notice.tell";
    type Answer = Value;

    fn route(&self) -> Route {
        let owner = Owner::new(PLATFORM).unwrap_or_else(|_| unreachable!("a short plain word"));
        Route::Entity { kind: KIND.to_string(), owner, name: NAME.to_string() }
    }
}

/// Sends an e-mail. Sent again it has the same Message-ID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendMail {
    /// Reference to user and password for the mail server, where it wants them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// Who says so.
    pub from: String,
    /// Whom.
    pub to: Vec<String>,
    /// The message's id.
    pub id: String,
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub text: String,
}

impl Step for SendMail {
    const NAME: &'static str = "notify.send-mail";
    type Answer = Done;
}

/// Calls a webhook, signed as Standard Webhooks has it. Called again it has the same id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostWebhook {
    /// Where to.
    pub url: String,
    /// Reference to the secret that signs it.
    pub secret: String,
    /// The message's id.
    pub id: String,
    /// What it says.
    pub body: Value,
}

impl Step for PostWebhook {
    const NAME: &'static str = "notify.post-webhook";
    type Answer = Done;
}
