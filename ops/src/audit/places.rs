//! Whether messages of a log lie where they were written. An engine names the message behind which
//! it writes, the server takes it only there, and the name stays with it. Whoever takes a whole
//! history out, so that no other one has a gap, has to write the rest anew: without such names, or
//! with names that are wrong now.

use std::collections::HashMap;

use stead_nats::Behind;

/// What was read so far of one stream, and what was wrong first.
#[derive(Default)]
pub struct Places {
    ends: HashMap<String, u64>,
    last: u64,
    fault: Option<String>,
    more: u64,
}

impl Places {
    /// Looks at the next message.
    pub fn follow(&mut self, subject: &str, seq: u64, behind: Option<Behind>) {
        let end = match self.ends.get_mut(subject) {
            Some(end) => std::mem::replace(end, seq),
            None => self.ends.insert(subject.to_owned(), seq).unwrap_or(0),
        };
        let last = std::mem::replace(&mut self.last, seq);
        let words = match behind {
            Some(Behind::OnSubject(wanted)) if wanted == end => return,
            Some(Behind::InStream(wanted)) if wanted == last => return,
            Some(Behind::OnSubject(wanted)) => moved(wanted, end),
            Some(Behind::InStream(wanted)) => moved(wanted, last),
            None => "does not say behind what it was written, as all does that engines write: \
                     somebody has written the log anew"
                .to_owned(),
        };
        match self.fault {
            Some(_) => self.more += 1,
            None => self.fault = Some(format!("sequence {seq}: it {words}")),
        }
    }

    /// The first message that is not where it was written, and how many more there are.
    pub fn fault(self) -> Option<String> {
        let fault = self.fault?;
        Some(match self.more {
            0 => fault,
            more => format!("{fault} (and {more} more behind it)"),
        })
    }
}

fn moved(wanted: u64, found: u64) -> String {
    format!(
        "was written behind {wanted}, and lies behind {found}: something is gone, or was put in"
    )
}
