//! The door of a schedule: checks a command and completes it; and looks up what is planned.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value};
use stead_core::definition::{Admission, Admitted};
use stead_schemas::command::COMMANDS;
use stead_schemas::command::fields::{Fields, is_printable};
use stead_schemas::command::schedule::{
    CatchUp, CommandToGive, KIND, NAME_MAX, NOTE_MAX, Overlap, Schedule, UpdateSchedule,
    WITHIN_SECONDS, WITHIN_SECONDS_DEFAULT,
};
use stead_schemas::refusal::Refusal;
use stead_schemas::step::schedule::PlanFirings;

use super::calendar::Calendar;
use crate::as_value;
use crate::plan::planned;

/// The longest name of an entity that is handed on.
const TARGET_MAX: usize = 300;

pub(super) fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    check_name(admission.name)?;
    match admission.verb {
        "create" => admit_create(admission),
        "update" => admit_update(admission),
        "plan" => admit_plan(admission),
        "delete" => {
            Fields::of(admission.fields).finish()?;
            living(admission)?;
            let plan = [
                Some("schedule: fires no more; what it was is forgotten".to_string()),
                Some("the command that it gave last: goes on".to_string()),
            ];
            let payload = planned(Value::Null, plan);
            Ok(Admitted { payload, begins: false, interrupts: false })
        }
        _ => {
            Fields::of(admission.fields).finish()?;
            living(admission)?;
            Ok(Admitted { payload: Value::Null, begins: false, interrupts: false })
        }
    }
}

fn admit_create(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let change = read(admission)?;
    let cron = needed("cron", change.cron)?;
    let time_zone = change.time_zone.unwrap_or_else(|| "UTC".to_string());
    Calendar::read(&cron, &time_zone)?;
    let schedule = Schedule {
        cron,
        time_zone,
        command: needed("command", change.command)?,
        overlap: change.overlap.unwrap_or_default(),
        catch_up: change.catch_up.unwrap_or_default(),
        catch_up_within_seconds: change.catch_up_within_seconds.unwrap_or(WITHIN_SECONDS_DEFAULT),
        note: change.note,
    };
    if admission.living.is_some() {
        let words = "there is a schedule of this name already; choose another name, update it or \
                     delete it";
        return Err(Refusal::new("schedule.exists", words).field("name"));
    }
    Ok(Admitted { payload: as_value(&schedule), begins: true, interrupts: false })
}

fn admit_update(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let change = read(admission)?;
    living(admission)?;
    // Each is checked by itself; any cron expression goes with any zone.
    Calendar::read(
        change.cron.as_deref().unwrap_or("@daily"),
        change.time_zone.as_deref().unwrap_or("UTC"),
    )?;
    if change == (UpdateSchedule { name: change.name.clone(), ..UpdateSchedule::default() }) {
        let words = "say what to change: cron, time_zone, command, overlap, catch_up, \
                     catch_up_within_seconds or note";
        return Err(Refusal::new("update.nothing", words));
    }
    Ok(Admitted { payload: as_value(&change), begins: false, interrupts: false })
}

/// Whoever plans asks. What this build knows of the zone becomes a fact of its history.
pub(crate) fn admit_plan(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let ask = serde_json::from_value(Value::Object(admission.fields.clone()));
    let ask: PlanFirings = ask.map_err(|error| {
        Refusal::new("schedule.plan-unreadable", format!("this build cannot read it: {error}"))
    })?;
    let plan = Calendar::read(&ask.cron, &ask.time_zone)?.plan(ask.after, ask.now);
    Ok(Admitted { payload: as_value(&plan), begins: false, interrupts: false })
}

/// Reads everything that may be said of a schedule.
fn read(admission: &Admission<'_>) -> Result<UpdateSchedule, Refusal> {
    let mut fields = Fields::of(admission.fields);
    let change = UpdateSchedule {
        id: None,
        name: admission.name.to_string(),
        cron: fields.optional_text("cron")?.map(ToString::to_string),
        time_zone: fields.optional_text("time_zone")?.map(ToString::to_string),
        command: fields.optional_object("command")?.map(command).transpose()?,
        overlap: chosen(&mut fields, "overlap", &Overlap::ALL, Overlap::word)?,
        catch_up: chosen(&mut fields, "catch_up", &CatchUp::ALL, CatchUp::word)?,
        catch_up_within_seconds: within(fields.optional_number("catch_up_within_seconds")?)?,
        note: note(fields.optional_text("note")?)?,
    };
    fields.finish()?;
    Ok(change)
}

/// Reads the command that is to be given. Whether its entity takes it is known when it is given.
fn command(said: &Map<String, Value>) -> Result<CommandToGive, Refusal> {
    let refuse = |words: String| Refusal::new("schedule.command-invalid", words).field("command");
    let read = serde_json::from_value(Value::Object(said.clone()));
    let command: CommandToGive = read.map_err(|error| {
        let words = "it is an object of kind, name, verb and fields, such as {\"kind\":\
                     \"workspace\",\"name\":\"dev\",\"verb\":\"stop\"}";
        refuse(format!("{words}: {error}"))
    })?;
    if command.kind == KIND {
        return Err(refuse("a schedule cannot be given commands by a schedule".to_string()));
    }
    let is_known = |known: &str| known == format!("{}.{}", command.kind, command.verb);
    let commands: Vec<String> = (COMMANDS.iter().filter(|known| known.kind != KIND))
        .map(|known| format!("{}.{}", known.kind, known.verb))
        .collect();
    if !commands.iter().any(|known| is_known(known)) {
        let words = "there is no such command; there are";
        return Err(refuse(format!("{words} {}", commands.join(", "))));
    }
    let length = command.name.chars().count();
    if length == 0 || length > TARGET_MAX || command.name.chars().any(char::is_control) {
        return Err(refuse("its name is that of the entity it is for".to_string()));
    }
    if let Some(own) = ["id", "name"].into_iter().find(|own| command.fields.contains_key(*own)) {
        let words = format!(
            "`{own}` is not among its fields: each firing has its own id, and \
                             the name stands beside them"
        );
        return Err(refuse(words));
    }
    Ok(command)
}

fn chosen<T: Copy>(
    fields: &mut Fields<'_>,
    field: &'static str,
    all: &[T],
    word: fn(T) -> &'static str,
) -> Result<Option<T>, Refusal> {
    let Some(said) = fields.optional_text(field)? else { return Ok(None) };
    let found = all.iter().copied().find(|known| word(*known) == said);
    found.map(Some).ok_or_else(|| {
        let words: Vec<&str> = all.iter().map(|known| word(*known)).collect();
        let words = format!("choose one of: {}", words.join(", "));
        Refusal::new("parameter.out-of-range", words).field(field)
    })
}

fn within(seconds: Option<u32>) -> Result<Option<u32>, Refusal> {
    let (least, most) = WITHIN_SECONDS;
    match seconds {
        Some(other) if !(least..=most).contains(&other) => {
            let words = format!("{other} is out of range; {least} to {most} may be chosen");
            Err(Refusal::new("parameter.out-of-range", words).field("catch_up_within_seconds"))
        }
        good => Ok(good),
    }
}

fn note(text: Option<&str>) -> Result<Option<String>, Refusal> {
    match text {
        Some(text) if text.chars().count() > NOTE_MAX => {
            let words = format!("a note has at most {NOTE_MAX} characters");
            Err(Refusal::new("parameter.out-of-range", words).field("note"))
        }
        Some(text) if !text.chars().all(is_printable) => {
            let words = "a note stands on one line";
            Err(Refusal::new("parameter.out-of-range", words).field("note"))
        }
        good => Ok(good.map(ToString::to_string)),
    }
}

fn needed<T>(field: &str, said: Option<T>) -> Result<T, Refusal> {
    said.ok_or_else(|| Refusal::new("parameter.missing", "this field is needed").field(field))
}

fn living(admission: &Admission<'_>) -> Result<(), Refusal> {
    match admission.living {
        Some(_) => Ok(()),
        None => {
            let words = format!("{} has no schedule `{}`", admission.owner, admission.name);
            Err(Refusal::new("schedule.unknown", words).field("name"))
        }
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let plain = |b: u8| alphanumeric(b) || b == b'-' || b == b'_';
    let ends = [name.bytes().next(), name.bytes().last()];
    let good = ends.iter().all(|end| end.is_some_and(alphanumeric));
    if good && name.len() <= NAME_MAX && name.bytes().all(plain) {
        return Ok(());
    }
    let words = format!(
        "a name has 1 to {NAME_MAX} of a-z, 0-9, - and _, and neither begins nor ends in - or _"
    );
    Err(Refusal::new("schedule.name-invalid", words).field("name"))
}
