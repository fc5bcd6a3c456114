//! The door of an MCP server: checks a command and completes it.
//!
//! Only what the site declares is run, of the repository that it names: a command chooses no more
//! than the tag.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use stead_core::definition::{Admission, Admitted};
use stead_schemas::command::fields::Fields;
use stead_schemas::command::mcp::{McpOrder, McpView};
use stead_schemas::refusal::Refusal;
use stead_schemas::site::{KubernetesSite, McpServer};
use stead_schemas::step::kubernetes::Image;
use stead_schemas::step::vmids::PLATFORM;

use super::state::earlier;
use crate::as_value;
use crate::plan::planned;

pub(super) fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    // They serve everybody: whoever gives commands for one owner only has no say in it.
    if admission.owner.as_str() != PLATFORM {
        let words = "MCP servers are the platform's own: the owner is `stead`";
        return Err(Refusal::new("mcp.owner", words).field("owner"));
    }
    let site = site(admission)?;
    let mut fields = Fields::of(admission.fields);
    let order = match admission.verb {
        "deploy" => {
            let mut server = declared(admission)?.clone();
            if let Some(tag) = fields.optional_text("tag")? {
                server.image = tagged(&server.image, tag)?;
            }
            McpOrder { server, site, take_over: takes_over(&mut fields)? }
        }
        "repair" => {
            if living(admission)?.active.is_none() {
                let words = "nothing of it was rolled out yet that could be put right; deploy it";
                return Err(Refusal::new("mcp.not-deployed", words));
            }
            McpOrder { site, take_over: takes_over(&mut fields)?, ..McpOrder::default() }
        }
        "rollback" => {
            let view = living(admission)?;
            earlier(&view.releases, view.active.as_deref())
                .map_err(|words| Refusal::new("mcp.no-earlier", words))?;
            McpOrder { site, ..McpOrder::default() }
        }
        // What the site declares no longer can be taken away all the same.
        _ => {
            living(admission)?;
            McpOrder { site, ..McpOrder::default() }
        }
    };
    fields.finish()?;
    let begins = admission.living.is_none();
    let interrupts = admission.verb == "remove";
    let payload = match interrupts {
        true => planned(as_value(&order), plan_of_remove(admission.name, &living(admission)?)),
        false => as_value(&order),
    };
    Ok(Admitted { payload, begins, interrupts })
}

fn takes_over(fields: &mut Fields<'_>) -> Result<bool, Refusal> {
    Ok(fields.optional_flag("take_over")? == Some(true))
}

fn plan_of_remove(name: &str, view: &McpView) -> [Option<String>; 2] {
    let runs = view.active.as_ref().map_or(String::new(), |image| format!(", which runs {image}"));
    let gone = format!(
        "server {name}: its Deployment and Service in the namespace {} are deleted{runs}; whoever \
         works with it is cut off",
        view.namespace
    );
    let again = "it can be deployed again as long as the site declares it".to_string();
    [Some(gone), Some(again)]
}

fn site(admission: &Admission<'_>) -> Result<KubernetesSite, Refusal> {
    admission.site.kubernetes.clone().ok_or_else(|| {
        let words =
            "this site has no Kubernetes; whoever runs it must write a [kubernetes] section";
        Refusal::new("mcp.no-kubernetes", words)
    })
}

fn declared<'a>(admission: &Admission<'a>) -> Result<&'a McpServer, Refusal> {
    let all = &admission.site.mcp_servers;
    all.iter().find(|known| known.name == admission.name).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|known| known.name.as_str()).collect();
        let known = match names.is_empty() {
            true => "none; whoever runs it must write [[mcp_servers]]".to_string(),
            false => names.join(", "),
        };
        let words = format!("this site has no MCP server `{}`; it has {known}", admission.name);
        Refusal::new("mcp.unknown", words).field("name")
    })
}

fn living(admission: &Admission<'_>) -> Result<McpView, Refusal> {
    let view = admission.living.and_then(|living| serde_json::from_value(living.view.clone()).ok());
    view.ok_or_else(|| {
        let words = format!("the MCP server `{}` was not deployed yet", admission.name);
        Refusal::new("mcp.unknown", words).field("name")
    })
}

/// The same repository's image of another tag or digest.
fn tagged(image: &str, reference: &str) -> Result<String, Refusal> {
    let tagged = Image::read(image).and_then(|image| image.at(reference));
    tagged.map(|image| image.name()).ok_or_else(|| {
        let words = "a tag has 1 to 128 of letters, digits, -, _ and .; or name a whole digest, \
                     sha256:…";
        Refusal::new("mcp.tag-invalid", words).field("tag")
    })
}
