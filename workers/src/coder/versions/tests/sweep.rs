//! The life of a template's version under every fault of Coder's, at every moment.

use std::cell::{Cell, RefCell};

use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::coder::versions::LookUpTemplate;

use super::{GOOD, active, archive, committed, create, place, promote, restore, upload, wait};
use crate::testing::Stage;
use crate::testing::sweep::Sweep;

/// What has to do with workspaces, and what stays until it is mended; a slow answer is an answer.
const LEFT_OUT: [&str; 8] = [
    "agent-never-ready",
    "agent-start-error",
    "build-active",
    "build-failed",
    "build-stuck",
    "import-stuck",
    "no-provisioner",
    "slow",
];

const PAIRS: [(&str, &str); 1] = [("version-created", "version-archived")];

/// One version after the other: a name is never free again.
#[derive(Default)]
struct Lives {
    number: Cell<u32>,
    /// Coder's id of the version that was there before.
    before: RefCell<String>,
}

impl Lives {
    fn name(&self) -> String {
        format!("a-{}", self.number.get())
    }

    async fn live(&self, stage: &Stage) -> Result<(), Failure> {
        self.number.set(self.number.get() + 1);
        let commit = committed(stage, &[("stead-machine/main.tf", GOOD)]);
        let before = stage.endure(LookUpTemplate { place: place() }).await?.id;
        self.before.replace(before.clone());
        let file = stage.endure(upload(&commit)).await?.file;
        let id = stage.endure(create(&self.name(), &file)).await?.id;
        if let Some(error) = stage.endure(wait(&id)).await?.error {
            return Err(Failure::new(Class::Permanent, error));
        }
        stage.endure(promote(&id)).await?;
        assert_eq!(active(stage), self.name());
        stage.endure(restore(&id, &before)).await?;
        assert_eq!(active(stage), "v1");
        stage.endure(archive(&self.name())).await?;
        let left = stage.lab.inventory().template_versions;
        assert!(left.is_empty(), "it is said to be archived: {left:?}");
        Ok(())
    }

    async fn bury(&self, stage: &Stage) {
        let now = stage.insist(LookUpTemplate { place: place() }).await;
        if now.name != "v1" {
            let before = self.before.borrow().clone();
            stage.insist(restore(&now.id, &before)).await;
        }
        stage.insist(archive(&self.name())).await;
        assert_eq!(active(stage), "v1");
    }
}

#[tokio::test]
async fn whatever_fault_strikes_a_version_and_whenever_it_is_as_wanted_or_archived() {
    let lives = Lives::default();
    let sweep = Sweep { vendor: "coder", left_out: &LEFT_OUT, pairs: &PAIRS };
    let live = async |stage: &Stage| lives.live(stage).await;
    sweep.carry_out(live, async |stage: &Stage| lives.bury(stage).await).await;
}
