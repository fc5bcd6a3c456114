//! What a Windows machine is told to be: a script, as cloudbase-init carries it out. It asks to be carried
//! out at each boot, which is what brings a fresh token.

use super::user_data::Seed;

/// What is the same for all.
const SCRIPT: &str = include_str!("windows.ps1");
/// Windows knows itself by a name of NetBIOS's, in characters.
const NAME_MAX: usize = 15;

/// The user data of one boot.
pub(super) fn user_data(seed: &Seed<'_>) -> String {
    let report_url = seed.seed_url.map(|url| format!("{url}report"));
    let place = report_url.as_ref().map(|url| format!("# stead-report: {url}\n"));
    let name: String = seed.host_name.chars().take(NAME_MAX).collect();
    let agent = [("CODER_AGENT_TOKEN", seed.agent_token), ("CODER_AGENT_URL", seed.coder_url)];
    let more = seed.environment.iter().map(|(name, value)| (*name, value.as_str()));
    let environment: String =
        agent.into_iter().chain(more).map(|(name, value)| entry(name, value)).collect();
    // The first line says what it is, and a name that ends in a hyphen would be none.
    format!(
        "#ps1_sysnative\n{}$reportUrl = {}\n$homeSource = {}\n\
         $computerName = {}\n$environment = @{{\n{environment}}}\n{SCRIPT}",
        place.unwrap_or_default(),
        quoted(&report_url.unwrap_or_default()),
        quoted(seed.home_source),
        quoted(name.trim_end_matches('-')),
    )
}

fn entry(name: &str, value: &str) -> String {
    format!("    {} = {}\n", quoted(name), quoted(value))
}

/// A text as one word of PowerShell, which takes more than one character for a quote.
fn quoted(text: &str) -> String {
    let doubled = |c| match c {
        '\'' | '\u{2018}'..='\u{201b}' => format!("{c}{c}"),
        c => c.to_string(),
    };
    format!("'{}'", text.chars().map(doubled).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn no_character_ends_a_quoted_text() {
        assert_eq!(quoted("o'neil"), "'o''neil'");
        assert_eq!(quoted("a\u{2019}; b $c `d"), "'a\u{2019}\u{2019}; b $c `d'");
    }
}
