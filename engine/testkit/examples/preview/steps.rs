//! What the workflow asks workers for.

use serde::{Deserialize, Serialize};
use stead_schemas::step::{Done, Step};

/// Puts a branch on a web server, under a name.
#[derive(Clone, Serialize, Deserialize)]
pub struct Publish {
    pub name: String,
    pub branch: String,
    pub marker: String,
}

/// Where it can be seen.
#[derive(Clone, Serialize, Deserialize)]
pub struct Published {
    pub url: String,
}

impl Step for Publish {
    const NAME: &'static str = "sites.publish";
    type Answer = Published;
}

/// Takes it off again. Done, too, if it is not there or not ours.
#[derive(Clone, Serialize, Deserialize)]
pub struct Withdraw {
    pub name: String,
    pub marker: String,
}

impl Step for Withdraw {
    const NAME: &'static str = "sites.withdraw";
    type Answer = Done;
}

/// Asks the site for its front page until it comes.
#[derive(Clone, Serialize, Deserialize)]
pub struct AwaitPage {
    pub url: String,
}

impl Step for AwaitPage {
    const NAME: &'static str = "sites.await-page";
    type Answer = Done;
}
