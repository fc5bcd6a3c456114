//! Accounts at Authentik.

use serde_json::{Value, json};
use stead_schemas::failure::Failure;

use super::World;

impl World {
    /// Authentik: whoever is asked for by his subject, or by his name as it is written.
    pub(super) fn with_authentik(&self, step: &str, ask: &Value) -> Result<Value, Failure> {
        if let Some(class) = self.unseen {
            return Err(Failure::new(class, "Authentik does not answer"));
        }
        let shown = |subject: &str| {
            let (username, is_active) = self.users.get(subject)?;
            let mut shown =
                json!({ "subject": subject, "username": username, "is_active": is_active });
            if let Some(groups) = self.groups.get(subject).filter(|_| ask["groups"].is_array()) {
                shown["groups"] = json!(groups);
            }
            Some(shown)
        };
        if step == "authentik.list-users" {
            let asked = ask["subjects"].as_array().cloned().unwrap_or_default();
            let users: Vec<Value> =
                asked.iter().filter_map(|subject| shown(subject.as_str()?)).collect();
            return Ok(json!({ "users": users }));
        }
        let named = |name: &Value| {
            self.users.iter().find(|(_, (called, _))| called == name).map(|(subject, _)| subject)
        };
        let subject = match ask["subject"].as_str() {
            Some(subject) => Some(subject),
            None => named(&ask["username"]).map(String::as_str),
        };
        Ok(json!({ "user": subject.and_then(shown) }))
    }

    /// Somebody has an account from now on.
    pub fn join(&mut self, name: &str) {
        self.join_as(name, &format!("subject-{name}"));
    }

    pub fn join_as(&mut self, name: &str, subject: &str) {
        self.users.insert(subject.to_owned(), (name.to_owned(), true));
    }

    pub fn leave(&mut self, name: &str) {
        self.users.retain(|_, (called, _)| called != name);
    }

    pub fn set_active(&mut self, name: &str, is_active: bool) {
        let found = self.users.values_mut().find(|(called, _)| called == name);
        found.expect("a user").1 = is_active;
    }

    pub fn rename(&mut self, name: &str, to: &str) {
        let found = self.users.values_mut().find(|(called, _)| called == name);
        found.expect("a user").0 = to.to_owned();
    }
}
