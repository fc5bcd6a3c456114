//! The door of a token: checks a command and completes it.
//!
//! A token acts for its owner at Coder, and is given to a repository of its owner's only: nobody
//! can put anything into the CI of others, nor have a token that may more than he may himself.

use alloc::format;
use alloc::string::{String, ToString};

use serde_json::Value;
use stead_core::definition::{Admission, Admitted};
use stead_schemas::command::fields::Fields;
use stead_schemas::command::token::{
    BRANCH, ConfigureToken, DAYS, EVERY_DAYS, LIFE_DAYS, Pace, SECRET, TokenOrder, TokenView,
    WORKFLOW, credentials_of,
};
use stead_schemas::command::workspace::check_name;
use stead_schemas::refusal::Refusal;

use crate::as_value;
use crate::plan::planned;

/// The longest name of a repository, a secret or a file.
const NAME_MAX: usize = 100;
/// Beginnings that Forgejo keeps for itself.
const RESERVED: [&str; 3] = ["GITHUB_", "GITEA_", "FORGEJO_"];

pub(super) fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    check_name(admission.name)
        .map_err(|refusal| Refusal { code: "token.name-invalid".into(), ..refusal })?;
    match admission.verb {
        "create" => admit_create(admission),
        "configure" => admit_configure(admission),
        "delete" => {
            let view = living(admission)?;
            Fields::of(admission.fields).finish()?;
            let payload = planned(Value::Null, plan_of_delete(&view));
            Ok(Admitted { payload, begins: false, interrupts: true })
        }
        _ => {
            living(admission)?;
            Fields::of(admission.fields).finish()?;
            Ok(Admitted { payload: Value::Null, begins: false, interrupts: false })
        }
    }
}

fn plan_of_delete(view: &TokenView) -> [Option<String>; 3] {
    let TokenView { secret, repository, .. } = view;
    let given =
        format!("secret {secret} of {repository}: deleted; jobs that begin later have no token");
    let before = view.previous_until.map(|_| {
        "token from before: revoked at once, whatever jobs still work with it".to_string()
    });
    let held = view.expires_at.map(|_| {
        "token in use: revoked in Coder at once, whatever jobs still work with it".to_string()
    });
    [Some(given), before, held]
}

fn admit_create(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let mut fields = Fields::of(admission.fields);
    let repository = repository(admission, fields.text("repository")?)?;
    let secret = secret(fields.optional_text("secret")?.unwrap_or(SECRET))?;
    let workflow = workflow(fields.optional_text("workflow")?.unwrap_or(WORKFLOW))?;
    let branch = branch(fields.optional_text("branch")?.unwrap_or(BRANCH))?;
    let usual = Pace { life_days: LIFE_DAYS, every_days: EVERY_DAYS };
    let (life_days, every_days) = days(&mut fields)?;
    let pace = pace(usual, life_days, every_days)?;
    fields.finish()?;
    let Some(site) = &admission.site.forgejo else {
        let words = "this site has no Forgejo; whoever runs it must write a [forgejo] section";
        return Err(Refusal::new("token.no-forgejo", words));
    };
    if let Some(living) = admission.living {
        let words = format!(
            "there is a token of this name already, it is {}; choose another name or delete it",
            living.phase
        );
        return Err(Refusal::new("token.exists", words).field("name"));
    }
    let order = TokenOrder {
        user: admission.owner.to_string(),
        repository,
        secret,
        workflow,
        branch,
        pace,
        credentials: credentials_of(site, admission.owner, admission.name),
        coder_secret: admission.site.coder.secret.clone(),
        forgejo_secret: site.secret.clone(),
    };
    Ok(Admitted { payload: as_value(&order), begins: true, interrupts: false })
}

fn admit_configure(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let view = living(admission)?;
    let mut fields = Fields::of(admission.fields);
    let (life_days, every_days) = days(&mut fields)?;
    fields.finish()?;
    if (life_days, every_days) == (None, None) {
        let words = "say what to change: life_days or every_days";
        return Err(Refusal::new("configure.nothing", words));
    }
    pace(view.pace, life_days, every_days)?;
    let ask = ConfigureToken { id: None, name: admission.name.to_string(), life_days, every_days };
    Ok(Admitted { payload: as_value(&ask), begins: false, interrupts: false })
}

fn living(admission: &Admission<'_>) -> Result<TokenView, Refusal> {
    let view = admission.living.and_then(|living| serde_json::from_value(living.view.clone()).ok());
    view.ok_or_else(|| {
        let words = format!("{} has no token `{}`", admission.owner, admission.name);
        Refusal::new("token.unknown", words).field("name")
    })
}

/// The repository with its owner before it, who is the command's.
fn repository(admission: &Admission<'_>, name: &str) -> Result<String, Refusal> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let good = |name: &str| {
        !name.is_empty()
            && name.len() <= NAME_MAX
            && name.bytes().all(plain)
            && name.bytes().any(|b| b != b'.')
    };
    let refuse = |words: String| Err(Refusal::new("token.repository-invalid", words));
    if !good(admission.owner.as_str()) {
        let words = format!("Forgejo has no owners of such a name as `{}`", admission.owner);
        return refuse(words);
    }
    if !good(name) {
        let words = "a repository is named without its owner, who is the token's: 1 to 100 of A-Z, \
                     a-z, 0-9, -, _ and .";
        return refuse(words.to_string()).map_err(|refusal| refusal.field("repository"));
    }
    Ok(format!("{}/{name}", admission.owner))
}

fn secret(name: &str) -> Result<String, Refusal> {
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let begins_well = name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    let reserved = RESERVED.iter().any(|prefix| name.starts_with(prefix));
    if begins_well && !reserved && name.len() <= NAME_MAX && name.bytes().all(plain) {
        return Ok(name.to_string());
    }
    let words = format!(
        "a secret's name has 1 to {NAME_MAX} of A-Z, 0-9 and _, and begins neither with a digit \
         nor with {}",
        RESERVED.join(", ")
    );
    Err(Refusal::new("token.secret-invalid", words).field("secret"))
}

fn workflow(file: &str) -> Result<String, Refusal> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let is_yaml = file.ends_with(".yml") || file.ends_with(".yaml");
    if is_yaml && file.len() <= NAME_MAX && file.bytes().all(plain) {
        return Ok(file.to_string());
    }
    let words = "a workflow is named by its file, such as prove-token.yml, without its folder";
    Err(Refusal::new("token.workflow-invalid", words).field("workflow"))
}

fn branch(name: &str) -> Result<String, Refusal> {
    let plain = |c: char| !c.is_control() && !c.is_whitespace();
    if !name.is_empty() && name.len() <= 2 * NAME_MAX && name.chars().all(plain) {
        return Ok(name.to_string());
    }
    Err(Refusal::new("token.branch-invalid", "this is no branch's name").field("branch"))
}

fn days(fields: &mut Fields<'_>) -> Result<(Option<u32>, Option<u32>), Refusal> {
    let (least, most) = DAYS;
    let mut read = |field: &'static str| match fields.optional_number(field)? {
        Some(days) if !(least..=most).contains(&days) => {
            let words = format!("{least} to {most} days may be chosen");
            Err(Refusal::new("parameter.out-of-range", words).field(field))
        }
        days => Ok(days),
    };
    Ok((read("life_days")?, read("every_days")?))
}

/// A token that ends before the next one is made is of no use.
fn pace(now: Pace, life_days: Option<u32>, every_days: Option<u32>) -> Result<Pace, Refusal> {
    let pace = Pace {
        life_days: life_days.unwrap_or(now.life_days),
        every_days: every_days.unwrap_or(now.every_days),
    };
    if pace.every_days < pace.life_days {
        return Ok(pace);
    }
    let words = format!(
        "a token that lives for {} days must be made anew before that, not after {}",
        pace.life_days, pace.every_days
    );
    Err(Refusal::new("parameter.out-of-range", words).field("every_days"))
}
