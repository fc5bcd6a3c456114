//! Every fault of a vendor, at every moment of a life at which it can strike: once at the first, in
//! another life at the second, and so on, until a life is over before it strikes. What cannot be
//! carried through is taken back, and nothing is made that does not go.

use std::collections::BTreeMap;

use stead_schemas::failure::Failure;

use super::Stage;

/// What is swept, and what is known beforehand of its faults.
pub(crate) struct Sweep<'a> {
    pub(crate) vendor: &'a str,
    /// Faults that have a story of their own, or nothing to do with this life.
    pub(crate) left_out: &'a [&'a str],
    /// Effects that make something, and those that take it away.
    pub(crate) pairs: &'a [(&'a str, &'a str)],
}

impl Sweep<'_> {
    /// Lets things live under each fault; `bury` takes away what a life leaves.
    pub(crate) async fn carry_out(
        &self,
        live: impl AsyncFn(&Stage) -> Result<(), Failure>,
        bury: impl AsyncFn(&Stage),
    ) {
        let faults: Vec<String> = fired(&Stage::open().await, self.vendor).into_keys().collect();
        for name in self.left_out {
            assert!(faults.iter().any(|fault| fault == name), "{name} is no fault any more");
        }
        for fault in faults.iter().filter(|fault| !self.left_out.contains(&fault.as_str())) {
            let stage = Stage::open().await;
            let mut moments = 0;
            while self.strikes(&stage, fault, moments, (&live, &bury)).await {
                moments += 1;
            }
            assert!(moments > 0, "{} {fault} strikes nothing", self.vendor);
        }
    }

    /// One life with the fault at this moment; whether it came to strike.
    async fn strikes(
        &self,
        stage: &Stage,
        fault: &str,
        moment: u32,
        (live, bury): (&impl AsyncFn(&Stage) -> Result<(), Failure>, &impl AsyncFn(&Stage)),
    ) -> bool {
        let story = format!("{} {fault} at moment {moment}", self.vendor);
        let before = fired(stage, self.vendor)[fault];
        stage.lab.break_after(self.vendor, fault, moment, 1).expect("a fault of the catalogue");
        let lived = live(stage).await;
        let struck = fired(stage, self.vendor)[fault] > before;
        assert!(struck || lived.is_ok(), "{story} did not strike, but {lived:?}");
        stage.lab.mend();
        bury(stage).await;
        let inventory = stage.lab.inventory();
        assert!(inventory.is_empty(), "{story}: {inventory:#?}");
        for (made, gone) in self.pairs {
            assert_eq!(stage.count(made), stage.count(gone), "{story}: {made} and {gone}");
        }
        struck
    }
}

/// How often each fault of a vendor has fired.
fn fired(stage: &Stage, vendor: &str) -> BTreeMap<String, u64> {
    let faults = stage.lab.faults().into_iter().filter(|fault| fault.vendor == vendor);
    faults.map(|fault| (fault.name, fault.fired)).collect()
}
