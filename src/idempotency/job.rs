//! The life of one keyed request once its body is here. It belongs to no caller: one that leaves undoes nothing.

use super::{
    Begin, Claim, Fence, Fenced, Fingerprint, IdempotencyKey, NotExecuted, StoreKey, StoredResponse, Unknown,
    caller::{Caller, Reply},
    layer::Shared,
    ledger::Ledger,
    pump::{pump, unrecorded},
    refusal::{Refusal, Said},
    start::Start,
    state::result,
    turn::turn,
};
use crate::{
    body::{Collected, FromReplay},
    error::BoxError,
    foreign::original_uri,
    panic::{Caught, caught},
    readied::Readied,
    telemetry::event,
    token::Token,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header, request::Parts};
use http_body::Body;
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};
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
    pub(super) async fn run<S, B, RB>(self, mut inner: Readied<S>, mut caller: Caller<RB, S::Error>)
    where
        S: Service<Request<B>, Response = Response<RB>> + Clone + Send,
        S::Future: Send,
        S::Error: Send,
        B: FromReplay + Send,
        RB: Body<Data = Bytes> + Send,
        RB::Error: Into<BoxError>,
    {
        let Self { shared, key, mut parts, body } = self;
        let begin = begin(&shared, &key, &parts, &body.data);
        let ledger = Ledger::new(shared, Fence { key: begin.key, token: begin.token });
        // whatever becomes of it, a panic or the end of the runtime included
        let _leaves = Leaves(&ledger);
        let unknown = |begin: &Begin| unknown(&key, begin, &parts, &body.data);
        // who waits for the store, for another request or for a hook holds no place below
        let start = inner.beside(ledger.start(begin, &mut caller, unknown)).await;
        let attempt = match &start {
            Start::Run(attempt) | Start::Open(attempt) => *attempt,
            Start::Record(_) | Start::Say(_) => 1,
        };
        let state = &ledger.shared.state;
        let claim = Claim::new(key, attempt, matches!(start, Start::Open(_)), &ledger);
        let request = |parts| Request::from_parts(parts, B::from_whole(body.data, body.trailers));
        match start {
            Start::Say(said) => {
                state.count_said(&said);
                return caller.say(said);
            }
            Start::Open(_) => {
                parts.extensions.insert(claim);
                return Box::pin(unclaimed(&ledger, inner, request(parts), caller)).await;
            }
            Start::Record(found) => {
                drop(inner);
                held(&ledger, &claim, Box::pin(record_found(&ledger, found, caller)).as_mut()).await;
            }
            Start::Run(attempt) => {
                if attempt > 1 {
                    event!(WARN, "running again what an earlier attempt left", name = &*state.name, attempt = attempt);
                }
                parts.extensions.insert(claim.clone());
                ask_for_identity(&mut parts.headers);
                held(&ledger, &claim, pin!(work(&ledger, &claim, inner, request(parts), caller))).await;
            }
        }
        let Shared { sweeps, store, config, .. } = &*ledger.shared;
        sweeps.after_run(store, config.hold);
    }
}

/// A response is replayed to every client that has the key, so the handler is asked for one that all of them can read. Compression
/// belongs outside of this layer, where it sees what each client accepts.
fn ask_for_identity(headers: &mut HeaderMap) {
    for name in [header::ACCEPT_ENCODING, HeaderName::from_static("grpc-accept-encoding")] {
        if headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static("identity"));
        }
    }
}

/// Who waits in this process for this run looks again when it is gone.
struct Leaves<'a>(&'a Ledger);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// `work`, and the renewal of its claim beside it, not in its way: a store that is slow to renew delays nothing.
async fn held(ledger: &Ledger, claim: &Claim, mut work: Pin<&mut impl Future<Output = ()>>) {
    // made when it is needed: many handlers never wait
    let mut renewal = None;
    poll_fn(|cx| {
        if work.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let renewal = renewal.get_or_insert_with(|| Box::pin(ledger.renew(|| claim.set_lost())));
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
        lease: shared.config.lease(),
        take_over: None,
    }
}

/// Of a run whose token and attempt are not known yet.
fn unknown(key: &IdempotencyKey, begin: &Begin, parts: &Parts, body: &Bytes) -> Unknown {
    Unknown {
        key: key.clone(),
        store_key: begin.key,
        attempt: 0,
        stale: begin.token,
        fingerprint: begin.fingerprint,
        head: parts.clone(),
        body: body.clone(),
    }
}

/// The store is down and the handler runs all the same, once for each time that its request comes.
async fn unclaimed<S, B, RB>(
    ledger: &Ledger,
    mut inner: Readied<S>,
    request: Request<B>,
    mut caller: Caller<RB, S::Error>,
) where
    S: Service<Request<B>, Response = Response<RB>> + Send,
    S::Future: Send,
    S::Error: Send,
    B: Send,
    RB: Send,
{
    ledger.shared.state.count_failed_open();
    if let Err(why) = turn(&mut inner, &mut caller).await {
        return why.reply(caller);
    }
    match Caught::new(async move { inner.call(request).await }).await {
        Ok(Ok(response)) => {
            let (head, body) = response.into_parts();
            unrecorded(head, body, caller);
        }
        Ok(Err(error)) => caller.reply(Reply::Result(Err(error))),
        Err(payload) => caller.reply(Reply::Panic(payload)),
    }
}

/// What an earlier run came to, as a hook has found out.
async fn record_found<B, E>(ledger: &Ledger, found: StoredResponse, caller: Caller<B, E>) {
    let recorded = ledger.recorded(found.clone());
    let heard = ledger.complete(&recorded).await;
    let said = match heard {
        Some(Fenced::Lost) => ledger.owners_answer().await,
        Some(_) | None => Said::Again(found.cleaned()),
    };
    ledger.shared.state.count_said(&said);
    caller.say(said);
    if heard.is_none() {
        ledger.complete_until_heard(&recorded).await;
    }
}

async fn work<S, B, RB>(
    ledger: &Ledger,
    claim: &Claim,
    mut inner: Readied<S>,
    request: Request<B>,
    mut caller: Caller<RB, S::Error>,
) where
    S: Service<Request<B>, Response = Response<RB>> + Send,
    S::Future: Send,
    S::Error: Send,
    B: Send,
    RB: Body<Data = Bytes> + Send,
    RB::Error: Into<BoxError>,
{
    match turn(&mut inner, &mut caller).await {
        Err(why) => return Box::pin(ledger.not_begun(why, caller)).await,
        Ok(None) => {}
        Ok(Some(since)) => match Box::pin(ledger.still_holds(claim, since, caller)).await {
            Some(still) => caller = still,
            None => return,
        },
    }
    let _running = ledger.shared.state.run();
    let called = match caught(|| inner.call(request)) {
        Ok(future) => Caught::new(future).await,
        Err(payload) => Err(payload),
    };
    // What is rare is boxed here and elsewhere on this way: the job is as large as the largest of what it may wait for.
    let response = match called {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Box::pin(failed(ledger, Refusal::Failed, Reply::Result(Err(error)), caller)).await,
        Err(payload) => {
            event!(ERROR, "idempotent handler panicked", name = &*ledger.shared.state.name);
            return Box::pin(failed(ledger, Refusal::Panicked, Reply::Panic(payload), caller)).await;
        }
    };
    if response.extensions().get::<NotExecuted>().is_some() {
        return Box::pin(not_executed(ledger, response, caller)).await;
    }
    if !claim.was_in_transaction() {
        return pump(ledger, response, caller).await;
    }
    Box::pin(after_transaction(ledger, response, caller)).await;
}

/// The handler completed its claim in a transaction of its own, or meant to.
async fn after_transaction<B, E>(ledger: &Ledger, response: Response<B>, caller: Caller<B, E>)
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<BoxError>,
    E: Send,
{
    let state = &ledger.shared.state;
    let says_done = says_done(&response, caller.grpc().is_some());
    match ledger.settled().await {
        Some(Fenced::Already) => {
            state.count(result::FIRST);
            let (head, body) = response.into_parts();
            unrecorded(head, body, caller);
        }
        Some(Fenced::Lost) => {
            state.count(result::LEASE_LOST);
            caller.say(ledger.owners_answer().await);
        }
        // its yes is not true: it overlooked that the commit failed, or that it never asked for one
        Some(Fenced::Done) if says_done => {
            state.count_refusal(Refusal::RolledBack);
            // free, then told, so that an immediate repeat runs
            ledger.release().await;
            caller.refuse(Refusal::RolledBack);
        }
        // nobody knows, and no yes is given that might be untrue: the same key again will be told
        None if says_done => {
            state.count_refusal(Refusal::StoreDown);
            caller.refuse(Refusal::StoreDown);
            ledger.release_if_rolled_back().await;
        }
        // a refusal of the handler is an answer like any other; where its transaction did commit, that record stays
        Some(Fenced::Done) | None => {
            pump(ledger, response, caller).await;
        }
    }
}

/// A handler that gave no response is recorded as a 500: it may have done all that it was for.
async fn failed<B, E>(ledger: &Ledger, refusal: Refusal, own: Reply<B, E>, caller: Caller<B, E>) {
    let recorded = ledger.recorded(refusal.into_stored(caller.grpc(), caller.help()));
    let heard = ledger.complete(&recorded).await;
    if heard == Some(Fenced::Lost) {
        ledger.shared.state.count(result::LEASE_LOST);
        return caller.say(ledger.owners_answer().await);
    }
    ledger.shared.state.count_refusal(refusal);
    caller.reply(own);
    if heard.is_none() {
        ledger.complete_until_heard(&recorded).await;
    }
}

async fn not_executed<B, E>(ledger: &Ledger, response: Response<B>, caller: Caller<B, E>)
where
    B: Send,
    E: Send,
{
    // free, then told, so that an immediate repeat runs
    if ledger.free().await == Some(Fenced::Lost) {
        ledger.shared.state.count(result::LEASE_LOST);
        return caller.say(ledger.owners_answer().await);
    }
    ledger.shared.state.count(result::FIRST);
    let (head, body) = response.into_parts();
    unrecorded(head, body, caller);
}

/// Whether the handler tells its caller that all was done. A gRPC refusal has its status in the head.
fn says_done<B>(response: &Response<B>, grpc: bool) -> bool {
    let refused = grpc && response.headers().get("grpc-status").is_some_and(|status| status != "0");
    response.status().is_success() && !refused
}
