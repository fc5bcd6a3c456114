//! Two decisions that should be one: what stands in the history, and what this build decides.

use serde_json::Value;
use stead_core::divergence::Divergence;

use crate::assemble::BUILD;
use crate::story::again::Otherwise;
use crate::story::apart::compare;

/// Why this build does not go along, in words; of a divergence both requests and where they differ.
pub fn told(otherwise: &Otherwise) -> String {
    let Otherwise::Decides { divergence: Divergence::Other { n, recorded, decided }, .. } =
        otherwise
    else {
        return format!("{BUILD} cannot replay it: {otherwise}");
    };
    shown(&format!("{BUILD} decides otherwise at transition {n}"), "this build", recorded, decided)
}

/// Two decisions beneath a line that says where they stand, and where they differ.
pub fn shown(head: &str, who: &str, recorded: &str, decided: &str) -> String {
    let wants = format!("{who} wants");
    let mut lines = vec![
        head.to_owned(),
        format!("  the history has   {recorded}"),
        format!("  {wants:<16}  {decided}"),
    ];
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    if let (Some(recorded), Some(decided)) = (parsed(recorded), parsed(decided)) {
        let mut places = Vec::new();
        compare("", &recorded, &decided, &mut places);
        let told = places.iter().map(|(place, recorded, decided)| {
            format!("  differs at        {place}: {recorded}, now {decided}")
        });
        lines.extend(told);
    }
    lines.join("\n")
}
