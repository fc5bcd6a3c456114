//! What a guest is told at a boot, however it comes to it: fetched at its address (`server.rs`), or
//! laid into its drive as a CD.

use std::sync::Arc;

use serde_json::json;
use stead_schemas::command::workspace::host_name;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::owner::Owner;
use stead_schemas::site::Guest;
use stead_schemas::step::proxmox::InsertSeed;
use stead_schemas::step::volume::AttachedVolume;

use super::image::image;
use super::tools::HomeFile;
use super::user_data::{Seed, user_data};
use super::{Config, Mcp, SeedUrls, bucket};
use crate::http::segment;

/// Where a Coder template writes the token of each build's agent, in the mount of the site.
const AGENT_SECRETS: &str = "stead/agents";

/// Makes seeds. A clone shares what it knows.
#[derive(Clone)]
pub struct Seeds {
    urls: SeedUrls,
    site: Arc<Site>,
}

/// What all guests are told alike.
struct Site {
    coder_url: String,
    config: Config,
    mcp: Option<String>,
    home_files: Vec<HomeFile>,
}

/// Whose seed it is.
pub(super) struct Whose<'a> {
    pub(super) owner: &'a Owner,
    pub(super) name: &'a str,
    pub(super) home_source: &'a str,
    pub(super) coder_id: &'a str,
    pub(super) guest: Guest,
    /// The address of its card for storage, if it has one.
    pub(super) storage_card: Option<&'a str>,
    pub(super) volume: Option<&'a AttachedVolume>,
}

impl Seeds {
    /// Seeds with these addresses. `coder_url` is where agents find Coder.
    #[must_use]
    pub fn new(config: &Config, urls: SeedUrls, coder_url: &str) -> Self {
        let (coder_url, config) = (coder_url.to_owned(), config.clone());
        let mcp = config.mcp.as_ref();
        let (mcp, home_files) = (mcp.map(Mcp::file), config.tools.files(mcp));
        Self { urls, site: Arc::new(Site { coder_url, config, mcp, home_files }) }
    }

    /// The addresses that seeds are fetched from.
    #[must_use]
    pub fn urls(&self) -> &SeedUrls {
        &self.urls
    }

    /// The user data of one boot. It reports to this address, with its slash, if it can reach one.
    pub(super) async fn user_data(
        &self,
        whose: &Whose<'_>,
        seed_url: Option<&str>,
    ) -> Result<String, Failure> {
        let agent_token = self.agent_token(whose.coder_id).await?;
        let environment = self.environment(whose).await?;
        if let Some(AttachedVolume { portal, target, initiator, .. }) = whose.volume {
            for part in [portal, target, initiator] {
                one_word(part, "volume")?;
            }
        }
        Ok(user_data(&Seed {
            host_name: &host_name(whose.owner.as_str(), whose.name),
            home_source: one_word(whose.home_source, "home")?,
            agent_token: one_word(&agent_token, "agent token")?,
            coder_url: &self.site.coder_url,
            seed_url,
            environment: &environment,
            mcp: self.site.mcp.as_deref(),
            home_files: &self.site.home_files,
            guest: whose.guest,
            storage_card: whose.storage_card.map(card_address).transpose()?,
            volume: whose.volume,
        }))
    }

    /// The image of a CD with the seed of one boot.
    pub(crate) async fn image(&self, ask: &InsertSeed) -> Result<Vec<u8>, Failure> {
        let InsertSeed { owner, name, home_source, coder_id, .. } = ask;
        let (guest, storage_card) = (ask.guest, ask.storage_card.as_deref());
        let volume = ask.volume.as_ref();
        let whose = Whose { owner, name, home_source, coder_id, guest, storage_card, volume };
        let user_data = self.user_data(&whose, None).await?;
        let meta_data = meta_data(&ask.machine.marker, owner, name);
        Ok(image(&[("meta-data", meta_data.as_bytes()), ("user-data", user_data.as_bytes())]))
    }

    /// The token of the latest build, read afresh at every boot: each build has its own.
    async fn agent_token(&self, coder_id: &str) -> Result<String, Failure> {
        let path = format!("{AGENT_SECRETS}/{}", segment(coder_id));
        let secret = self.urls.read_secret(&self.urls.reference(&path)).await?;
        secret.field("token").map(str::to_owned)
    }

    /// What else the agent finds in its environment.
    async fn environment(&self, whose: &Whose<'_>) -> Result<Vec<(&'static str, String)>, Failure> {
        let (urls, config) = (&self.urls, &self.site.config);
        let mut found = config.tools.environment(urls, whose.owner).await?;
        if let Some(folder) = &config.buckets {
            found.extend(bucket::environment(urls, folder, whose.owner, whose.name).await?);
        }
        for (name, value) in &found {
            one_word(value, name)?;
        }
        Ok(found)
    }
}

/// The instance keeps its id for life: a new one would give the guest new host keys.
pub(super) fn meta_data(run: &str, owner: &Owner, name: &str) -> String {
    json!({ "instance-id": run, "local-hostname": host_name(owner.as_str(), name) }).to_string()
}

/// It ends up in a command.
fn card_address(text: &str) -> Result<&str, Failure> {
    if text.chars().all(|c| c.is_ascii_hexdigit() || c == ':') {
        return Ok(text);
    }
    Err(Failure::new(Class::Permanent, format!("`{text}` is no address of a card")))
}

/// White space would end the field in `fstab` or the line in the environment file.
fn one_word<'a>(text: &'a str, what: &str) -> Result<&'a str, Failure> {
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Failure::new(Class::Permanent, format!("the {what} is not one word")));
    }
    Ok(text)
}
