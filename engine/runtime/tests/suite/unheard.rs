//! Steps for which no worker listens: however many there are, few messages are sent.

use std::collections::BTreeSet;
use std::time::Duration;

use stead_schemas::dispatch::{Caller, RunOrder, StepAddress, StepReply, StepRequest};
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;

use crate::desk::{Desk, on_simulated_time};

const MOMENT: Duration = Duration::from_millis(50);
/// The most offers in a second.
const OFFERS_MAX: usize = 5;

/// So many runs of one kind whose first step nobody hears.
async fn deserted(kind: &str, count: usize) -> Desk {
    let desk = Desk::new().await;
    desk.settle().await;
    for number in 0..count {
        desk.command_to(Caller::Api, kind, &format!("w{number}"), "id-1").await;
    }
    let offered = desk.steps();
    assert_eq!(offered.len(), count, "each is offered once");
    unheard(&desk, &offered).await;
    desk
}

async fn unheard(desk: &Desk, steps: &[StepRequest]) {
    for step in steps {
        desk.unheard(step).await;
    }
}

/// How many steps are offered in so many seconds while nobody listens.
async fn offers(desk: &Desk, seconds: u32) -> usize {
    let mut count = 0;
    for _ in 0..seconds * 20 {
        desk.pass(MOMENT).await;
        let offered = desk.steps();
        count += offered.len();
        unheard(desk, &offered).await;
    }
    count
}

/// Which steps are offered within so many moments, to workers that listen.
async fn taken(desk: &Desk, moments: u32) -> Vec<StepAddress> {
    let mut taken = Vec::new();
    for _ in 0..moments {
        desk.pass(MOMENT).await;
        taken.extend(desk.steps().into_iter().map(|step| step.address));
    }
    taken
}

#[test]
fn many_steps_that_nobody_hears_cost_a_few_messages_and_go_on_when_a_worker_comes() {
    on_simulated_time(async {
        let desk = deserted("pair", 2_500).await;
        let john = Owner::new("john").expect("a name");
        for number in [0, 1_200, 2_499] {
            let run = EntityKey::of("pair", &john, &format!("w{number}")).run(1);
            assert_eq!(desk.view(&run).await.waiting[0].reason, "no-worker", "{run}");
        }
        let offered = offers(&desk, 20).await;
        assert!((20..=20 * OFFERS_MAX).contains(&offered), "{offered} in 20 seconds");
        let taken = taken(&desk, 20).await;
        assert_eq!((taken.len(), taken.iter().collect::<BTreeSet<_>>().len()), (2_500, 2_500));
    });
}

#[test]
fn a_scout_that_is_answered_lets_the_others_go_on_at_once() {
    on_simulated_time(async {
        let desk = deserted("pair", 50).await;
        desk.pass(Duration::from_millis(260)).await;
        let scout = desk.step("test.first");
        desk.answer(&scout, StepReply::Queued).await;
        assert_eq!(desk.steps().len(), 49);
        assert!(taken(&desk, 20).await.is_empty(), "each is offered once");
    });
}

#[test]
fn a_scout_that_is_given_up_says_nothing_of_the_others() {
    on_simulated_time(async {
        let desk = deserted("pair", 50).await;
        desk.pass(Duration::from_millis(260)).await;
        let scout = desk.step("test.first");
        assert_eq!(desk.order(&scout.address.run, RunOrder::Terminate).await, "done");
        assert!(offers(&desk, 10).await <= 10 * OFFERS_MAX);
    });
}

#[test]
fn the_workers_of_one_system_are_not_those_of_another() {
    on_simulated_time(async {
        let desk = deserted("pair", 10).await;
        desk.command_to(Caller::Api, "stranger", "x", "id-1").await;
        unheard(&desk, &desk.steps()).await;
        let mut heard = BTreeSet::new();
        for _ in 0..40 {
            desk.pass(MOMENT).await;
            let (strange, ours): (Vec<_>, Vec<_>) =
                desk.steps().into_iter().partition(|step| step.step == "other.strange");
            unheard(&desk, &strange).await;
            heard.extend(ours.into_iter().map(|step| step.address));
        }
        assert_eq!(heard.len(), 10);
        assert_eq!(desk.view(&desk.run("stranger")).await.waiting[0].reason, "no-worker");
    });
}

#[test]
fn workers_that_leave_again_are_waited_for_again() {
    on_simulated_time(async {
        let desk = deserted("pair", 2_500).await;
        desk.pass(Duration::from_millis(260)).await;
        let scout = desk.steps().remove(0);
        desk.answer(&scout, StepReply::Queued).await;
        let some = desk.steps();
        assert!(some.len() < 2_500, "the others get their turn in between");
        unheard(&desk, &some).await;
        assert!(offers(&desk, 10).await <= 10 * OFFERS_MAX);
    });
}
