//! `stead completions`: what makes a shell complete stead's verbs and options.

use clap::CommandFactory;

use crate::cli::Cli;
use crate::cli::config::Completions;
use crate::exit::Ended;
use crate::output;

/// Prints it.
pub fn carry_out(options: &Completions) -> Result<(), Ended> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "stead", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::cli::Cli;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_says_what_it_does_and_shows_an_example() {
        let root = Cli::command();
        let verbs = root.get_subcommands().filter(|verb| {
            ["workspace", "run", "replay", "lab", "config", "completions"]
                .contains(&verb.get_name())
        });
        for verb in verbs {
            assert!(verb.get_about().is_some(), "{}", verb.get_name());
            let leaves: Vec<_> = verb.get_subcommands().collect();
            for leaf in if leaves.is_empty() { vec![verb] } else { leaves } {
                let example = leaf.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(example.contains("stead "), "{} {}", verb.get_name(), leaf.get_name());
                assert!(leaf.get_about().is_some(), "{} {}", verb.get_name(), leaf.get_name());
            }
        }
    }
}
