//! A preview of a branch: opened by a command, kept for a day, taken down by itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use stead_core::context::{Command, Context};
use stead_core::definition::{Admission, Admitted, Definition, Ending};
use stead_core::run::execution;
use stead_schemas::command::fields::Fields;
use stead_schemas::failure::Failure;
use stead_schemas::refusal::Refusal;

use crate::steps::{AwaitPage, Publish, Withdraw};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub const PREVIEW: Definition = Definition {
    kind: "preview",
    public: true,
    verbs: &["open", "extend", "close"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit,
};

#[derive(Serialize, Deserialize)]
struct Order {
    branch: String,
}

fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let mut fields = Fields::of(admission.fields);
    if admission.verb != "open" {
        fields.finish()?;
        return Ok(Admitted { payload: json!({}), begins: false, interrupts: false });
    }
    let branch = fields.optional_text("branch")?.unwrap_or("main").to_owned();
    fields.finish()?;
    if admission.living.is_some() {
        return Err(Refusal::new("preview.exists", "it is open already").field("name"));
    }
    Ok(Admitted { payload: json!(Order { branch }), begins: true, interrupts: false })
}

async fn run(cx: Context) -> Result<Ending, Failure> {
    let url = match cx.carried()? {
        Some(url) => url,
        None => open(&cx).await?,
    };
    let mut close = None;
    while close.is_none() {
        cx.show("open", &json!({ "url": url }));
        if cx.should_begin_anew() {
            return Ok(Ending::ContinueAsNew(json!(url)));
        }
        match cx.next_command_within(DAY, "a preview is kept for a day").await {
            None => break,
            Some(command) if command.verb == "extend" => cx.complete(&command, Ok(json!({}))),
            Some(command) => close = Some(command),
        }
    }
    cx.show("closing", &json!({}));
    cx.take_back(withdraw(&cx)).await?;
    if let Some(close) = close {
        cx.complete(&close, Ok(json!({})));
    }
    Ok(Ending::Completed(json!({})))
}

async fn open(cx: &Context) -> Result<String, Failure> {
    let open = cx.next_command().await;
    cx.show("opening", &json!({}));
    let opened = cx.operation(publish(cx, &open)).await;
    cx.complete(&open, opened.clone().map(|url| json!({ "url": url })));
    opened
}

async fn publish(cx: &Context, open: &Command) -> Result<String, Failure> {
    let Order { branch } = open.read()?;
    let (name, marker) = (cx.name(), cx.run().to_string());
    let site = cx.step(Publish { name, branch, marker }).undo(withdraw(cx)).await?;
    cx.step(AwaitPage { url: site.url.clone() }).within(Duration::from_secs(60)).await?;
    Ok(site.url)
}

fn withdraw(cx: &Context) -> Withdraw {
    Withdraw { name: cx.name(), marker: cx.run().to_string() }
}
