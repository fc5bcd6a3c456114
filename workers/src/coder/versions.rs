//! Versions of templates. A version is ours if its message begins with our marker; its name is one
//! that only we choose, so that what was made and not answered is found again.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::coder::versions::{
    ArchiveVersion, AwaitImport, Choice, CreateVersion, Import, LookUpTemplate, Parameter,
    PromoteVersion, RestoreVersion, TemplatePlace, UploadTemplate, Uploaded, Version, VersionSeen,
};

use super::client::{Client, Coder};
use super::pack::pack;
use super::steps::{id_of, not_shown, template_of};
use crate::http::{segment, shortened};
use crate::pace::Pace;
use crate::trouble::Trouble;

/// A shorter line is nothing that anybody could use, and may stand anywhere.
const LINE_MIN: usize = 8;

/// Asks which version is active.
pub(super) async fn look_up_template(
    client: Client,
    _cx: StepContext,
    ask: LookUpTemplate,
) -> Result<VersionSeen, Failure> {
    let coder = client.log_in(&ask.place.login).await?;
    let id = active(&template(&coder, &ask.place).await?)?;
    let name = text(&version(&coder, &id).await?, "name")?;
    Ok(VersionSeen { id, name })
}

async fn template(coder: &Coder, place: &TemplatePlace) -> Result<Value, Failure> {
    template_of(coder, &place.organization, &place.template).await
}

fn active(template: &Value) -> Result<String, Failure> {
    text(template, "active_version_id")
}

fn text(thing: &Value, field: &str) -> Result<String, Failure> {
    thing[field].as_str().map(str::to_owned).ok_or_else(|| {
        Failure::new(Class::Permanent, "Coder answered in an unknown form; its version differs")
    })
}

async fn version(coder: &Coder, id: &str) -> Result<Value, Failure> {
    coder.look(&format!("/templateversions/{}", segment(id))).await?.ok_or_else(|| {
        Failure::new(Class::Permanent, format!("Coder has no version {id} of a template"))
    })
}

/// Fetches the files from Forgejo and gives them to Coder, which knows them again.
pub(super) async fn upload_template(
    client: Client,
    cx: StepContext,
    ask: UploadTemplate,
) -> Result<Uploaded, Failure> {
    let coder = client.log_in(&ask.place.login).await?;
    let source = &ask.source;
    cx.progress(format!("fetching {} of {}", source.commit, source.place.repository));
    let archive = client.forgejo()?.archive(&source.place, &source.commit).await?;
    let packed = pack(&archive, &source.path)?;
    cx.still_wanted()?;
    let file = text(&coder.upload(packed).await?, "hash")?;
    Ok(Uploaded { file })
}

/// Makes the version, unless it is there.
pub(super) async fn create_version(
    client: Client,
    cx: StepContext,
    ask: CreateVersion,
) -> Result<Version, Failure> {
    let coder = client.log_in(&ask.place.login).await?;
    if let Some(known) = find(&coder, &ask.place, &ask.name).await? {
        return ours(&known, &ask);
    }
    let template = id_of(&template(&coder, &ask.place).await?)?;
    let values = values(&client, &ask.variables).await?;
    let mut body = json!({
        "template_id": template, "name": ask.name, "file_id": ask.file, "storage_method": "file",
        "provisioner": "terraform", "message": format!("{}: commit {}", ask.marker, ask.commit),
    });
    if !values.is_empty() {
        let given = values.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        body["user_variable_values"] = given.collect();
    }
    let path = format!("/organizations/{}/templateversions", segment(&ask.place.organization));
    cx.still_wanted()?;
    match coder.post(&path, &body).await {
        Ok(version) => Ok(Version { id: id_of(&version)? }),
        // Another attempt of ours, or a stranger, was faster.
        Err(Trouble::Already(_)) => match find(&coder, &ask.place, &ask.name).await? {
            Some(known) => ours(&known, &ask),
            None => Err(not_shown(&ask.name)),
        },
        Err(trouble) => {
            let failure = Failure::from(trouble);
            // Coder's words may repeat what they are about.
            Err(Failure { vendor: failure.vendor.filter(|_| values.is_empty()), ..failure })
        }
    }
}

/// What the variables are, by name.
async fn values(
    client: &Client,
    variables: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut values = BTreeMap::new();
    for (name, reference) in variables {
        let secret = client.secrets().read(reference).await?;
        values.insert(name.clone(), secret.field(name)?.to_owned());
    }
    Ok(values)
}

/// A text that says none of these values, nor a line of one, as it is or as Terraform quotes it.
fn without(values: &BTreeMap<String, String>, text: &str) -> String {
    let mut parts = Vec::new();
    for (name, value) in values {
        let lines = value.lines().filter(|line| line.len() >= LINE_MIN);
        for part in [value.as_str()].into_iter().chain(lines).filter(|part| !part.is_empty()) {
            let quoted = Value::from(part).to_string();
            parts.push((quoted.trim_matches('"').to_owned(), name));
            parts.push((part.to_owned(), name));
        }
    }
    // One value may begin another.
    parts.sort_by_key(|(part, _)| std::cmp::Reverse(part.len()));
    let without = |text: String, (part, name): &(String, &String)| {
        text.replace(part.as_str(), &format!("[{name}]"))
    };
    parts.iter().fold(text.to_owned(), without)
}

async fn find(coder: &Coder, place: &TemplatePlace, name: &str) -> Result<Option<Value>, Failure> {
    let path = format!(
        "/organizations/{}/templates/{}/versions/{}",
        segment(&place.organization),
        segment(&place.template),
        segment(name)
    );
    coder.look(&path).await
}

/// What stands in a version's message where our marker does.
pub(super) fn marker_of(version: &Value) -> &str {
    let message = version["message"].as_str().unwrap_or_default();
    message.split(':').next().unwrap_or_default()
}

fn is_ours(version: &Value, marker: &str) -> bool {
    marker_of(version) == marker
}

fn ours(version: &Value, ask: &CreateVersion) -> Result<Version, Failure> {
    if is_ours(version, &ask.marker) {
        return Ok(Version { id: id_of(version)? });
    }
    let words = format!("{} has a version {} that is not ours", ask.place.template, ask.name);
    Err(Failure::new(Class::Conflict, words))
}

/// Waits until the import has ended, well or not.
pub(super) async fn await_import(
    client: Client,
    cx: StepContext,
    ask: AwaitImport,
) -> Result<Import, Failure> {
    let coder = client.log_in(&ask.login).await?;
    let mut pace = Pace::new(Duration::from_millis(20), Duration::from_secs(10));
    loop {
        let found = version(&coder, &ask.id).await?;
        let job = &found["job"];
        match job["status"].as_str().unwrap_or_default() {
            "succeeded" => return imported(&coder, &ask.id).await,
            "failed" | "canceled" => {
                let said = job["error"].as_str().filter(|said| !said.is_empty());
                let said = said.unwrap_or("the import was cancelled");
                let error = shortened(&without(&values(&client, &ask.variables).await?, said));
                return Ok(Import { error: Some(error), parameters: Vec::new() });
            }
            status => cx.progress(going(status, &found)),
        }
        pace.pause(&cx).await?;
    }
}

/// A job that nobody can take waits for ever, and Coder does not say so by itself.
fn going(status: &str, version: &Value) -> String {
    match version["matched_provisioners"]["count"].as_u64() {
        Some(0) => "no provisioner of Coder's takes the import; is one running?".to_owned(),
        _ => format!("the import is {status}"),
    }
}

async fn imported(coder: &Coder, id: &str) -> Result<Import, Failure> {
    let path = format!("/templateversions/{}/rich-parameters", segment(id));
    let listed = coder.look(&path).await?.ok_or_else(|| {
        Failure::new(Class::Retry, format!("Coder does not show the parameters of version {id}"))
    })?;
    let listed = listed.as_array().map(Vec::as_slice).unwrap_or_default();
    let parameters = listed.iter().map(|one| {
        let required = one["required"].as_bool().unwrap_or_default();
        Ok(Parameter { name: text(one, "name")?, required, choice: Some(choice(one)) })
    });
    Ok(Import { error: None, parameters: parameters.collect::<Result<_, Failure>>()? })
}

fn choice(parameter: &Value) -> Choice {
    let options = parameter["options"].as_array().map(Vec::as_slice).unwrap_or_default();
    let options = options.iter().filter_map(|option| option["value"].as_str().map(str::to_owned));
    Choice {
        min: parameter["validation_min"].as_i64(),
        max: parameter["validation_max"].as_i64(),
        options: options.collect(),
    }
}

/// Makes the version active, unless it is.
pub(super) async fn promote_version(
    client: Client,
    cx: StepContext,
    ask: PromoteVersion,
) -> Result<Done, Failure> {
    let coder = client.log_in(&ask.place.login).await?;
    let template = template(&coder, &ask.place).await?;
    if active(&template)? == ask.id {
        return Ok(Done {});
    }
    cx.still_wanted()?;
    promote(&coder, &template, &ask.id).await
}

async fn promote(coder: &Coder, template: &Value, id: &str) -> Result<Done, Failure> {
    let path = format!("/templates/{}/versions", segment(&id_of(template)?));
    coder.send(Method::PATCH, &path, Some(&json!({ "id": id }))).await?;
    Ok(Done {})
}

/// Makes the version before active again, if the one that we promoted is.
pub(super) async fn restore_version(
    client: Client,
    cx: StepContext,
    ask: RestoreVersion,
) -> Result<Done, Failure> {
    let coder = client.log_in(&ask.place.login).await?;
    let template = template(&coder, &ask.place).await?;
    if active(&template)? != ask.promoted || ask.promoted == ask.before {
        return Ok(Done {});
    }
    cx.still_wanted()?;
    promote(&coder, &template, &ask.before).await
}

/// Archives the version, if it is there and ours.
pub(super) async fn archive_version(
    client: Client,
    cx: StepContext,
    ask: ArchiveVersion,
) -> Result<Done, Failure> {
    let coder = client.log_in(&ask.place.login).await?;
    let Some(found) = find(&coder, &ask.place, &ask.name).await? else { return Ok(Done {}) };
    if !is_ours(&found, &ask.marker) || found["archived"] == true {
        return Ok(Done {});
    }
    cx.still_wanted()?;
    let path = format!("/templateversions/{}/archive", segment(&id_of(&found)?));
    match coder.send(Method::POST, &path, None).await {
        Ok(_) | Err(Trouble::Already(_)) => Ok(Done {}),
        Err(trouble) => Err(trouble.into()),
    }
}

#[cfg(test)]
mod tests;
