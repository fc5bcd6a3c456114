//! A client of a running lab's control port.

use reqwest::{RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::authentik::UserChange;
use crate::control::{BreakOrder, CommitOrder, MendOrder, UserOrder, http_client};
use crate::error::LabError;
use crate::faults::FaultStatus;
use crate::inventory::Inventory;
use crate::journal::{Effect, RecordedRequest};
use crate::options::Addresses;
use crate::press::{BuildLog, PressOrder};

/// Speaks to a running lab.
#[derive(Clone, Debug)]
pub struct LabClient {
    control_url: String,
}

impl LabClient {
    /// A client of the lab at `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn new(control_url: &str) -> Self {
        Self { control_url: control_url.trim_end_matches('/').to_owned() }
    }

    /// What was made and is still there.
    pub async fn inventory(&self) -> Result<Inventory, LabError> {
        self.get("inventory").await
    }

    /// Where the lab listens.
    pub async fn addresses(&self) -> Result<Addresses, LabError> {
        self.get("addresses").await
    }

    /// The catalogue of faults, and what of it is in force.
    pub async fn faults(&self) -> Result<Vec<FaultStatus>, LabError> {
        self.get("faults").await
    }

    /// Every call that reached a vendor.
    pub async fn requests(&self) -> Result<Vec<RecordedRequest>, LabError> {
        self.get("requests").await
    }

    /// Every effect that calls had.
    pub async fn effects(&self) -> Result<Vec<Effect>, LabError> {
        self.get("effects").await
    }

    /// The site configuration that leads a Stead to the lab.
    pub async fn site_toml(&self) -> Result<String, LabError> {
        let answer = self.send(http_client()?.get(self.url("site.toml"))).await?;
        answer.text().await.map_err(|source| self.unreachable(source))
    }

    /// Puts a fault in force, until mended or for so many times.
    pub async fn break_(
        &self,
        vendor: &str,
        fault: &str,
        times: Option<u32>,
    ) -> Result<(), LabError> {
        let order = BreakOrder { vendor: vendor.to_owned(), fault: fault.to_owned(), times };
        self.send(http_client()?.post(self.url("break")).json(&order)).await.map(drop)
    }

    /// Ends one fault, all of a vendor, or all.
    pub async fn mend(&self, vendor: Option<&str>, fault: Option<&str>) -> Result<(), LabError> {
        let order =
            MendOrder { vendor: vendor.map(str::to_owned), fault: fault.map(str::to_owned) };
        self.send(http_client()?.post(self.url("mend")).json(&order)).await.map(drop)
    }

    /// Commits a file to a branch of a repository of Forgejo's; the commit.
    pub async fn commit(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
        text: &str,
    ) -> Result<String, LabError> {
        let [repository, branch, path, text] = [repository, branch, path, text].map(str::to_owned);
        let order = CommitOrder { repository, branch, path, text };
        let answer = self.send(http_client()?.post(self.url("commit")).json(&order)).await?;
        let answer: Value = answer.json().await.map_err(|source| self.unreachable(source))?;
        Ok(answer["commit"].as_str().unwrap_or_default().to_owned())
    }

    /// Changes somebody's account at Authentik.
    pub async fn change_user(&self, user: &str, change: UserChange) -> Result<(), LabError> {
        let order = UserOrder { user: user.to_owned(), change };
        self.send(http_client()?.post(self.url("user")).json(&order)).await.map(drop)
    }

    /// Presses `create`, `start`, `stop` or `delete` in Coder, as a developer does; the build.
    pub async fn press(
        &self,
        what: &str,
        (owner, name): (&str, &str),
        template: &str,
        parameters: &[(String, String)],
    ) -> Result<String, LabError> {
        let [owner, name, what, template] = [owner, name, what, template].map(str::to_owned);
        let order = PressOrder { owner, name, what, template, parameters: parameters.to_vec() };
        let answer = self.send(http_client()?.post(self.url("press")).json(&order)).await?;
        let answer: Value = answer.json().await.map_err(|source| self.unreachable(source))?;
        Ok(answer["build"].as_str().unwrap_or_default().to_owned())
    }

    /// How a build in Coder stands, and what its log says.
    pub async fn build(&self, id: &str) -> Result<BuildLog, LabError> {
        self.get(&format!("builds/{id}")).await
    }

    /// Back to the pristine state.
    pub async fn reset(&self) -> Result<(), LabError> {
        self.send(http_client()?.post(self.url("reset"))).await.map(drop)
    }

    fn url(&self, page: &str) -> String {
        format!("{}/{page}", self.control_url)
    }

    fn unreachable(&self, source: reqwest::Error) -> LabError {
        LabError::Unreachable { url: self.control_url.clone(), source }
    }

    async fn get<T: DeserializeOwned>(&self, page: &str) -> Result<T, LabError> {
        let answer = self.send(http_client()?.get(self.url(page))).await?;
        answer.json().await.map_err(|source| self.unreachable(source))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, LabError> {
        let answer = request.send().await.map_err(|source| self.unreachable(source))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body: Value = answer.json().await.unwrap_or_default();
        let reason = body["error"].as_str().unwrap_or("no reason given").to_owned();
        Err(LabError::Refused { status: status.as_u16(), reason })
    }
}
