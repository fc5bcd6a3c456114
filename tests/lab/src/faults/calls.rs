//! Rules that strike single calls, so that any one step can be made to fail or to lose its answer.

use std::time::Duration;

use super::FaultStatus;

/// What happens to a call that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFault {
    /// An error in the vendor's own shape that trying again will not cure; no effect.
    FailLasting,
    /// An error in the vendor's own shape that trying again may cure; no effect.
    FailPassing,
    /// The effect happens, then the connection is dropped without an answer.
    LoseResponse,
    /// The connection is dropped before anything happens.
    DropBefore,
    /// The call is carried out after this long.
    Delay(Duration),
}

/// One rule in force.
pub(super) struct Rule {
    vendor: &'static str,
    matcher: String,
    effect: CallFault,
    left: Option<u32>,
    fired: u64,
}

impl Rule {
    pub(super) fn new(
        vendor: &'static str,
        matcher: &str,
        effect: CallFault,
        times: Option<u32>,
    ) -> Self {
        Self { vendor, matcher: matcher.to_owned(), effect, left: times, fired: 0 }
    }

    pub(super) fn is_of(&self, vendor: &str) -> bool {
        self.vendor == vendor
    }

    /// The effect if the rule matches and has strikes left; counts the strike.
    pub(super) fn strike(&mut self, vendor: &str, method: &str, path: &str) -> Option<CallFault> {
        if self.vendor != vendor || self.left == Some(0) || !self.matches(method, path) {
            return None;
        }
        self.left = self.left.map(|times| times - 1);
        self.fired += 1;
        Some(self.effect)
    }

    /// `POST /clone` wants both words; anything else is a part of `METHOD /path`.
    fn matches(&self, method: &str, path: &str) -> bool {
        match self.matcher.split_once(' ') {
            Some((verb, part)) => verb == method && path.contains(part),
            None => format!("{method} {path}").contains(&self.matcher),
        }
    }

    pub(super) fn status(&self) -> FaultStatus {
        FaultStatus {
            vendor: self.vendor.to_owned(),
            name: format!("call {}", self.matcher),
            description: format!("{:?}", self.effect),
            active: self.left != Some(0),
            fired: self.fired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CallFault, Rule};

    fn matches(matcher: &str, method: &str, path: &str) -> bool {
        Rule::new("proxmox", matcher, CallFault::DropBefore, None).matches(method, path)
    }

    #[test]
    fn a_method_and_a_part_of_the_path_must_both_fit() {
        assert!(matches("POST /clone", "POST", "/api2/json/nodes/pve1/qemu/9000/clone"));
        assert!(!matches("PUT /clone", "POST", "/api2/json/nodes/pve1/qemu/9000/clone"));
        assert!(matches("dataset.create", "CALL", "pool.dataset.create"));
    }

    #[test]
    fn a_rule_strikes_as_often_as_asked() {
        let mut rule = Rule::new("vault", "login", CallFault::FailPassing, Some(1));
        assert!(rule.strike("vault", "POST", "/v1/auth/approle/login").is_some());
        assert!(rule.strike("vault", "POST", "/v1/auth/approle/login").is_none());
    }
}
