//! An explanation in words.

use super::{Explanation, Link};
use crate::story::table::sheet;
use crate::story::words::{hanging, moment};

impl Explanation {
    /// The explanation for people, in lines of at most `width` characters.
    pub fn told(&self, width: usize) -> String {
        let room = width.saturating_sub(14);
        let lines = |lines: &[String]| {
            let hung = lines.iter().map(|line| hanging("", line, room, 2));
            hung.collect::<Vec<_>>().join("\n")
        };
        let links =
            |links: &[Link]| lines(&links.iter().map(|link| self.link(link)).collect::<Vec<_>>());
        let none = |list: &[String], words: &str| match list {
            [] => vec![words.to_owned()],
            list => list.to_vec(),
        };
        let similar = self
            .similar
            .iter()
            .map(|one| format!("{}, {} ({}): {}", moment(one.at), one.name, one.run, one.words));
        let similar: Vec<String> = similar.collect();
        let went_wrong = self.cause.is_some();
        let when = |list: Vec<String>| if went_wrong { list } else { Vec::new() };
        sheet(&[
            ("run", lines(&[format!("{}, {}", self.run, self.name)])),
            ("not whole", lines(self.broken.as_slice())),
            ("what", lines(std::slice::from_ref(&self.verdict))),
            ("first cause", links(self.cause.as_slice())),
            ("then", links(&self.chain)),
            ("undone", lines(&when(none(&self.undone, "nothing had to be taken back")))),
            ("left", lines(&when(none(&self.left, "nothing that was to be taken back")))),
            ("still holds", lines(&self.held)),
            ("before", lines(&when(none(&similar, "no run that is known here met the same")))),
            ("not known", lines(&self.not_known)),
        ])
    }

    fn link(&self, link: &Link) -> String {
        let whose = if link.run == self.run { String::new() } else { format!(" of {}", link.run) };
        let step =
            link.step.as_ref().map_or(String::new(), |(seq, name)| format!("{seq} {name}: "));
        format!("{}, transition {}{whose}: {step}{}", moment(link.at), link.n, link.words)
    }
}
