//! Who we are to Vault: an AppRole, whose secret may lie wrapped in a file, or a service account of
//! Kubernetes.
//!
//! A wrapped secret can be taken in once, by anybody. So it is looked at first where it was wrapped,
//! and a token that is used up is said to be a sign of theft: whoever was faster has the secret. The
//! file goes when its secret was taken in; what lies there later is another one, and is taken then.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use stead_schemas::failure::{Class, Failure};
use tokio::sync::Mutex;
use vaultrs::api::AuthInfo;
use vaultrs::api::auth::approle::requests::LoginWithApproleRequest;
use vaultrs::api::auth::kubernetes::requests::LoginWithKubernetesRequest;
use vaultrs::api::sys::requests::{UnwrapRequest, WrappingLookupRequest};
use vaultrs::client::VaultClient;
use vaultrs::error::ClientError;

use super::classify::{Doing, classify};
use super::client::{connected, unasked};
use super::{Config, SecretText, ask};
use crate::http::Effect;
use crate::measured::Call;

/// By which of its doors Vault lets us in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, tag = "by", rename_all = "kebab-case")]
pub enum Login {
    /// An AppRole and its secret.
    AppRole {
        /// The AppRole.
        role_id: SecretText,
        /// Its secret.
        secret_id: SecretText,
    },
    /// An AppRole, and a secret that is wrapped.
    WrappedAppRole {
        /// The AppRole.
        role_id: SecretText,
        /// The file with the token that its secret is wrapped with.
        secret_id_wrapped: PathBuf,
    },
    /// A service account of Kubernetes.
    Kubernetes {
        /// The role that Vault has for it.
        role: String,
        /// Where Vault has this door: `kubernetes`.
        mount: String,
        /// The file with the account's token, which changes.
        token_file: PathBuf,
    },
}

/// What lets us in, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    AppRole,
    Kubernetes,
}

impl fmt::Display for Way {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::AppRole => "AppRole",
            Self::Kubernetes => "Kubernetes role",
        })
    }
}

impl Login {
    pub(super) fn way(&self) -> Way {
        match self {
            Self::AppRole { .. } | Self::WrappedAppRole { .. } => Way::AppRole,
            Self::Kubernetes { .. } => Way::Kubernetes,
        }
    }
}

/// Logs in anew.
pub(super) async fn enter(config: &Config, stranger: &VaultClient) -> Result<AuthInfo, Failure> {
    match &config.login {
        Login::AppRole { role_id, secret_id } => by_approle(stranger, role_id, secret_id).await,
        Login::WrappedAppRole { role_id, secret_id_wrapped } => {
            let secret_id = taken_in(config, stranger, secret_id_wrapped).await?;
            by_approle(stranger, role_id, &secret_id).await
        }
        Login::Kubernetes { role, mount, token_file } => {
            let token = read(token_file, "the token of our service account").await?;
            let login = LoginWithKubernetesRequest::builder()
                .mount(mount.as_str())
                .role(role.as_str())
                .jwt(token)
                .build()
                .map_err(unasked)?;
            let entering = async {
                let login = ask::enter(stranger, login).await;
                login.map_err(|error| classify(&error, Doing::LogIn(Way::Kubernetes)))
            };
            Call::login("vault").measured(entering).await
        }
    }
}

async fn by_approle(
    stranger: &VaultClient,
    role_id: &SecretText,
    secret_id: &SecretText,
) -> Result<AuthInfo, Failure> {
    let login = LoginWithApproleRequest::builder()
        .mount("approle")
        .role_id(role_id.expose())
        .secret_id(secret_id.expose())
        .build()
        .map_err(unasked)?;
    let entering = async {
        let login = ask::enter(stranger, login).await;
        login.map_err(|error| classify(&error, Doing::LogIn(Way::AppRole)))
    };
    Call::login("vault").measured(entering).await
}

/// A secret that was taken in, and the token that it was wrapped with.
struct Taken {
    token: String,
    secret_id: SecretText,
}

/// What this process has taken in, by file. A token is used up for the whole process, however many
/// logins it has.
static TAKEN: Mutex<BTreeMap<PathBuf, Taken>> = Mutex::const_new(BTreeMap::new());

/// The secret that lies wrapped in a file, or that lay there when we looked before.
async fn taken_in(
    config: &Config,
    stranger: &VaultClient,
    file: &Path,
) -> Result<SecretText, Failure> {
    let mut taken = TAKEN.lock().await;
    let before = taken.get(file);
    let token = match (read(file, "what the secret of our AppRole is wrapped with").await, before) {
        (Ok(token), Some(before)) if token == before.token => return Ok(before.secret_id.clone()),
        (Ok(token), _) => token,
        (Err(_), Some(before)) => return Ok(before.secret_id.clone()),
        (Err(failure), None) => return Err(failure),
    };
    check_origin(stranger, file, &token).await?;
    let secret_id = unwrap(config, file, &token).await?;
    if let Err(error) = tokio::fs::remove_file(file).await {
        let file = file.display();
        tracing::warn!(%file, %error, "what is wrapped there is used up, and cannot be deleted");
    }
    taken.insert(file.to_owned(), Taken { token, secret_id: secret_id.clone() });
    Ok(secret_id)
}

/// Whoever has taken a secret could wrap it anew for us, but not as Vault's AppRole does.
async fn check_origin(stranger: &VaultClient, file: &Path, token: &str) -> Result<(), Failure> {
    let lookup = WrappingLookupRequest::builder().token(token).build().map_err(unasked)?;
    let looking = async {
        let seen = ask::ask(stranger, lookup).await;
        seen.map_err(|error| classify(&error, Doing::TakeIn(file)))
    };
    let path = Call::login("vault").measured(looking).await?.creation_path;
    let role =
        path.strip_prefix("auth/approle/role/").and_then(|rest| rest.strip_suffix("/secret-id"));
    if role.is_some_and(|role| !role.is_empty() && !role.contains('/')) {
        return Ok(());
    }
    let words = format!(
        "what lies wrapped in {} was not wrapped by Vault's AppRole but by {path}: somebody has put \
         it there; have the secret id revoked and another one made",
        file.display()
    );
    Err(Failure::new(Class::Auth, words))
}

/// The wrapping token is shown as if it were a login: named in the request, too, it would be used up
/// by being looked at.
async fn unwrap(config: &Config, file: &Path, token: &str) -> Result<SecretText, Failure> {
    #[derive(Deserialize)]
    struct Made {
        secret_id: SecretText,
    }
    let bearer = connected(config, token)?;
    let unwrapping = async {
        let made = ask::ask(&bearer, UnwrapRequest { token: None }).await;
        let made = made.and_then(|made| {
            serde_json::from_value::<Made>(made)
                .map_err(|source| ClientError::JsonParseError { source })
        });
        made.map_err(|error| classify(&error, Doing::TakeIn(file)))
    };
    Ok(Call::of("vault", Effect::Possible).measured(unwrapping).await?.secret_id)
}

/// The text in a file. It is read whenever it is needed, since it may have changed.
async fn read(file: &Path, what: &str) -> Result<String, Failure> {
    let place = file.display();
    let failed =
        |why: &str| Failure::new(Class::Auth, format!("{what} should lie in {place}: {why}"));
    let text = tokio::fs::read_to_string(file).await.map_err(|error| failed(&error.to_string()))?;
    match text.trim() {
        "" => Err(failed("it is empty")),
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests;
