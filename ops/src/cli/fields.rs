//! The fields of a command, as they are sent: what was typed is handed on as it is, and the engine
//! decides what may be chosen, and says why not, in one place for every client.

use clap::Args;
use serde_json::{Map, Value};

/// See the module's head.
#[derive(Debug, Default)]
pub struct Fields(pub Map<String, Value>);

/// What every command to an entity says.
#[derive(Debug, Args)]
pub struct Command {
    /// Its name.
    pub name: String,
    /// The command's id: sent twice, a command of the same id acts once.
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// How much it is wanted before others that wait for the same: high, normal or low.
    #[arg(long, value_name = "WORD")]
    pub priority: Option<String>,
    /// Follow the command until it has an outcome.
    #[arg(long)]
    pub wait: bool,
    /// Say what would happen, and let nothing happen.
    #[arg(long)]
    pub dry_run: bool,
}

impl Command {
    /// The fields that every command has.
    pub fn fields(&self) -> Fields {
        Fields::of(&self.name, self.id.as_ref()).text("priority", self.priority.as_ref())
    }
}

impl Fields {
    /// The fields that every command has.
    pub fn of(name: &String, id: Option<&String>) -> Self {
        Self::default().text("name", Some(name)).text("id", id)
    }

    /// A text, as it was typed.
    pub fn text(self, field: &str, text: Option<&String>) -> Self {
        self.value(field, text.map(|text| Value::String(text.clone())))
    }

    /// A number; what is none is sent as the text it is, for the engine to refuse.
    pub fn number(self, field: &str, text: Option<&String>) -> Self {
        let value = text.map(|text| {
            let number = text.parse::<serde_json::Number>().map(Value::Number);
            number.unwrap_or_else(|_| Value::String(text.clone()))
        });
        self.value(field, value)
    }

    /// Something that is said only if it is so.
    pub fn flag(self, field: &str, flag: bool) -> Self {
        self.value(field, flag.then_some(Value::Bool(true)))
    }

    /// Anything, if it is there.
    pub fn value(mut self, field: &str, value: Option<Value>) -> Self {
        if let Some(value) = value {
            self.0.insert(field.to_owned(), value);
        }
        self
    }
}
