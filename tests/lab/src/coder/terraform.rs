//! What Terraform makes of a template's files, as far as an import in Coder shows it: blocks that are
//! not closed, variables that nobody has given a value, and which parameters there are.

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::{Value, json};

/// The parameters, or why it cannot begin.
pub(super) fn carry_out(
    tar: &[u8],
    given: &BTreeMap<String, String>,
) -> Result<Vec<Value>, String> {
    let files = files(tar).map_err(|error| format!("extract template files: {error}"))?;
    let texts: Vec<(&String, &String)> =
        files.iter().filter(|(path, _)| path.ends_with(".tf") && !path.contains('/')).collect();
    if texts.is_empty() {
        return Err("no configuration files: the directory holds no Terraform files".to_owned());
    }
    let (mut parameters, mut missing) = (Vec::new(), Vec::new());
    for (path, text) in texts {
        let (open, closed) = (text.matches('{').count(), text.matches('}').count());
        if open != closed {
            return Err(format!("terraform plan: Error: Unclosed configuration block on {path}"));
        }
        parameters.extend(blocks(text, "data \"coder_parameter\"").map(declared));
        let needed =
            blocks(text, "variable").filter(|(_, block)| field(block, "default").is_none());
        missing.extend(needed.map(|(label, _)| label).filter(|name| !given.contains_key(*name)));
    }
    match missing.is_empty() {
        true => Ok(parameters),
        false => Err(format!("required template variables need values: {}", missing.join(", "))),
    }
}

/// What it says when it fails for a reason of its own. It shows values that are not declared to be
/// secret.
pub(super) fn failure(given: &BTreeMap<String, String>) -> String {
    let shown: Vec<String> =
        given.iter().map(|(name, value)| format!("var.{name} is \"{value}\"")).collect();
    match shown.is_empty() {
        true => "terraform init: exit status 1".to_owned(),
        false => format!("terraform plan: Error: Invalid value. {}", shown.join(", ")),
    }
}

fn files(tar: &[u8]) -> std::io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        files.insert(path, text);
    }
    Ok(files)
}

/// The blocks of a kind: the label of each, and what stands in it.
fn blocks<'a>(text: &'a str, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    text.match_indices(kind).filter_map(move |(at, _)| {
        let is_head = at == 0 || text[..at].ends_with('\n');
        let rest = text[at + kind.len()..].strip_prefix(" \"").filter(|_| is_head)?;
        let (label, rest) = rest.split_once('"')?;
        let body = rest.split_once('{')?.1;
        Some((label, &body[..end(body)]))
    })
}

/// Where the block ends whose beginning was read.
fn end(body: &str) -> usize {
    let mut depth = 1;
    let end = body.char_indices().find(|(_, c)| {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        depth == 0
    });
    end.map_or(body.len(), |(end, _)| end)
}

/// What a field of a block is set to first.
fn field<'a>(block: &'a str, name: &str) -> Option<&'a str> {
    fields(block, name).next()
}

fn fields<'a>(block: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    block.lines().filter_map(move |line| {
        let (field, value) = line.split_once('=')?;
        (field.trim() == name).then(|| value.trim().trim_matches('"'))
    })
}

fn declared((label, block): (&str, &str)) -> Value {
    let name = field(block, "name").unwrap_or(label);
    let mut parameter = parameter(name, field(block, "default").is_none());
    for (field_there, field_here) in [("validation_min", "min"), ("validation_max", "max")] {
        if let Some(number) = field(block, field_here).and_then(|text| text.parse::<i64>().ok()) {
            parameter[field_there] = json!(number);
        }
    }
    let options = fields(block, "value");
    let option = |value| json!({ "name": value, "description": "", "value": value, "icon": "" });
    parameter["options"] = options.map(option).collect();
    parameter["type"] = json!(field(block, "type").unwrap_or("string"));
    parameter
}

/// A parameter that is a text, whichever.
pub(super) fn parameter(name: &str, required: bool) -> Value {
    json!({
        "name": name, "display_name": "", "description": "", "description_plaintext": "",
        "type": "string", "form_type": "input", "mutable": true, "default_value": "", "icon": "",
        "options": [], "required": required, "ephemeral": false,
    })
}
