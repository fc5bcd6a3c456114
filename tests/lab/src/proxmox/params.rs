//! Parameters, and the checks every call goes through: nothing unknown, nothing missing.

use serde_json::{Map, Value};

use super::answer;
use crate::net::{Answer, Call};

/// The parameters of a call, from query and body alike.
pub(super) struct Params(Map<String, Value>);

impl Params {
    pub(super) fn of(call: &Call) -> Self {
        let mut all = call.query.clone();
        all.extend(call.fields());
        Self(all)
    }

    /// Refuses what is neither required nor optional, and what is required and missing.
    pub(super) fn check(&self, required: &[&str], optional: &[&str]) -> Result<(), Answer> {
        self.check_names(required, |name| required.contains(&name) || optional.contains(&name))
    }

    pub(super) fn check_names(
        &self,
        required: &[&str],
        known: impl Fn(&str) -> bool,
    ) -> Result<(), Answer> {
        let missing = required.iter().filter(|name| !self.0.contains_key(**name));
        let missing =
            missing.map(|name| ((*name).to_owned(), "property is missing and it is not optional"));
        let unknown = self.0.keys().filter(|name| !known(name));
        let text =
            "property is not defined in schema and the schema does not allow additional properties";
        let unknown = unknown.map(|name| (name.clone(), text));
        let errors: Map<_, _> =
            missing.chain(unknown).map(|(name, text)| (name, Value::from(text))).collect();
        if errors.is_empty() { Ok(()) } else { Err(answer::parameters(errors)) }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A value as text, whatever type it was sent as.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).map(plain)
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Answer> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let wrong =
            || answer::parameter(name, &format!("type check ('integer') failed - got '{text}'"));
        text.parse().map(Some).map_err(|_| wrong())
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Answer> {
        match self.text(name).as_deref() {
            None => Ok(None),
            Some("1" | "on" | "yes" | "true") => Ok(Some(true)),
            Some("0" | "off" | "no" | "false") => Ok(Some(false)),
            Some(text) => Err(answer::parameter(
                name,
                &format!("type check ('boolean') failed - got '{text}'"),
            )),
        }
    }

    /// All parameters as text.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().map(|(name, value)| (name.as_str(), plain(value)))
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        Value::Null => String::new(),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
