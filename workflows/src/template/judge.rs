//! Whether a version that Coder has imported may be made active: Stead must know its workspaces by it,
//! must be able to make one, and what it lets a developer choose must be what the site lets him have.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use stead_schemas::failure::{Class, Failure};
use stead_schemas::site::{Range, Template};
use stead_schemas::step::coder::versions::{Choice, Import, MARKER, Parameter};

/// The parameter that builds before did not judge.
pub(super) const VOLUME: &str = "volume_gb";

/// Coder has carried the template out as far as an import goes. What Stead itself needs of it is
/// the parameter that it marks its workspaces with, and none that it would have to give. What may be
/// chosen is looked at of the parameters that are judged.
pub(super) fn judge(
    import: &Import,
    shows: &[Template],
    is_judged: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    let refuse = |words: String| Err(Failure::new(Class::Permanent, words));
    if let Some(error) = &import.error {
        return refuse(format!("Coder cannot import it: {error}"));
    }
    let (ours, others): (Vec<_>, Vec<_>) =
        import.parameters.iter().partition(|parameter| parameter.name == MARKER);
    if ours.is_empty() {
        return refuse(format!(
            "it has no parameter {MARKER}, by which Stead knows its workspaces"
        ));
    }
    let needed: Vec<&str> = others
        .iter()
        .filter(|parameter| parameter.required)
        .map(|parameter| parameter.name.as_str())
        .collect();
    if !needed.is_empty() {
        let needed = needed.join(", ");
        return refuse(format!("Stead gives no value for {needed}: let it have a default"));
    }
    let judged = others.iter().filter(|one| is_judged(&one.name));
    let faults: Vec<String> = judged.filter_map(|one| fault(one, shows)).collect();
    match faults.is_empty() {
        true => Ok(()),
        false => refuse(faults.join("; ")),
    }
}

/// What may be chosen that no template of the site allows.
fn fault(parameter: &Parameter, shows: &[Template]) -> Option<String> {
    let choice = parameter.choice.as_ref()?;
    let name = parameter.name.as_str();
    let allowed: Vec<(&str, Allowed)> = shows
        .iter()
        .filter_map(|template| Some((template.name.as_str(), Allowed::of(template, name)?)))
        .collect();
    if allowed.is_empty() || allowed.iter().any(|(_, allowed)| allowed.takes(choice)) {
        return None;
    }
    let allowed: Vec<String> = allowed
        .iter()
        .map(|(template, allowed)| format!("{template} {}", allowed.words()))
        .collect();
    Some(format!("its parameter {name} {}, and {}", offered(choice), allowed.join(", ")))
}

/// What a template of the site allows of a parameter.
enum Allowed {
    Numbers(Range),
    Words(Vec<&'static str>),
}

impl Allowed {
    /// Nothing is known of parameters that are the template's own.
    fn of(template: &Template, parameter: &str) -> Option<Self> {
        Some(match parameter {
            "cpu_cores" => Self::Numbers(template.cpu_cores),
            "memory_gb" => Self::Numbers(template.memory_gb),
            "storage_quota_gb" => Self::Numbers(template.storage_quota_gb),
            "disk_gb" => Self::Numbers(template.disk_gb_range()),
            VOLUME => Self::Numbers(Range {
                min: 0,
                max: template.volume_gb_max.unwrap_or_default(),
                default: 0,
            }),
            "storage_backend" => {
                let backends = template.storage_backend.iter();
                Self::Words(backends.map(|backend| backend.word()).collect())
            }
            _ => return None,
        })
    }

    fn takes(&self, choice: &Choice) -> bool {
        let Choice { min, max, options } = choice;
        match self {
            Self::Words(words) => {
                !options.is_empty() && options.iter().all(|one| words.contains(&one.as_str()))
            }
            Self::Numbers(range) if options.is_empty() => {
                min.is_some_and(|min| min >= range.min.into())
                    && max.is_some_and(|max| max <= range.max.into())
            }
            Self::Numbers(range) => {
                let number = |one: &String| one.parse::<u32>().ok();
                let takes = |number: u32| (range.min..=range.max).contains(&number);
                options.iter().all(|one| number(one).is_some_and(takes))
            }
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Numbers(range) => format!("takes {} to {}", range.min, range.max),
            Self::Words(words) => format!("takes {}", words.join(" or ")),
        }
    }
}

fn offered(choice: &Choice) -> String {
    match choice {
        Choice { options, .. } if !options.is_empty() => format!("offers {}", options.join(", ")),
        Choice { min: Some(min), max: Some(max), .. } => format!("goes from {min} to {max}"),
        Choice { min: Some(min), .. } => format!("goes from {min} without an end"),
        Choice { max: Some(max), .. } => format!("goes up to {max} without a beginning"),
        Choice { .. } => "may be anything".to_string(),
    }
}
