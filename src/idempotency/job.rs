//! The life of one keyed request once its body is here. It belongs to no caller: one that leaves undoes nothing.

use super::{
    Begin, Claim, Fence, Fenced, Fingerprint, IdempotencyKey, NotExecuted, Recorded, StoreKey,
    caller::{Caller, Reply},
    layer::Shared,
    ledger::{Ledger, Start},
    panic::Caught,
    pump::{pump, unrecorded},
    refusal::{Refusal, Said},
};
use crate::{
    body::{Collected, FromReplay},
    error::BoxError,
    foreign::original_uri,
    telemetry::{event, in_current_span},
    token::Token,
};
use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};
use tower_service::Service;

/// A request that is whole.
pub(super) struct Job {
    pub(super) shared: Arc<Shared>,
    pub(super) key: IdempotencyKey,
    pub(super) parts: Parts,
    pub(super) body: Collected,
}

impl Job {
    /// Claim, work, record, tell.
    pub(super) async fn run<S, B, RB>(self, inner: S, caller: Caller<RB, S::Error>)
    where
        S: Service<Request<B>, Response = Response<RB>> + Send,
        S::Future: Send,
        S::Error: Send,
        B: FromReplay + Send,
        RB: Body<Data = Bytes> + Send,
        RB::Error: Into<BoxError>,
    {
        let Self { shared, key, mut parts, body } = self;
        let begin = begin(&shared, &key, &parts, &body.data);
        let ledger = Ledger { shared, fence: Fence { key: begin.key, token: begin.token } };
        let attempt = match ledger.begin(begin).await {
            Start::Run(attempt) => attempt,
            Start::Say(said) => return answered(ledger, said, caller),
        };
        let state = &ledger.shared.state;
        if attempt > 1 {
            event!(WARN, "running again what an earlier attempt left unknown", name = &*state.name, attempt = attempt);
        }
        let claim = Claim::new(key, ledger.fence, attempt, ledger.shared.store.id());
        parts.extensions.insert(claim.clone());
        let request = Request::from_parts(parts, B::from_whole(body.data, body.trailers));
        let running = state.run();
        held(&ledger, &claim, work(&ledger, &claim, inner, request, caller)).await;
        drop(running);
        ledger.sweep_if_due().await;
    }
}

/// `work`, and the renewal of its claim beside it, not in its way: a store that is slow to renew delays nothing.
async fn held(ledger: &Ledger, claim: &Claim, work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    let mut renewal = pin!(ledger.renew(|| claim.set_lost()));
    poll_fn(|cx| {
        if work.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match renewal.as_mut().poll(cx) {
            Poll::Ready(never) => match never {},
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
}

fn begin(shared: &Shared, key: &IdempotencyKey, parts: &Parts, body: &Bytes) -> Begin {
    let uri = original_uri(&parts.extensions).unwrap_or(&parts.uri);
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    Begin {
        key: StoreKey::new(&shared.scope.of(parts), key.as_str()),
        fingerprint: Fingerprint::of(parts, target, body),
        token: Token::random(),
        lease: shared.config.lease,
        take_over: None,
    }
}

/// The handler does not run.
fn answered<B, E>(ledger: Ledger, said: Said, caller: Caller<B, E>) {
    let (result, is_down) = match &said {
        Said::Again(_) => ("replayed", false),
        Said::No(refusal) => (refusal.as_str(), *refusal == Refusal::StoreDown),
    };
    let state = ledger.shared.state.clone();
    state.count(result);
    caller.say(said);
    if is_down {
        // The store may have the claim although its reply never came; left there it would count as a run that nobody knows
        // the end of. In a task of its own, which is small: there may be many while a store is away.
        state.tasks.spawn(in_current_span(async move { ledger.release_within_lease().await }));
    }
}

async fn work<S, B, RB>(ledger: &Ledger, claim: &Claim, mut inner: S, request: Request<B>, caller: Caller<RB, S::Error>)
where
    S: Service<Request<B>, Response = Response<RB>> + Send,
    S::Future: Send,
    S::Error: Send,
    B: Send,
    RB: Body<Data = Bytes> + Send,
    RB::Error: Into<BoxError>,
{
    let called = Caught::new(async move { inner.call(request).await }).await;
    let response = match called {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return failed(ledger, Refusal::Failed, Reply::Result(Err(error)), caller).await,
        Err(payload) => {
            event!(ERROR, "idempotent handler panicked", name = &*ledger.shared.state.name);
            return failed(ledger, Refusal::Panicked, Reply::Panic(payload), caller).await;
        }
    };
    if response.extensions().get::<NotExecuted>().is_some() {
        return not_executed(ledger, response, caller).await;
    }
    let count = |result| ledger.shared.state.count(result);
    if !claim.was_in_transaction() {
        count("executed");
        return pump(ledger, response, caller).await;
    }
    let says_done = says_done(&response, caller.is_grpc());
    match ledger.settled().await {
        Some(Fenced::Already) => {
            count("executed");
            let (head, body) = response.into_parts();
            unrecorded(head, body, caller);
        }
        Some(Fenced::Lost) => {
            count("superseded");
            caller.say(ledger.owners_answer().await);
        }
        // its yes is not true: it overlooked that the commit failed, or that it never asked for one
        Some(Fenced::Done) if says_done => {
            count("rolled_back");
            release_then(ledger, || caller.refuse(Refusal::RolledBack)).await;
        }
        // nobody knows, and no yes is given that might be untrue: the same key again will be told
        None if says_done => {
            count("store_down");
            caller.refuse(Refusal::StoreDown);
            ledger.release_if_rolled_back().await;
        }
        // a refusal of the handler is an answer like any other; where its transaction did commit, that record stays
        Some(Fenced::Done) | None => {
            count("executed");
            pump(ledger, response, caller).await;
        }
    }
}

/// A handler that gave no response is recorded as a 500: it may have done all that it was for.
async fn failed<B, E>(ledger: &Ledger, refusal: Refusal, own: Reply<B, E>, caller: Caller<B, E>) {
    ledger.shared.state.count(refusal.as_str());
    let recorded = Recorded::Response(refusal.into_stored(caller.is_grpc(), caller.help()));
    match ledger.complete(&recorded).await {
        Some(Fenced::Lost) => caller.say(ledger.owners_answer().await),
        Some(_) => caller.reply(own),
        None => {
            caller.reply(own);
            ledger.complete_until_heard(&recorded).await;
        }
    }
}

async fn not_executed<B, E>(ledger: &Ledger, response: Response<B>, caller: Caller<B, E>)
where
    B: Send,
    E: Send,
{
    ledger.shared.state.count("not_executed");
    let (head, body) = response.into_parts();
    release_then(ledger, || unrecorded(head, body, caller)).await;
}

/// Free, then tell, so that an immediate repeat runs; where the store is slow, tell, and go on.
async fn release_then(ledger: &Ledger, tell: impl FnOnce()) {
    let heard = ledger.release().await;
    tell();
    if heard.is_none() {
        ledger.release_within_lease().await;
    }
}

/// Whether the handler tells its caller that all was done. A gRPC refusal has its status in the head.
fn says_done<B>(response: &Response<B>, grpc: bool) -> bool {
    let refused = grpc && response.headers().get("grpc-status").is_some_and(|status| status != "0");
    response.status().is_success() && !refused
}
