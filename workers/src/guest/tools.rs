//! What a guest's tools find: where the models are, by way of the site's proxy, and the MCP servers.
//!
//! Where something is stands in a file of the tool's own in the home. What it logs in with stands in
//! the agent's environment alone, as the key of a bucket does: a home is shared by machines, and is
//! backed up.

use serde::Deserialize;
use serde_json::{Value, json};
use stead_schemas::failure::Failure;
use stead_schemas::owner::Owner;

use super::{Mcp, SeedUrls};
use crate::address::HttpAddress;
use crate::vault::Reference;

/// What programs log in to the MCP proxy with; the agent has it in its environment.
const AGENT_TOKEN: &str = "CODER_AGENT_TOKEN";
/// What Aider and Codex log in to the proxy of the models with.
const OPENAI_KEY: &str = "OPENAI_API_KEY";

/// Which tools guests are set up for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tools {
    /// Which.
    pub names: Vec<Tool>,
    /// The models that they speak to, if that is the site's to say.
    pub models: Option<Models>,
}

/// A tool that is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// Aider.
    Aider,
    /// Claude Code.
    Claude,
    /// Codex.
    Codex,
}

/// The proxy of the models.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Models {
    /// How guests reach it: `https://models.lan`.
    pub proxy: HttpAddress,
    /// The folder in Vault in which each owner's key lies under his name, as `key`.
    pub keys: String,
    /// The model that is used if its user says nothing.
    pub model: Option<String>,
}

/// A file that lies in the home for as long as its user leaves it as it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HomeFile {
    /// Where, from the home on.
    pub(super) path: &'static str,
    /// What is in it. No secret is.
    pub(super) content: String,
}

impl Tools {
    /// What the owner's tools log in to the models with; nothing if he has no key.
    pub(super) async fn environment(
        &self,
        urls: &SeedUrls,
        owner: &Owner,
    ) -> Result<Vec<(&'static str, String)>, Failure> {
        let Some(models) = self.models.as_ref().filter(|_| !self.names.is_empty()) else {
            return Ok(Vec::new());
        };
        // A name that is no place in Vault has nothing there.
        let Ok(place) = format!("{}/{}", models.keys, owner.as_str()).parse::<Reference>() else {
            return Ok(Vec::new());
        };
        match urls.secret_if_there(&place.to_string()).await? {
            Some(secret) => Ok(self.variables(secret.field("key")?)),
            None => Ok(Vec::new()),
        }
    }

    fn variables(&self, key: &str) -> Vec<(&'static str, String)> {
        let is_wanted = |tools: &[Tool]| self.names.iter().any(|name| tools.contains(name));
        let openai = is_wanted(&[Tool::Aider, Tool::Codex]).then(|| (OPENAI_KEY, key.to_owned()));
        // Not ANTHROPIC_API_KEY: Claude Code asks its user each time whether he means it.
        let claude = is_wanted(&[Tool::Claude]).then(|| ("ANTHROPIC_AUTH_TOKEN", key.to_owned()));
        openai.into_iter().chain(claude).collect()
    }

    /// What lies in the home.
    pub(super) fn files(&self, mcp: Option<&Mcp>) -> Vec<HomeFile> {
        let models = self.models.as_ref();
        let files = self.names.iter().flat_map(|name| match name {
            Tool::Aider => vec![file(".aider.conf.yml", models.map(aider))],
            Tool::Claude => vec![
                file(".claude/settings.json", models.map(claude)),
                file(".claude.json", mcp.map(claude_mcp)),
            ],
            Tool::Codex => vec![file(".codex/config.toml", codex(models, mcp))],
        });
        files.flatten().collect()
    }
}

fn file(path: &'static str, content: Option<String>) -> Option<HomeFile> {
    content.map(|content| HomeFile { path, content })
}

/// JSON is YAML, too.
fn aider(models: &Models) -> String {
    let mut told = json!({ "openai-api-base": format!("{}/v1", models.proxy) });
    if let Some(model) = &models.model {
        // Not its own name for a model of OpenAI's, but whatever the proxy calls so.
        told["model"] = json!(format!("openai/{model}"));
    }
    format!("{told:#}\n")
}

fn claude(models: &Models) -> String {
    let mut env = json!({ "ANTHROPIC_BASE_URL": models.proxy.as_str() });
    if let Some(model) = &models.model {
        env["ANTHROPIC_MODEL"] = json!(model);
    }
    format!("{:#}\n", json!({ "env": env }))
}

fn claude_mcp(mcp: &Mcp) -> String {
    let server = |(name, url)| {
        let headers = json!({ "Authorization": format!("Bearer ${{{AGENT_TOKEN}}}") });
        (name, json!({ "type": "http", "url": url, "headers": headers }))
    };
    let servers: serde_json::Map<String, Value> = mcp.addresses().map(server).collect();
    format!("{:#}\n", json!({ "mcpServers": servers }))
}

/// A text of JSON is one of TOML, too.
fn codex(models: Option<&Models>, mcp: Option<&Mcp>) -> Option<String> {
    let mut told = String::new();
    if let Some(models) = models {
        if let Some(model) = &models.model {
            told.push_str(&format!("model = {}\n", json!(model)));
        }
        let proxy = json!(format!("{}/v1", models.proxy));
        told.push_str(&format!(
            "model_provider = \"site\"\n\n[model_providers.site]\nname = \"The site's models\"\n\
             base_url = {proxy}\nenv_key = \"{OPENAI_KEY}\"\nwire_api = \"responses\"\n"
        ));
    }
    for (name, url) in mcp.into_iter().flat_map(Mcp::addresses) {
        told.push_str(&format!(
            "\n[mcp_servers.{}]\nurl = {}\nbearer_token_env_var = \"{AGENT_TOKEN}\"\n",
            json!(name),
            json!(url)
        ));
    }
    (!told.is_empty()).then_some(told)
}

#[cfg(test)]
mod tests {
    use super::{HomeFile, Models, Tool, Tools};
    use crate::guest::Mcp;

    fn tools(model: Option<&str>) -> Tools {
        let (proxy, keys) = ("https://models.lan".parse().unwrap(), "vault:secret/data/k".into());
        let models = Some(Models { proxy, keys, model: model.map(str::to_owned) });
        Tools { names: vec![Tool::Aider, Tool::Claude, Tool::Codex], models }
    }

    fn mcp() -> Mcp {
        Mcp { proxy: "https://mcp.lan".parse().unwrap(), servers: vec!["outline".to_owned()] }
    }

    fn found(files: Vec<HomeFile>, path: &str) -> String {
        files.into_iter().find(|file| file.path == path).unwrap().content
    }

    fn json(text: &str) -> serde_json::Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn each_tool_finds_the_models_and_the_servers_in_its_own_words() {
        let (tools, mcp) = (tools(Some("gpt")), mcp());
        let file = |path| found(tools.files(Some(&mcp)), path);
        let aider = json(&file(".aider.conf.yml"));
        assert_eq!(aider["openai-api-base"], "https://models.lan/v1");
        assert_eq!(aider["model"], "openai/gpt");
        let claude = json(&file(".claude/settings.json"));
        assert_eq!(claude["env"]["ANTHROPIC_BASE_URL"], "https://models.lan");
        let server = &json(&file(".claude.json"))["mcpServers"]["outline"];
        assert_eq!(server["url"], "https://mcp.lan/mcp/outline");
        assert_eq!(server["headers"]["Authorization"], "Bearer ${CODER_AGENT_TOKEN}");
        let codex: toml::Table = file(".codex/config.toml").parse().unwrap();
        let provider = &codex["model_providers"]["site"];
        assert_eq!(codex["model_provider"].as_str(), Some("site"));
        assert_eq!(provider["base_url"].as_str(), Some("https://models.lan/v1"));
        assert_eq!(provider["env_key"].as_str(), Some("OPENAI_API_KEY"));
        let server = &codex["mcp_servers"]["outline"];
        assert_eq!(server["url"].as_str(), Some("https://mcp.lan/mcp/outline"));
        assert_eq!(server["bearer_token_env_var"].as_str(), Some("CODER_AGENT_TOKEN"));
    }

    #[test]
    fn a_key_stands_in_the_environment_and_in_no_file() {
        let all = tools(None);
        let names = |tools: &Tools| {
            let variables = tools.variables("canary").into_iter();
            variables.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(names(&all), ["OPENAI_API_KEY=canary", "ANTHROPIC_AUTH_TOKEN=canary"]);
        let codex = Tools { names: vec![Tool::Codex], ..all };
        assert_eq!(names(&codex), ["OPENAI_API_KEY=canary"]);
    }

    #[test]
    fn a_tool_that_has_nothing_to_be_told_has_no_file() {
        let without = Tools { models: None, ..tools(None) };
        assert!(without.files(None).is_empty());
        let paths: Vec<_> = without.files(Some(&mcp())).iter().map(|file| file.path).collect();
        assert_eq!(paths, [".claude.json", ".codex/config.toml"]);
    }
}
