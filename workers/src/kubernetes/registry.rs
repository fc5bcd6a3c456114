//! The registry: which image a tag means now. It is asked for no more than that.

use reqwest::RequestBuilder;
use reqwest::header::ACCEPT;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::kubernetes::{Image, ResolveImage, Resolved};

use super::client::Client;
use crate::http::{self, Effect, segment};
use crate::measured::Call;
use crate::trouble::Trouble;

/// An image of one machine, or a list of images for several.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";
const DIGEST: &str = "docker-content-digest";

/// Asks for the digest. One that is named by digest is asked for as well: it has to be there.
pub(super) async fn resolve_image(
    client: Client,
    _cx: StepContext,
    ask: ResolveImage,
) -> Result<Resolved, Failure> {
    let permanent = |words| Failure::new(Class::Permanent, words);
    let image = Image::read(&ask.image)
        .ok_or_else(|| permanent(format!("`{}` names no image", ask.image)))?;
    let repository: Vec<String> = image.repository.split('/').map(segment).collect();
    let path = format!("/v2/{}/manifests/{}", repository.join("/"), segment(&image.reference));
    let (base, request) = client.registry(&path);
    // A login goes to no other registry than the site's own.
    if base.split_once("://").map(|(_, host)| host) != Some(&*image.registry) {
        let words = format!("`{}` is not in this site's registry, {base}", ask.image);
        return Err(permanent(words));
    }
    let mut request = request.header(ACCEPT, MANIFESTS);
    if let Some(login) = &ask.login {
        let secret = client.secrets().read(login).await?;
        request = request.basic_auth(secret.field("username")?, Some(secret.field("password")?));
    }
    let call = Call::of("kubernetes", Effect::None);
    let digest = call.measured(digest(request, &ask.image)).await?;
    let found = image.at(&digest).filter(Image::is_digest);
    let found = found.ok_or_else(|| permanent("the registry names no digest".to_owned()))?;
    Ok(Resolved { image: found.name() })
}

async fn digest(request: RequestBuilder, image: &str) -> Result<String, Trouble> {
    let lost = |error| Trouble::Other(http::unanswered("the registry", error, Effect::None));
    let answer = http::send(request).await.map_err(lost)?;
    let status = answer.status();
    if !status.is_success() {
        return Err(classify(status.as_u16(), image));
    }
    let digest = answer.headers().get(DIGEST).and_then(|value| value.to_str().ok());
    Ok(digest.unwrap_or_default().to_owned())
}

/// What an answer means that is no success; it has no body.
fn classify(status: u16, image: &str) -> Trouble {
    match status {
        401 | 403 => Trouble::new(Class::Auth, "the registry does not let us in"),
        404 => Trouble::new(Class::Permanent, format!("the registry has no image {image}")),
        429 => Trouble::new(Class::Wait, "the registry asks us to come back later"),
        503 => Trouble::new(Class::VendorDown, "the registry is not in service"),
        500 | 502 | 504 => {
            Trouble::new(Class::Retry, format!("the registry is in trouble ({status})"))
        }
        _ => Trouble::new(Class::Permanent, format!("the registry refuses us ({status})")),
    }
}
