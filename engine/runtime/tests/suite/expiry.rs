//! What has expired is gone and leaves a tombstone: the chain holds across the gap, nothing acts
//! twice, and a crash on the way leaves nothing that no tombstone explains.

use std::time::Duration;

use serde_json::json;
use stead_runtime::archive::{self, Found, Graveyard};
use stead_runtime::inbound::Inbound;
use stead_runtime::ports::{Archive, Expiry, Lasts, ReplyTo};
use stead_schemas::archive::{Burial, Segment, Tombstone};
use stead_schemas::dispatch::{Caller, OutcomeQuery, StepAddress, StepReply};
use stead_schemas::failure::Kind;
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
        let left = archive::histories(&*kept.archive, &segment, &mut Graveyard::default()).await;
        assert_eq!(left, Ok(Vec::new()));
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

/// A step whose answer was lost asks again, and the history that would say it is gone.
#[test]
fn whoever_waits_for_what_has_expired_is_told_so() {
    on_simulated_time(async {
        let kept = Kept::new();
        let desk = kept.owner().await;
        let asker = StepAddress { run: desk.run("parent"), seq: 7 };
        let ask = || desk.command_by(Caller::Run(asker.clone()), "pair", "id-1");
        ask().await;
        desk.done(&desk.step("test.first")).await;
        desk.done(&desk.step("test.second")).await;
        desk.pass(Duration::from_secs(10)).await;
        desk.command("nap", "nap-1").await;
        turn(&desk, 0).await;
        desk.settle().await;
        desk.answers();
        ask().await;
        let said: Vec<_> = desk.answers().into_iter().map(|(_, reply)| reply).collect();
        assert_eq!(said, [StepReply::Done(json!("both"))], "the archive still knows");
        let segment = archive::segments(&*kept.archive, PARTITION).await.unwrap().remove(0);
        expire(&kept, &segment).await;
        ask().await;
        let said = desk.answers().pop().expect("an answer");
        assert_eq!(said.0, asker);
        let StepReply::Failed(failure) = said.1 else { panic!("it waits on: {said:?}") };
        assert_eq!(failure.class.kind(), Kind::Lasting);
        assert!(failure.words.contains("was made to expire by jane"), "{failure}");
        // A caller who waits learns that waiting will not tell.
        let query =
            OutcomeQuery { run: desk.run("pair"), command: "id-1".to_owned(), within_ms: 60_000 };
        desk.say(Inbound::Outcome(query, ReplyTo("caller".to_owned()))).await;
        assert_eq!(desk.replies("caller").pop(), Some(b"null".to_vec()));
    });
}

#[test]
fn copies_that_no_segment_names_are_swept_and_what_may_be_named_yet_is_not() {
    on_simulated_time(async {
        let kept = Kept::new();
        let put = async |text: &str| {
            let part = text.as_bytes().to_vec();
            kept.archive.put(PARTITION, part, Lasts::UntilItExpires).await.expect("it is kept")
        };
        // A turn that was given up, whose histories the next one archives.
        let (stray, other) = (put("given up").await, put("put twice").await);
        let desk = kept.owner().await;
        one_over_and_one_alive(&desk).await;
        turn(&desk, 0).await;
        desk.settle().await;
        let under_way = put("of a turn that is under way").await;
        assert_eq!(archive::sweep(&*kept.archive, [PARTITION].into_iter()).await, Ok(2));
        for gone in [stray, other] {
            kept.archive.get(PARTITION, gone).await.expect_err("it is swept");
        }
        assert!(kept.archive.get(PARTITION, under_way).await.is_ok());
        assert_eq!(altered(&kept).await, Vec::<String>::new());
        assert_eq!(archive::sweep(&*kept.archive, [PARTITION].into_iter()).await, Ok(0));
        // Killed when the tombstone was written: the rest of the segment is nobody's, too.
        let segment = archive::segments(&*kept.archive, PARTITION).await.unwrap().remove(0);
        let tombstone = Tombstone::of(&segment, None, burial());
        kept.archive.bury(PARTITION, 0, tombstone.encode()).await.expect("it is the first");
        assert_eq!(archive::sweep(&*kept.archive, [PARTITION].into_iter()).await, Ok(2));
        assert!(kept.archive.get(PARTITION, under_way).await.is_ok());
        assert_eq!(altered(&kept).await, Vec::<String>::new());
    });
}

#[test]
fn tombstones_are_read_once_however_many_segments_have_expired() {
    on_simulated_time(async {
        let (kept, _desk, _, segment) = one_archived().await;
        expire(&kept, &segment).await;
        let mut gone = Graveyard::default();
        for _ in 0..3 {
            let lines = archive::lines(&*kept.archive, &segment, &mut gone).await;
            assert_eq!(lines, Ok(Vec::new()));
        }
        let read = kept.archive.tombstones_read();
        archive::lines(&*kept.archive, &segment, &mut gone).await.expect("they have expired");
        assert_eq!(kept.archive.tombstones_read(), read);
    });
}
