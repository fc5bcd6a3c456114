//! The transit engine: keys that never leave Vault. What was encrypted with one is a handle that
//! only Vault can turn back; here it remembers what each stands for.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::answer;
use crate::net::{Answer, Call};
use crate::pace::Pace;
use crate::world::{State, World};

/// The key that a lab is born with.
const BORN_WITH: &str = "stead";

/// Keys, and what was encrypted with them.
pub(super) struct Transit {
    /// The latest version of each.
    keys: BTreeMap<String, u32>,
    /// The key and the plaintext of each ciphertext.
    wrapped: BTreeMap<String, (String, String)>,
}

impl Transit {
    pub(super) fn pristine() -> Self {
        Self { keys: BTreeMap::from([(BORN_WITH.to_owned(), 1)]), wrapped: BTreeMap::new() }
    }

    /// What stands for a text from now on; nothing if there is no such key.
    fn wrap(&mut self, pace: &Pace, key: &str, plaintext: &str) -> Option<String> {
        let version = self.keys.get(key)?;
        let ciphertext = format!("vault:v{version}:{}", STANDARD.encode(chance(pace)));
        self.wrapped.insert(ciphertext.clone(), (key.to_owned(), plaintext.to_owned()));
        Some(ciphertext)
    }

    fn unwrap(&self, key: &str, ciphertext: &str) -> Option<String> {
        let (of, plaintext) = self.wrapped.get(ciphertext)?;
        (of == key).then(|| plaintext.clone())
    }

    fn rotate(&mut self, key: &str) -> Option<u32> {
        let version = self.keys.get_mut(key)?;
        *version += 1;
        Some(*version)
    }
}

/// 32 bytes that nobody can guess.
fn chance(pace: &Pace) -> Vec<u8> {
    [pace.uuid().into_bytes(), pace.uuid().into_bytes()].concat()
}

pub(super) fn answer(world: &World, call: &Call, path: &[&str]) -> Answer {
    if !matches!(call.method.as_str(), "POST" | "PUT") {
        return answer::errors(405, &["unsupported operation"]);
    }
    match path {
        ["encrypt", key] => encrypt(world, call, key),
        ["decrypt", key] => decrypt(world, call, key),
        ["rewrap", key] => rewrap(world, call, key),
        ["datakey", kind @ ("plaintext" | "wrapped"), key] => data_key(world, kind, key),
        ["keys", key, "rotate"] => {
            let rotated = world.change(|state| state.vault.transit.rotate(key));
            let told = |version| json!({ "latest_version": version, "name": key });
            given(world, rotated.map(told))
        }
        path => answer::no_route(&format!("transit/{}", path.join("/"))),
    }
}

fn encrypt(world: &World, call: &Call, key: &str) -> Answer {
    let Some(plaintext) = text(call, "plaintext") else {
        return answer::errors(400, &["missing plaintext to encrypt"]);
    };
    let wrap = |state: &mut State| state.vault.transit.wrap(&world.pace, key, &plaintext);
    let ciphertext = world.change(wrap);
    given(world, ciphertext.map(|ciphertext| json!({ "ciphertext": ciphertext })))
}

fn decrypt(world: &World, call: &Call, key: &str) -> Answer {
    let Some(ciphertext) = text(call, "ciphertext") else {
        return answer::errors(400, &["missing ciphertext to decrypt"]);
    };
    match world.read(|state| state.vault.transit.unwrap(key, &ciphertext)) {
        Some(plaintext) => answer::data(world.pace.uuid(), json!({ "plaintext": plaintext })),
        None => answer::errors(400, &["invalid ciphertext: unable to decrypt"]),
    }
}

fn rewrap(world: &World, call: &Call, key: &str) -> Answer {
    let ciphertext = text(call, "ciphertext").unwrap_or_default();
    let again = world.change(|state| {
        let plaintext = state.vault.transit.unwrap(key, &ciphertext)?;
        state.vault.transit.wrap(&world.pace, key, &plaintext)
    });
    match again {
        Some(again) => answer::data(world.pace.uuid(), json!({ "ciphertext": again })),
        None => answer::errors(400, &["invalid ciphertext: unable to decrypt"]),
    }
}

fn data_key(world: &World, kind: &str, key: &str) -> Answer {
    let plaintext = STANDARD.encode(chance(&world.pace));
    let ciphertext = world.change(|state| {
        state.vault.made(plaintext.clone());
        state.vault.transit.wrap(&world.pace, key, &plaintext)
    });
    let told = |ciphertext: String| match kind {
        "plaintext" => json!({ "ciphertext": ciphertext, "plaintext": plaintext }),
        _ => json!({ "ciphertext": ciphertext }),
    };
    given(world, ciphertext.map(told))
}

fn given(world: &World, data: Option<Value>) -> Answer {
    match data {
        Some(data) => answer::data(world.pace.uuid(), data),
        None => answer::errors(400, &["encryption key not found"]),
    }
}

fn text(call: &Call, field: &str) -> Option<String> {
    call.fields().get(field).and_then(Value::as_str).map(str::to_owned)
}
