//! The way of an HTTP call: latency, rules on single calls, named faults, the vendor, the journal.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use serde_json::Value;

use super::{Answer, Call, Cut, proxy};
use crate::faults::CallFault;
use crate::journal::{RecordedRequest, kept, redacted};
use crate::world::World;

/// A vendor that speaks HTTP. Its answers are computed at once; what takes time is spawned.
pub(crate) trait HttpVendor: Send + Sync + 'static {
    /// The vendor's word in faults and journal.
    const NAME: &'static str;
    /// Whether the faults of a proxy in front of it are among its own.
    const BEHIND_PROXY: bool = false;

    /// What named faults do to the call before it is carried out.
    fn before(world: &World, call: &Call) -> Before;

    /// Carries the call out.
    fn answer(world: &Arc<World>, call: &Call) -> Answer;

    /// What named faults make of the answer; `None` drops the connection.
    fn after(world: &World, call: &Call, answer: Answer) -> Option<Answer>;

    /// An error in the vendor's shape.
    fn failure(severity: Severity) -> Answer;
}

/// What becomes of a call before it is carried out.
pub(crate) enum Before {
    /// Carry it out.
    Go,
    /// Carry it out after this long.
    Wait(Duration),
    /// Answer this instead.
    Answer(Answer),
}

/// How an error looks to a client.
#[derive(Clone, Copy)]
pub(crate) enum Severity {
    /// Trying again may help.
    Passing,
    /// Trying again does not help.
    Lasting,
}

/// The routes of a vendor: all of them, decided by the vendor itself.
pub(crate) fn router<V: HttpVendor>(world: Arc<World>) -> Router {
    Router::new().fallback(serve::<V>).with_state(world)
}

async fn serve<V: HttpVendor>(
    State(world): State<Arc<World>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    let call = Call::read(request).await;
    let answer = carry_out::<V>(&world, &call).await;
    record::<V>(&world, &call, answer.as_ref());
    match answer {
        Some(answer) => answer.into_response(),
        None => {
            cut.now();
            Answer::empty(500).into_response()
        }
    }
}

async fn carry_out<V: HttpVendor>(world: &Arc<World>, call: &Call) -> Option<Answer> {
    world.pace.call().await;
    match world.faults.on_call(V::NAME, &call.method, &call.path) {
        Some(CallFault::FailLasting) => Some(V::failure(Severity::Lasting)),
        Some(CallFault::FailPassing) => Some(V::failure(Severity::Passing)),
        Some(CallFault::DropBefore) => None,
        Some(CallFault::LoseResponse) => {
            V::answer(world, call);
            None
        }
        Some(CallFault::Delay(pause)) => {
            tokio::time::sleep(pause).await;
            through_named::<V>(world, call).await
        }
        None => through_named::<V>(world, call).await,
    }
}

async fn through_named<V: HttpVendor>(world: &Arc<World>, call: &Call) -> Option<Answer> {
    match V::before(world, call) {
        Before::Answer(answer) => return Some(answer),
        Before::Wait(pause) => tokio::time::sleep(pause).await,
        Before::Go => {}
    }
    if let Some(answer) = proxy::instead::<V>(world) {
        return Some(answer);
    }
    let answer = proxy::through::<V>(world, call);
    V::after(world, call, answer)
}

fn record<V: HttpVendor>(world: &World, call: &Call, answer: Option<&Answer>) {
    let secrets = world.all_secrets();
    let said = answer.filter(|_| world.keeps_answers).and_then(Answer::value);
    world.journal.request(RecordedRequest {
        vendor: V::NAME.to_owned(),
        method: call.method.clone(),
        path: call.path.clone(),
        query: redacted(&Value::Object(call.query.clone()), &secrets),
        body: redacted(&call.body(), &secrets),
        status: answer.map_or(0, |answer| i32::from(answer.status)),
        trace: call.header("traceparent").map(str::to_owned),
        answer: said.and_then(|said| kept(&said, &secrets)),
    });
}
