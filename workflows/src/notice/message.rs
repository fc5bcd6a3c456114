//! What a message says.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Value, json};

use super::state::{Bundle, Item};

/// One line that says it all where there is one thing, and how many there are otherwise.
pub(super) fn subject(bundle: &Bundle) -> String {
    match bundle.items.as_slice() {
        [one] if bundle.more == 0 => format!("[Stead] {}: {}", one.about, one.topic.heading()),
        items => format!("[Stead] {} things to know", items.len() + bundle.more as usize),
    }
}

/// A paragraph for each thing.
pub(super) fn text(bundle: &Bundle) -> String {
    let mut paragraphs: Vec<String> = bundle.items.iter().map(paragraph).collect();
    if bundle.more > 0 {
        paragraphs.push(format!("And {} more; `stead run list` shows them.", bundle.more));
    }
    paragraphs.join("\n\n")
}

/// For machines; `text` alone is what chats show.
pub(super) fn body(bundle: &Bundle) -> Value {
    json!({
        "text": format!("{}\n\n{}", subject(bundle), text(bundle)),
        "items": bundle.items,
        "more": bundle.more,
    })
}

fn paragraph(item: &Item) -> String {
    let Item { topic, about, words, at } = item;
    format!("{about}: {} ({at})\n{words}", topic.heading())
}
