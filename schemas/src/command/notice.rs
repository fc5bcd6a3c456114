//! Commands about notices, and what is shown of them.

use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::notice::{Route, Topic};
use crate::time::Timestamp;

/// The kind of the entity.
pub const KIND: &str = "notice";
/// The name of the site's one.
pub const NAME: &str = "site";
/// The longest text, in characters.
pub const WORDS_MAX: usize = 2_000;

/// `notice.tell`: tells whoever wants to know of it. Belongs to the platform itself: its owner is
/// `stead`, its name `site`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TellNotice {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// Always `site`.
    pub name: String,
    /// What kind of thing it is.
    pub topic: Topic,
    /// Which thing: `john/dev`, or the name of a vendor. Of one thing there is one message.
    #[schemars(length(min = 1, max = 300))]
    pub about: String,
    /// What there is to say.
    #[schemars(length(min = 1, max = 2000))]
    pub words: String,
}

/// A tell that was accepted, complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TellOrder {
    /// What kind of thing it is.
    pub topic: Topic,
    /// Which thing.
    pub about: String,
    /// What there is to say.
    pub words: String,
    /// Who is told, as the site said then.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// The names of all routes that the site had then; nothing is sent any more by another one. An
    /// order of an older build does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Vec<String>>,
}

/// What is shown of notices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NoticeView {
    /// Route by route.
    pub routes: Vec<RouteView>,
}

/// What is shown of one route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouteView {
    /// Its name.
    pub name: String,
    /// How many things wait to be told.
    pub waiting: usize,
    /// When something was told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// When it is tried next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}
