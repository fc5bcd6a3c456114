//! The way to TrueNAS, and to others beside it: keeps one session for each login, shared by all steps, and
//! opens a new one when it is gone, through a door: TrueNAS locks out an address that logs in too often.

use std::sync::Arc;

use serde_json::Value;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::backup;

use super::Config;
use super::session::Session;
use crate::door::{Door, Doors};
use crate::http::Effect;
use crate::trouble::Trouble;
use crate::vault::Secrets;

/// All sessions with TrueNAS. A clone shares them.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    secrets: Secrets,
    /// By address and login.
    doors: Doors<(String, String), Session>,
}

impl Client {
    /// A client that connects when it is first used.
    #[must_use]
    pub fn new(config: &Config, secrets: Secrets) -> Self {
        let (config, doors) = (config.clone(), Doors::default());
        Self { shared: Arc::new(Shared { config, secrets, doors }) }
    }

    /// The TrueNAS that keeps homes, as the user whose key `login` refers to.
    pub(super) fn log_in(&self, login: &str) -> Nas {
        self.enter(self.shared.config.address.as_str(), login)
    }

    /// The TrueNAS of this name, as the user whose key its login refers to.
    pub(super) fn at(&self, nas: &backup::Nas) -> Result<Nas, Failure> {
        let Some(name) = &nas.name else { return Ok(self.log_in(&nas.login)) };
        match self.shared.config.others.get(name) {
            Some(address) => Ok(self.enter(address.as_str(), &nas.login)),
            None => {
                let words = format!("this worker's configuration knows no TrueNAS {name}");
                Err(Failure::new(Class::Wait, words))
            }
        }
    }

    fn enter(&self, address: &str, login: &str) -> Nas {
        let place = (address.to_owned(), login.to_owned());
        let door = self.shared.doors.to(&place);
        let (address, login) = place;
        Nas { shared: self.shared.clone(), door, address, login }
    }
}

/// TrueNAS, as one user.
pub(super) struct Nas {
    shared: Arc<Shared>,
    door: Arc<Door<Session>>,
    address: String,
    login: String,
}

impl Nas {
    /// Asks something that changes nothing.
    pub(super) async fn look(&self, method: &str, params: Value) -> Result<Value, Failure> {
        Ok(self.try_look(method, params).await?)
    }

    /// Asks something that changes nothing, and says how it went.
    pub(super) async fn try_look(&self, method: &str, params: Value) -> Result<Value, Trouble> {
        let session = self.session().await.map_err(Trouble::Other)?;
        session.call(method, params, Effect::None).await
    }

    /// Asks for a change.
    pub(super) async fn act(&self, method: &str, params: Value) -> Result<Value, Trouble> {
        let session = self.session().await.map_err(Trouble::Other)?;
        session.call(method, params, Effect::Possible).await
    }

    /// The number of our key, which its text begins with.
    pub(super) async fn key_id(&self) -> Result<u64, Failure> {
        let secret = self.shared.secrets.read(&self.login).await?;
        let number = secret.field("api_key")?.split('-').next().and_then(|id| id.parse().ok());
        number.ok_or_else(|| Failure::new(Class::Permanent, "our TrueNAS key has no number"))
    }

    /// A session that was open a moment ago.
    pub(super) async fn session(&self) -> Result<Arc<Session>, Failure> {
        self.door.enter(|session| !session.is_closed(), |_| self.open()).await
    }

    async fn open(&self) -> Result<Session, Failure> {
        let secret = self.shared.secrets.read(&self.login).await?;
        Session::open(&self.address, &secret).await
    }
}
