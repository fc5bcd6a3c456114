//! What has expired is gone and leaves a tombstone: the chain holds across the gap, nothing acts
//! twice, and a crash on the way leaves nothing that no tombstone explains.

use stead_runtime::archive::{self, Found};
use stead_runtime::ports::{Archive, Expiry};
use stead_schemas::archive::{Burial, Segment, Tombstone};
use stead_schemas::ids::RunId;
use stead_schemas::time::Timestamp;

use crate::desk::{Desk, PARTITION, on_simulated_time};
use crate::turning::{Kept, one_over_and_one_alive, turn};

fn burial() -> Burial<'static> {
    let at = Timestamp::from_millis(1_000);
    Burial { at, who: "jane", why: "kept for long enough", key: "U" }
}

/// A platform of which one run is in the archive.
async fn one_archived() -> (Kept, Desk, RunId, Segment) {
    let kept = Kept::new();
    let desk = kept.owner().await;
    let (over, _) = one_over_and_one_alive(&desk).await;
    turn(&desk, 0).await;
    desk.settle().await;
    let segment = archive::segments(&*kept.archive, PARTITION).await.unwrap().remove(0);
    (kept, desk, over, segment)
}

async fn expire(kept: &Kept, segment: &Segment) -> Tombstone {
    let sign = |_: &[u8]| Ok("signed".to_owned());
    archive::expire(&*kept.archive, segment, burial(), sign).await.expect("it expires")
}

async fn altered(kept: &Kept) -> Vec<String> {
    let mut said = Vec::new();
    let seen = |verdict: archive::Verdict| {
        said.extend(verdict.altered.into_iter().map(|altered| altered.0));
    };
    archive::verify(&*kept.archive, PARTITION, seen).await.unwrap();
    said
}

#[test]
fn what_has_expired_is_gone_and_explained() {
    on_simulated_time(async {
        let (kept, desk, over, segment) = one_archived().await;
        let tombstone = expire(&kept, &segment).await;
        assert_eq!(expire(&kept, &segment).await, tombstone, "nothing expires twice");
        for part in segment.histories.parts.iter().chain(&segment.lines.parts) {
            assert!(kept.archive.get(PARTITION, *part).await.is_err(), "part {part} is there");
        }
        let found = archive::history(&*kept.log, &*kept.archive, PARTITION, &over).await.unwrap();
        assert_eq!((found.messages.len(), found.expired), (0, Some(tombstone)));
        assert_eq!(archive::histories(&*kept.archive, &segment).await, Ok(Vec::new()));
        assert_eq!(altered(&kept).await, Vec::<String>::new());
        // Who takes the partition over knows that the command was carried out, and goes on.
        desk.owner.abort();
        let after = kept.owner().await;
        after.command("pair", "id-1").await;
        let repeated = String::from_utf8(after.replies("caller").pop().unwrap()).unwrap();
        assert!(repeated.contains("\"repeated\":true"), "{repeated}");
        after.command("pair", "id-2").await;
        after.done(&after.step("test.first")).await;
        after.done(&after.step("test.second")).await;
        let next = over.key().run(2);
        let found = archive::history(&*kept.log, &*kept.archive, PARTITION, &next).await.unwrap();
        assert!(matches!(found, Found { from: None, expired: None, .. }), "{found:?}");
    });
}

#[test]
fn what_was_begun_is_brought_to_its_end() {
    on_simulated_time(async {
        let (kept, _desk, over, segment) = one_archived().await;
        let sign = |_: &[u8]| Err("no key".to_owned());
        archive::expire(&*kept.archive, &segment, burial(), sign).await.expect_err("not signed");
        let found = archive::history(&*kept.log, &*kept.archive, PARTITION, &over).await.unwrap();
        assert_eq!((found.messages.len(), found.expired), (3, None), "nothing has happened");
        // Killed when the tombstone was written: all is there still, and the rest follows.
        let tombstone = Tombstone::of(&segment, None, burial());
        kept.archive.bury(PARTITION, 0, tombstone.encode()).await.expect("it is the first");
        let found = archive::history(&*kept.log, &*kept.archive, PARTITION, &over).await.unwrap();
        assert_eq!(found.messages.len(), 3);
        assert_eq!(expire(&kept, &segment).await, tombstone);
        assert_eq!(altered(&kept).await, Vec::<String>::new());
    });
}

#[test]
fn a_forged_tombstone_and_a_gap_without_one_are_named() {
    on_simulated_time(async {
        let (kept, _desk, over, segment) = one_archived().await;
        kept.archive.forget(PARTITION, segment.histories.parts[0]).await.unwrap();
        let said = altered(&kept).await;
        assert!(said[0].starts_with("the histories cannot be read"), "{said:?}");
        let read = archive::history(&*kept.log, &*kept.archive, PARTITION, &over).await;
        read.expect_err("nobody says why it is gone");
        let good = expire(&kept, &segment).await;
        let other = Segment { runs: 7, ..segment.clone() };
        for (forged, words) in [
            (Tombstone::of(&other, None, burial()), "it is for something else"),
            (Tombstone { n: 2, ..good.clone() }, "does not follow from the one before it"),
            (Tombstone { segment: 9, ..good.clone() }, "is for segment 9, which never was"),
        ] {
            kept.archive.forge(PARTITION, 0, forged.encode());
            let said = altered(&kept).await.join("; ");
            assert!(said.contains(words), "{said}");
        }
        kept.archive.forge(PARTITION, 0, good.encode());
        assert_eq!(altered(&kept).await, Vec::<String>::new());
        let second = Tombstone::of(&segment, Some(&good), burial());
        let place = kept.archive.tombstones(PARTITION).await.unwrap()[0].0;
        kept.archive.bury(PARTITION, place, second.encode()).await.unwrap();
        assert_eq!(altered(&kept).await, ["segment 1 has a second tombstone"]);
    });
}
