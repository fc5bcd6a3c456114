//! What can be done to a run by hand, whatever its workflow: `run.pause`, `run.skip` and so on.
//!
//! Every order says why; it becomes an event with that reason and with who gave it.

use alloc::format;
use alloc::string::{String, ToString};

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Described;
use super::fields::{Fields, is_reason, read_id};
use crate::dispatch::RunOrder;
use crate::event::{Seq, Signal};
use crate::ids::RunId;
use crate::refusal::Refusal;

/// The kind under which all runs, of whatever workflow, can be asked about.
pub const KIND: &str = "run";
/// The longest reason, in characters.
pub const WHY_MAX: usize = 1000;
/// The longest name of a signal, in characters.
pub const SIGNAL_NAME_MAX: usize = 64;

/// `run.cancel`, `run.pause`, `run.resume`, `run.terminate`: an order that needs nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderRun {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The run.
    pub run: RunId,
    /// Why, for whoever reads the history.
    #[schemars(length(min = 1, max = 1000))]
    pub why: String,
}

/// `run.retry`: one step, or all that wait for their next attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRun {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The run.
    pub run: RunId,
    /// The step's number; without it all steps that wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Seq>,
    /// Why, for whoever reads the history.
    #[schemars(length(min = 1, max = 1000))]
    pub why: String,
}

/// `run.abandon`: gives up an undo that cannot succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AbandonUndo {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The run.
    pub run: RunId,
    /// The undo's number.
    pub step: Seq,
    /// Why, for whoever has to clean up.
    #[schemars(length(min = 1, max = 1000))]
    pub why: String,
}

/// `run.skip`: gives a step's answer by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SkipStep {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The run.
    pub run: RunId,
    /// The step's number.
    pub step: Seq,
    /// What the workflow is to take for the step's answer.
    pub answer: Value,
    /// Why, for whoever reads the history.
    #[schemars(length(min = 1, max = 1000))]
    pub why: String,
}

/// `run.edit`: changes what is asked of a step that is not done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditStep {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The run.
    pub run: RunId,
    /// The step's number.
    pub step: Seq,
    /// The fields of the step's request that change; the others stay.
    pub fields: Map<String, Value>,
    /// Why, for whoever reads the history.
    #[schemars(length(min = 1, max = 1000))]
    pub why: String,
}

/// `run.signal`: a message for the workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalRun {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The run.
    pub run: RunId,
    /// What the message is called.
    #[schemars(length(min = 1, max = 64))]
    pub signal: String,
    /// What it says.
    #[serde(default)]
    pub payload: Value,
    /// Why, for whoever reads the history.
    #[schemars(length(min = 1, max = 1000))]
    pub why: String,
}

/// Every order to a run, in the order of the alphabet.
pub const ORDERS: &[Described] = &[
    Described {
        kind: KIND,
        verb: "abandon",
        about: "Gives up an undo that cannot succeed; what it would have taken back is listed",
        schema: || schema_for!(AbandonUndo),
    },
    Described {
        kind: KIND,
        verb: "cancel",
        about: "Stops what a run is doing and takes it back",
        schema: || schema_for!(OrderRun),
    },
    Described {
        kind: KIND,
        verb: "edit",
        about: "Changes what is asked of a step that is not done, and tries it now",
        schema: || schema_for!(EditStep),
    },
    Described {
        kind: KIND,
        verb: "pause",
        about: "Begins no attempt and fires no timer until the run is resumed",
        schema: || schema_for!(OrderRun),
    },
    Described {
        kind: KIND,
        verb: "resume",
        about: "Lets a paused run go on",
        schema: || schema_for!(OrderRun),
    },
    Described {
        kind: KIND,
        verb: "retry",
        about: "Tries now what waits for its next attempt, and resumes a paused run",
        schema: || schema_for!(RetryRun),
    },
    Described {
        kind: KIND,
        verb: "signal",
        about: "Hands a message to the workflow",
        schema: || schema_for!(SignalRun),
    },
    Described {
        kind: KIND,
        verb: "skip",
        about: "Gives a step's answer by hand; nobody carries the step out",
        schema: || schema_for!(SkipStep),
    },
    Described {
        kind: KIND,
        verb: "terminate",
        about: "Ends a run as it is and lists what it leaves behind",
        schema: || schema_for!(OrderRun),
    },
];

/// An order to a run, as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct RunCommand {
    /// The run.
    pub run: RunId,
    /// Why.
    pub why: String,
    /// The command's id, if it was given one.
    pub id: Option<String>,
    /// What is to be done.
    pub order: RunOrder,
}

/// Reads an order's fields.
///
/// # Errors
/// With the first rule that they break. A verb that is not in [`ORDERS`] is one, too.
pub fn read(verb: &str, fields: &Map<String, Value>) -> Result<RunCommand, Refusal> {
    let id = read_id(fields)?;
    let mut reader = Fields::of(fields);
    let run = read_run(reader.text("run")?)?;
    let order = read_order(verb, &mut reader)?;
    let why = reader.text("why")?.trim().to_string();
    reader.finish()?;
    if !is_reason(&why, WHY_MAX) {
        let words = format!("say why, on one line, in 1 to {WHY_MAX} characters");
        return Err(Refusal::new("run.why-invalid", words).field("why"));
    }
    Ok(RunCommand { run, why, id, order })
}

/// Reads a run's id.
///
/// # Errors
/// If it is none.
pub fn read_run(text: &str) -> Result<RunId, Refusal> {
    text.parse::<RunId>()
        .map_err(|error| Refusal::new("run.id-invalid", error.to_string()).field("run"))
}

fn read_order(verb: &str, reader: &mut Fields<'_>) -> Result<RunOrder, Refusal> {
    Ok(match verb {
        "cancel" => RunOrder::Cancel,
        "pause" => RunOrder::Pause,
        "resume" => RunOrder::Resume,
        "terminate" => RunOrder::Terminate,
        "retry" => RunOrder::Retry { step: reader.optional_number("step")? },
        "abandon" => RunOrder::Abandon { step: read_step(reader)? },
        "skip" => {
            RunOrder::Skip { step: read_step(reader)?, answer: reader.value("answer")?.clone() }
        }
        "edit" => RunOrder::Edit { step: read_step(reader)?, fields: read_fields(reader)? },
        "signal" => RunOrder::Signal(read_signal(reader)?),
        other => {
            let words = format!("no order to a run is called `{other}`");
            return Err(Refusal::new("verb.unknown", words));
        }
    })
}

fn read_step(reader: &mut Fields<'_>) -> Result<Seq, Refusal> {
    reader.optional_number("step")?.ok_or_else(|| {
        let words = "say which step by its number; `stead run show` has it";
        Refusal::new("parameter.missing", words).field("step")
    })
}

fn read_fields(reader: &mut Fields<'_>) -> Result<Map<String, Value>, Refusal> {
    match reader.value("fields")? {
        Value::Object(fields) if !fields.is_empty() => Ok(fields.clone()),
        _ => {
            let words = "an object with the fields that change is wanted, such as {\"node\":\"b\"}";
            Err(Refusal::new("parameter.wrong-type", words).field("fields"))
        }
    }
}

fn read_signal(reader: &mut Fields<'_>) -> Result<Signal, Refusal> {
    let name = reader.text("signal")?.to_string();
    if name.is_empty() || name.chars().count() > SIGNAL_NAME_MAX {
        let words = format!("a signal's name is a text of 1 to {SIGNAL_NAME_MAX} characters");
        return Err(Refusal::new("run.signal-invalid", words).field("signal"));
    }
    Ok(Signal { name, payload: reader.optional_value("payload").cloned().unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::{ORDERS, read};

    fn check(verb: &str, fields: Value, expected: &str) {
        let Value::Object(mut all) = fields else { panic!("an object is wanted") };
        all.insert("run".into(), json!("workspace-k3j5x7q2m4n6p8r9-1"));
        let found = read(verb, &all).map_or_else(|refusal| refusal.code, |_| "read".into());
        assert_eq!(found, expected, "{verb} {all:?}");
    }

    #[test]
    fn every_order_of_the_table_can_be_read() {
        let fields = json!({"why": "w", "step": 3, "answer": {}, "fields": {"a": 1},
            "signal": "go", "payload": 1});
        let Value::Object(fields) = fields else { unreachable!() };
        for order in ORDERS {
            let schema = (order.schema)().to_value();
            let known = schema["properties"].as_object().expect("an object's schema");
            let mut some: Map<_, _> =
                fields.clone().into_iter().filter(|(field, _)| known.contains_key(field)).collect();
            some.insert("run".into(), json!("workspace-k3j5x7q2m4n6p8r9-1"));
            assert!(read(order.verb, &some).is_ok(), "{}", order.verb);
        }
    }

    #[test]
    fn an_order_that_lacks_something_is_refused() {
        check("pause", json!({"why": " "}), "run.why-invalid");
        for forged in ["x\ny", "x\u{1b}[2K", "x\u{202e}y", "x\ry"] {
            check("pause", json!({"why": forged}), "run.why-invalid");
        }
        check("pause", json!({}), "parameter.missing");
        check("pause", json!({"why": "w", "step": 1}), "command.unknown-field");
        check("skip", json!({"why": "w", "step": 1}), "parameter.missing");
        check("skip", json!({"why": "w", "answer": 1}), "parameter.missing");
        check("edit", json!({"why": "w", "step": 1, "fields": []}), "parameter.wrong-type");
        check("edit", json!({"why": "w", "step": 1, "fields": {}}), "parameter.wrong-type");
        check("signal", json!({"why": "w", "signal": ""}), "run.signal-invalid");
        check("explode", json!({"why": "w"}), "verb.unknown");
        check("skip", json!({"why": "w", "step": 1, "answer": null}), "read");
    }
}
