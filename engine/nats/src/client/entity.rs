//! What an entity shows of itself, asked of the service interface as its owner asks.

use async_nats::Request;
use serde::Deserialize;
use serde_json::json;
use stead_schemas::owner::Owner;
use stead_schemas::public::RunView;
use stead_schemas::subjects;
use tokio::time::Instant;

use super::{ANSWER_WITHIN, ClientError, PATIENCE, SteadClient, decode};
use crate::bus::json as bytes;
use crate::pause::Pause;

/// What is answered to whoever asks for an entity; nothing of it if there is none.
#[derive(Deserialize)]
struct EntityReply {
    #[serde(default)]
    run: Option<RunView>,
    #[serde(default)]
    unavailable: Option<Unavailable>,
}

#[derive(Deserialize)]
struct Unavailable {
    words: String,
}

impl SteadClient {
    /// What the latest life of an entity shows of itself, asked as its owner asks; nothing if there
    /// has been none.
    ///
    /// # Errors
    /// If no engine answers.
    pub async fn entity(
        &self,
        owner: &Owner,
        kind: &str,
        name: &str,
    ) -> Result<Option<RunView>, ClientError> {
        let body = bytes(&json!({ "name": name }));
        let (started, mut pause) = (Instant::now(), Pause::new());
        loop {
            let request = Request::new().payload(body.clone()).timeout(Some(ANSWER_WITHIN));
            let subject = subjects::api(owner, kind, "show");
            let sent = self.platform.connection.api.send_request(subject, request).await;
            let words = match sent {
                Ok(message) => match decode(&message.payload)? {
                    EntityReply { unavailable: Some(away), .. } => away.words,
                    EntityReply { run, .. } => return Ok(run),
                },
                Err(error) => error.to_string(),
            };
            if started.elapsed() >= PATIENCE {
                return Err(ClientError::NoEngine { words });
            }
            pause.wait().await;
        }
    }
}
