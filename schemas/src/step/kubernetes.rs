//! Kubernetes: servers that are run there, each a Deployment, its Service and its route, and the
//! registry that their images lie in.
//!
//! What is applied names its image by digest and never by tag: an unchanged manifest rolls nothing
//! out, however often its tag has moved.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};

use super::{Done, Step};

/// An image as it is named: `registry.lan/mcp/outline:1.4`, or by digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The registry, with its port: `registry.lan`.
    pub registry: String,
    /// The repository there: `mcp/outline`.
    pub repository: String,
    /// A tag, or a digest: `1.4`, `sha256:…`.
    pub reference: String,
}

impl Image {
    /// Reads a name. One without a registry, a tag or a digest means something else tomorrow, or on
    /// another node, and is none.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        let (registry, path) = name.split_once('/')?;
        let is_host = registry.contains(['.', ':']) || registry == "localhost";
        let (repository, reference) = match path.split_once('@') {
            Some((repository, digest)) => (repository, digest),
            None => path.rsplit_once(':')?,
        };
        let image = Self {
            registry: registry.to_string(),
            repository: repository.to_string(),
            reference: reference.to_string(),
        };
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        let is_part = |part: &str| part.bytes().all(plain) && part.bytes().any(|b| b != b'.');
        let is_sound = is_host
            && registry.bytes().all(|b| plain(b) || b == b':')
            && repository.split('/').all(is_part)
            && (image.is_digest() || is_tag(reference) && !path.contains('@'));
        is_sound.then_some(image)
    }

    /// Whether it means one image for ever.
    #[must_use]
    pub fn is_digest(&self) -> bool {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let digest = self.reference.strip_prefix("sha256:");
        digest.is_some_and(|digest| digest.len() == 64 && digest.bytes().all(hex))
    }

    /// The same repository's image of another tag or digest, if that is one.
    #[must_use]
    pub fn at(&self, reference: &str) -> Option<Self> {
        let image = Self { reference: reference.to_string(), ..self.clone() };
        (is_tag(reference) || image.is_digest()).then_some(image)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> String {
        let Self { registry, repository, reference } = self;
        let sign = if self.is_digest() { '@' } else { ':' };
        format!("{registry}/{repository}{sign}{reference}")
    }
}

fn is_tag(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let begins_well = !text.starts_with(['.', '-']);
    (1..=128).contains(&text.len()) && begins_well && text.bytes().all(plain)
}

/// Which server, and how to reach Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Pinned reference to the token of our service account.
    pub login: String,
    /// The namespace.
    pub namespace: String,
    /// The name of all that belongs to the server.
    pub name: String,
    /// Our name tag.
    pub marker: String,
}

/// Asks the registry which image a tag means now. Changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveImage {
    /// Pinned reference to the registry's login, where it wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The image as the site names it.
    pub image: String,
}

/// The answer to [`ResolveImage`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The image by its digest.
    pub image: String,
}

impl Step for ResolveImage {
    const NAME: &'static str = "kubernetes.resolve-image";
    type Answer = Resolved;
}

/// Has a server run like this from now on: its Deployment, its Service and its route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apply {
    /// Which server.
    pub place: Place,
    /// The image, by digest.
    pub image: String,
    /// The port that it listens on.
    pub port: u16,
    /// How many pods.
    pub replicas: u32,
    /// Its environment, which holds no secret.
    pub env: BTreeMap<String, String>,
    /// Where the proxy finds what each user logs in with upstream.
    pub vault_path: String,
    /// Whether fields that somebody else has set are taken from him.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub take_over: bool,
}

/// The answer to [`Apply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The Deployment's generation from then on.
    pub generation: u64,
}

impl Step for Apply {
    const NAME: &'static str = "kubernetes.apply";
    type Answer = Applied;
}

/// Asks Kubernetes whether it would take what is to be applied. Changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TryApply {
    /// What is to be applied.
    pub ask: Apply,
}

impl Step for TryApply {
    const NAME: &'static str = "kubernetes.try-apply";
    type Answer = Done;
}

/// Waits until all pods of a server are of what was applied, and answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitRollout {
    /// Which server.
    pub place: Place,
    /// The image that was applied.
    pub image: String,
    /// The generation that came of it.
    pub generation: u64,
}

impl Step for AwaitRollout {
    const NAME: &'static str = "kubernetes.await-rollout";
    type Answer = Done;
}

/// Takes a server away. Done too if it is gone; what is not ours stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remove {
    /// Which server.
    pub place: Place,
}

impl Step for Remove {
    const NAME: &'static str = "kubernetes.remove";
    type Answer = Done;
}

/// Looks whether our service account may see the servers. Changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListServers {
    /// Pinned reference to the token of our service account.
    pub login: String,
    /// The namespace.
    pub namespace: String,
}

impl Step for ListServers {
    const NAME: &'static str = "kubernetes.list-servers";
    type Answer = Done;
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::Image;

    #[test]
    fn an_image_means_one_thing() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        for (name, repository, reference) in [
            ("registry.lan/outline:latest", "outline", "latest"),
            ("127.0.0.1:5000/mcp/outline:1.4", "mcp/outline", "1.4"),
            (&format!("registry.lan/mcp/outline@{digest}"), "mcp/outline", &digest),
        ] {
            let image = Image::read(name).expect("an image");
            assert_eq!((&*image.repository, &*image.reference), (repository, reference));
            assert_eq!(image.name(), name);
        }
        for name in [
            "outline:1",
            "mcp/outline:1",
            "registry.lan/outline",
            "registry.lan/../x:1",
            "registry.lan/outline@sha256:12",
            "registry.lan/outline@1",
            "registry.lan/Outline:1",
            "registry.lan/outline:1 2",
            "user@registry.lan/outline:1",
            "registry.lan/outline:",
        ] {
            assert_eq!(Image::read(name), None, "{name}");
        }
        let image = Image::read("registry.lan/outline:1").expect("an image");
        let other = image.at(&digest).map(|image| image.name());
        assert_eq!(other, Some(format!("registry.lan/outline@{digest}")));
        assert_eq!(
            image.at("2").map(|image| image.name()),
            Some("registry.lan/outline:2".to_string())
        );
        assert_eq!(image.at("2/../3"), None);
    }
}
