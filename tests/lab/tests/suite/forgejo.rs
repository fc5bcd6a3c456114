//! Forgejo through its own API, with the tokens of Coder that its secrets hold.

use serde_json::{Value, json};

use crate::rig::{Answer, Rig, send, text};

const SECRET: &str = "/actions/secrets/CODER_SESSION_TOKEN";
const DISPATCH: &str = "/actions/workflows/prove-token.yml/dispatches";
const WEEK_NS: u64 = 604_800_000_000_000;

impl Rig {
    async fn forgejo(&self, method: &str, path: &str, body: Option<Value>) -> Option<Answer> {
        let token = text(&self.secret("forgejo/api").await["token"]);
        let base = &self.lab.addresses().forgejo_url;
        let url = format!("{base}/api/v1/repos/john/templates{path}");
        let method = method.parse().expect("a method");
        let request =
            self.http.request(method, url).header("authorization", format!("token {token}"));
        send(request, body).await
    }

    async fn token(&self, lifetime: u64) -> String {
        let body = json!({ "token_name": "ci", "lifetime": lifetime });
        let made = self.coder("POST", "/users/john/keys/tokens", Some(body)).await;
        let made = made.expect("an answer");
        assert_eq!(made.status, 201, "{made:?}");
        text(&made.body["key"])
    }

    /// Who Coder says that this token is.
    async fn who(&self, token: &str) -> (u16, Value) {
        let url = format!("{}/api/v2/users/me", self.lab.addresses().coder_url);
        let answer = send(self.http.get(url).header("coder-session-token", token), None).await;
        let answer = answer.expect("an answer");
        (answer.status, answer.body["username"].clone())
    }

    async fn status_of(&self, answer: Option<Answer>) -> u16 {
        answer.expect("an answer").status
    }

    /// Lets the workflow run and says how that ended.
    async fn run(&self) -> String {
        let order = json!({ "ref": "main", "inputs": { "marker": "m" }, "return_run_info": true });
        let asked = self.forgejo("POST", DISPATCH, Some(order)).await.expect("an answer");
        assert_eq!(asked.status, 201, "{asked:?}");
        let path = format!("/actions/runs/{}", asked.body["id"]);
        let end = async {
            loop {
                let run = self.forgejo("GET", &path, None).await.expect("an answer").body;
                if run["status"] != "waiting" && run["status"] != "running" {
                    assert!(
                        run["event_payload"].as_str().is_some_and(|text| text.contains("\"m\""))
                    );
                    return text(&run["status"]);
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(crate::rig::DEADLINE, end).await.expect("the run ends")
    }
}

#[tokio::test]
async fn a_secret_is_written_and_never_read() {
    let rig = Rig::start().await;
    let put = |value: &str| Some(json!({ "data": value }));
    assert_eq!(rig.forgejo("PUT", SECRET, put("one")).await.expect("an answer").status, 201);
    assert_eq!(rig.forgejo("PUT", SECRET, put("two")).await.expect("an answer").status, 204);
    let listed = rig.forgejo("GET", "/actions/secrets", None).await.expect("an answer");
    assert!(!listed.body.to_string().contains("two"), "{listed:?}");
    assert_eq!(listed.body[0]["name"], "CODER_SESSION_TOKEN");
    assert_eq!(
        rig.lab.forgejo_secret("john/templates", "CODER_SESSION_TOKEN").as_deref(),
        Some("two")
    );
    for name in ["GITEA_TOKEN", "github_token", "1ST", "A-B"] {
        let refused = rig.forgejo("PUT", &format!("/actions/secrets/{name}"), put("x")).await;
        assert_eq!(rig.status_of(refused).await, 400, "{name}");
    }
    let gone = rig.forgejo("DELETE", SECRET, None).await;
    assert_eq!(rig.status_of(gone).await, 204);
    let gone = rig.forgejo("DELETE", SECRET, None).await;
    assert_eq!(rig.status_of(gone).await, 404);
}

#[tokio::test]
async fn a_run_tries_the_secrets_that_it_began_with() {
    let rig = Rig::start().await;
    assert_eq!(rig.run().await, "failure", "there is nothing to try");
    let token = rig.token(WEEK_NS).await;
    assert!(rig.lab.secrets().contains(&token));
    assert_eq!(rig.who(&token).await, (200, json!("john")));
    rig.forgejo("PUT", SECRET, Some(json!({ "data": token }))).await;
    assert_eq!(rig.run().await, "success");
    let id = token.split('-').next().expect("an id");
    let revoke = rig.coder("DELETE", &format!("/users/john/keys/{id}"), None).await;
    assert_eq!(rig.status_of(revoke).await, 204);
    assert_eq!(rig.run().await, "failure");
    let unknown =
        rig.forgejo("POST", "/actions/workflows/x.yml/dispatches", Some(json!({ "ref": "main" })));
    assert_eq!(rig.status_of(unknown.await).await, 404);
}

#[tokio::test]
async fn a_life_in_seconds_is_over_at_once_and_a_name_is_taken_once() {
    let rig = Rig::start().await;
    let token = rig.token(604_800).await;
    // 604,800 ns is no week but six tenths of a millisecond: the first question may be quicker.
    let over = async {
        while rig.who(&token).await.0 != 401 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::rig::DEADLINE, over).await.expect("its life is over");
    let again = json!({ "token_name": "ci", "lifetime": WEEK_NS });
    let again = rig.coder("POST", "/users/john/keys/tokens", Some(again)).await;
    assert_eq!(rig.status_of(again).await, 409);
    let long = json!({ "token_name": "long", "lifetime": WEEK_NS * 10 });
    let long = rig.coder("POST", "/users/john/keys/tokens", Some(long)).await;
    assert_eq!(rig.status_of(long).await, 400);
    let most = rig.coder("GET", "/users/john/keys/tokens/tokenconfig", None).await;
    assert_eq!(most.expect("an answer").body["max_token_lifetime"], 2_592_000_000_000_000_u64);
    let listed = |query: &str| format!("/users/john/keys/tokens{query}");
    let living = rig.coder("GET", &listed(""), None).await.expect("an answer").body;
    let all = rig.coder("GET", &listed("?include_expired=true"), None).await.expect("an answer");
    assert_eq!(
        (living.as_array().map(Vec::len), all.body.as_array().map(Vec::len)),
        (Some(0), Some(1))
    );
}

#[tokio::test]
async fn every_fault_of_forgejo_fires() {
    let rig = Rig::start().await;
    let break_once = |fault| rig.lab.break_times("forgejo", fault, 1).expect("known");
    let branch = async || rig.forgejo("GET", "/branches/main", None).await.expect("an answer");
    let commit = text(&branch().await.body["commit"]["id"]);
    break_once("unauthorized");
    assert_eq!(branch().await.status, 401);
    break_once("not-in-service");
    assert_eq!(branch().await.status, 503);
    break_once("lost-response");
    let state = json!({ "context": "c", "state": "success" });
    let path = format!("/statuses/{commit}");
    assert!(rig.forgejo("POST", &path, Some(state)).await.is_none());
    assert_eq!(rig.effects("status-set"), 1);
    rig.forgejo("PUT", SECRET, Some(json!({ "data": rig.token(WEEK_NS).await }))).await;
    break_once("run-failed");
    assert_eq!(rig.run().await, "failure");
    rig.lab.break_("forgejo", "run-stuck").expect("known");
    let order = Some(json!({ "ref": "main" }));
    assert_eq!(rig.forgejo("POST", DISPATCH, order).await.expect("an answer").status, 204);
    let listed = rig.forgejo("GET", "/actions/runs?limit=1", None).await.expect("an answer").body;
    assert_eq!(
        (&listed["total_count"], &listed["workflow_runs"][0]["status"]),
        (&json!(2), &json!("waiting"))
    );
    rig.lab.mend();
    assert_eq!(rig.run().await, "success");
}
