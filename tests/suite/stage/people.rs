//! The owners of the stage are users of Coder, as if each had logged in once; and what they press
//! there.

use serde_json::{Value, json};
use stead_lab::Lab;

/// Makes users of Coder.
pub struct People {
    http: reqwest::Client,
    coder: String,
    token: String,
}

impl People {
    pub async fn meet(lab: &Lab) -> Self {
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build();
        let http = http.expect("a client");
        let (vault, login) = (&lab.addresses().vault_url, lab.credentials());
        let body = json!({ "role_id": login.vault_role_id, "secret_id": login.vault_secret_id });
        let answer = http.post(format!("{vault}/v1/auth/approle/login")).json(&body);
        let ours = text(&sent(answer).await, "/auth/client_token");
        let read = http.get(format!("{vault}/v1/secret/data/coder/api"));
        let token = text(&sent(read.header("x-vault-token", ours)).await, "/data/data/token");
        Self { http, coder: lab.addresses().coder_url.clone(), token }
    }

    /// Makes a user, who may be there already.
    pub async fn welcome(&self, name: &str) {
        let post = self.http.post(format!("{}/api/v2/users", self.coder));
        let body = json!({ "username": name, "email": format!("{name}@example.org") });
        sent(post.header("coder-session-token", &self.token).json(&body)).await;
    }

    /// Asks Coder for something beneath `/api/v2`.
    pub async fn coder(&self, method: &str, path: &str, body: Value) -> Value {
        let method = method.parse().expect("a method");
        let request = self.http.request(method, format!("{}/api/v2{path}", self.coder));
        sent(request.header("coder-session-token", &self.token).json(&body)).await
    }

    /// Presses Create in Coder.
    pub async fn create(&self, owner: &str, parameters: &[(&str, &str)]) -> Value {
        let template = "/organizations/default/templates/stead-machine";
        let template = self.coder("GET", template, json!({})).await["id"].clone();
        let parameters = rich(parameters);
        let body = json!({
            "name": "dev", "template_id": template, "rich_parameter_values": parameters,
        });
        let path = format!("/organizations/default/members/{owner}/workspaces");
        self.coder("POST", &path, body).await
    }

    /// Presses Start, Stop or Delete in Coder; the build's id.
    pub async fn press(&self, id: &str, transition: &str, parameters: &[(&str, &str)]) -> String {
        let parameters = rich(parameters);
        let body = json!({ "transition": transition, "rich_parameter_values": parameters });
        let built = self.coder("POST", &format!("/workspaces/{id}/builds"), body).await;
        text(&built, "/id")
    }
}

fn rich(parameters: &[(&str, &str)]) -> Vec<Value> {
    parameters.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

async fn sent(request: reqwest::RequestBuilder) -> Value {
    let answer = request.send().await.expect("the lab answers");
    answer.json().await.expect("JSON")
}

fn text(answer: &Value, pointer: &str) -> String {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_else(|| panic!("no {pointer} in {answer}")).to_owned()
}
