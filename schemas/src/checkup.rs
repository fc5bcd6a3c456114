//! What a worker is asked by somebody who wants to know whether its system can be worked with:
//! steps that only look, of which nothing but the failure and the end of the login is told. No run has anything to do with
//! it, and nothing of it is kept.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;
use crate::step::Step;
use crate::step::authentik::FindUser;
use crate::step::coder::FindTemplate;
use crate::step::forgejo::LookUpHead;
use crate::step::kubernetes::{ListServers, ResolveImage};
use crate::step::probe::Noop;
use crate::step::proxmox::{CheckTemplate, Survey};
use crate::step::s3::ListBuckets;
use crate::step::truenas::SurveyPool;
use crate::step::vault::PinSecrets;
use crate::time::Timestamp;

/// The steps that change nothing; a worker carries out no other for a checkup.
pub const READS: [&str; 11] = [
    CheckTemplate::NAME,
    FindTemplate::NAME,
    FindUser::NAME,
    LookUpHead::NAME,
    ListServers::NAME,
    ResolveImage::NAME,
    Noop::NAME,
    Survey::NAME,
    ListBuckets::NAME,
    SurveyPool::NAME,
    PinSecrets::NAME,
];

/// Steps that one checkup may ask for.
pub const ASKS_MAX: usize = 64;

/// Look at your system.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckupRequest {
    /// By these steps, in this order.
    pub asks: Vec<Ask>,
}

/// One step to look by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// Which: `truenas.survey-pool`.
    pub step: String,
    /// Its own request.
    pub request: Value,
}

impl Ask {
    /// To look by this step.
    #[must_use]
    pub fn by<S: Step>(step: &S) -> Self {
        let request = serde_json::to_value(step).unwrap_or_default();
        Self { step: String::from(S::NAME), request }
    }
}

/// What one worker saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckupReply {
    /// The worker's build.
    pub build: String,
    /// One for each step that was asked for.
    pub seen: Vec<Seen>,
}

/// How one step went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Which.
    pub step: String,
    /// Why it cannot be done, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// When the login that it was done with ends, where that can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_ends: Option<Timestamp>,
}
