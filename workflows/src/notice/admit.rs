//! The door of notices: checks one, and says who is told.

use alloc::format;
use alloc::string::ToString;

use stead_core::definition::{Admission, Admitted};
use stead_schemas::command::fields::Fields;
use stead_schemas::command::notice::{NAME, TellOrder, WORDS_MAX};
use stead_schemas::notice::Topic;
use stead_schemas::refusal::Refusal;
use stead_schemas::step::vmids::PLATFORM;

use crate::as_value;

/// The longest name of a thing, in characters.
const ABOUT_MAX: usize = 300;

pub(super) fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    if admission.owner.as_str() != PLATFORM || admission.name != NAME {
        let words = "notices are the platform's own: the owner is `stead`, the name `site`";
        return Err(Refusal::new("notice.name", words).field("name"));
    }
    let mut fields = Fields::of(admission.fields);
    let (topic, about, words) =
        (fields.text("topic")?, fields.text("about")?, fields.text("words")?);
    fields.finish()?;
    let topic = topic_of(topic)?;
    check("about", about, ABOUT_MAX)?;
    check("words", words, WORDS_MAX)?;
    let routes = admission.site.notify.iter().filter(|route| route.tells(topic)).cloned().collect();
    let known = Some(admission.site.notify.iter().map(|route| route.name.clone()).collect());
    let order =
        TellOrder { topic, about: about.to_string(), words: words.to_string(), routes, known };
    if topic == Topic::Test && order.routes.is_empty() {
        let words = "nobody is to be told by the site's configuration: add a [[notify]] to it";
        return Err(Refusal::new("notice.nobody", words));
    }
    Ok(Admitted { payload: as_value(&order), begins: true, interrupts: false })
}

fn topic_of(word: &str) -> Result<Topic, Refusal> {
    let found = Topic::ALL.into_iter().find(|known| known.word() == word);
    found.ok_or_else(|| {
        let words = format!("choose one of: {}", Topic::ALL.map(Topic::word).join(", "));
        Refusal::new("parameter.out-of-range", words).field("topic")
    })
}

fn check(field: &str, text: &str, most: usize) -> Result<(), Refusal> {
    let length = text.chars().count();
    if (1..=most).contains(&length) {
        return Ok(());
    }
    let words = format!("it has {length} characters; 1 to {most} may be said");
    Err(Refusal::new("parameter.out-of-range", words).field(field))
}
