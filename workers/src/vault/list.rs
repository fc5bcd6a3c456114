//! Lists the secrets beneath a folder. Vault tells names only, a folder at a time.

use stead_schemas::failure::Failure;
use vaultrs::api::kv2::requests::ListSecretsRequest;

use super::ask::ask;
use super::classify::{Doing, classify, is_missing};
use super::client::{Secrets, unasked};
use super::reference::Reference;
use super::session::Session;
use crate::http::Effect;
use crate::measured::Call;

impl Secrets {
    /// The references of all secrets beneath a folder, in order. What was destroyed is among them,
    /// since Vault goes on knowing it.
    ///
    /// # Errors
    /// In Vault's terms.
    pub(super) async fn list(&self, folder: &str) -> Result<Vec<String>, Failure> {
        let folder: Reference = folder.parse()?;
        self.check_mount(&folder)?;
        let (mut folders, mut secrets) = (vec![folder], Vec::new());
        while let Some(folder) = folders.pop() {
            for name in self.names(&folder).await? {
                let path = format!("{}/{}", folder.path, name.trim_end_matches('/'));
                let found = Reference { path, ..folder.clone() };
                match name.ends_with('/') {
                    true => folders.push(found),
                    false => secrets.push(found.to_string()),
                }
            }
        }
        secrets.sort_unstable();
        Ok(secrets)
    }

    async fn names(&self, folder: &Reference) -> Result<Vec<String>, Failure> {
        let call = Call::of("vault", Effect::None);
        let asking = |session: Session| async move { call.measured(session.names(folder)).await };
        self.asked(asking).await
    }
}

impl Session {
    async fn names(&self, folder: &Reference) -> Result<Vec<String>, Failure> {
        let request = ListSecretsRequest::builder()
            .mount(folder.mount.as_str())
            .path(folder.path.as_str())
            .build()
            .map_err(unasked)?;
        match ask(&self.client, request).await {
            Ok(listed) => Ok(listed.keys),
            Err(error) if is_missing(&error) => Ok(Vec::new()),
            Err(error) => Err(classify(&error, Doing::List(&folder.to_string()))),
        }
    }
}
