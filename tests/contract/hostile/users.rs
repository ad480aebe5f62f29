//! What users hand to a layer when they make it: classifiers, clocks, budgets, backoffs, stores, seals, hooks.

use super::world::{Does, World};
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use http_body::Body;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};
use steadfast::{
    backoff::Backoff,
    classify::{Classify, Evidence, Http, Origin, Recorder, Repeatable, Verdict},
    error::{BoxError, BoxFuture, StoreError},
    idempotency::{
        Begin, Begun, Fence, Fenced, IdempotencyStore, OnUnknown, Recorded, Recovered, Seal, StoreId, StoreKey,
        StoredResponse, Token,
    },
    retry::{Budget, Fund},
    store::memory::MemoryStore,
    time::Clock,
};

/// A thing of the user's.
#[derive(Clone)]
pub(crate) struct Users(Arc<World>);

pub(crate) fn users(world: &Arc<World>) -> Users {
    Users(world.clone())
}

impl Users {
    pub(crate) fn called(&self, place: &'static str) {
        self.0.called(place);
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Users")
    }
}

impl Clock for Users {
    fn now(&self) -> SystemTime {
        self.called("a clock");
        SystemTime::UNIX_EPOCH
    }
}

impl Backoff for Users {
    fn delay(&self, _: u32, _: Duration, _: &mut fastrand::Rng) -> Duration {
        self.called("a backoff");
        Duration::from_secs(1)
    }
}

impl Fund for Users {
    fn deposit(&self) {
        self.called("the deposit of a fund");
    }

    fn withdraw(&self) -> bool {
        self.called("the withdrawal from a fund");
        true
    }
}

impl Seal for Users {
    fn seal(&self, answer: &[u8], _: &[u8]) -> Result<Vec<u8>, BoxError> {
        self.called("a seal");
        Ok(answer.to_vec())
    }

    fn open(&self, sealed: &[u8], _: &[u8]) -> Result<Vec<u8>, BoxError> {
        self.called("a seal that is opened");
        Ok(sealed.to_vec())
    }
}

/// Judges as [`Http`] does.
type As<Req, Res, E> = <Http as Classify<Req, Res, E>>::Response;

impl<A, B: Body, E: 'static> Classify<Request<A>, Response<B>, E> for Users {
    type Response = As<Request<A>, Response<B>, E>;

    fn origin<'a>(&self, request: &'a Request<A>) -> Option<Origin<'a>> {
        self.called("the origin of a classifier");
        Origin::of_uri(request.uri())
    }

    fn repeatable(&self, request: &Request<A>) -> Repeatable {
        self.called("a classifier that is asked what may be repeated");
        Classify::<Request<A>, Response<B>, E>::repeatable(&Http::new(), request)
    }

    fn head(&self, response: &Response<B>, repeatable: Repeatable) -> Verdict {
        self.called("a classifier that judges a head");
        Classify::<Request<A>, Response<B>, E>::head(&Http::new(), response, repeatable)
    }

    fn error(&self, error: &E, evidence: Evidence) -> Verdict {
        self.called("a classifier that judges an error");
        Classify::<Request<A>, Response<B>, E>::error(&Http::new(), error, evidence)
    }

    fn watch(&self, response: Response<B>, head: Verdict, recorder: Recorder) -> Self::Response {
        self.called("a classifier that watches a body");
        Classify::<Request<A>, Response<B>, E>::watch(&Http::new(), response, head, recorder)
    }
}

/// A store of the user's, in which a process that died had claimed every key before.
pub(crate) struct Lapsing {
    users: Users,
    store: MemoryStore,
}

impl Lapsing {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self { users: users(world), store: MemoryStore::new() }
    }
}

impl IdempotencyStore for Lapsing {
    fn id(&self) -> StoreId {
        IdempotencyStore::id(&self.store)
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Begun, StoreError>> {
        self.users.called("the begin of a store");
        if begin.take_over.is_none() {
            let dead = Begin { token: Token([7; 16]), lease: Duration::ZERO, ..begin };
            let _ = self.store.begin(dead).now_or_never();
        }
        self.store.begin(begin)
    }

    fn complete(&self, fence: Fence, recorded: Recorded, keep: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.users.called("the complete of a store");
        self.store.complete(fence, recorded, keep)
    }

    fn renew(&self, fence: Fence, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.users.called("the renew of a store");
        self.store.renew(fence, lease)
    }

    fn release(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.users.called("the release of a store");
        self.store.release(fence)
    }

    fn settled(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.users.called("the settled of a store");
        self.store.settled(fence)
    }

    fn get(&self, key: StoreKey) -> BoxFuture<'_, Result<Option<Recorded>, StoreError>> {
        self.users.called("the get of a store");
        self.store.get(key)
    }

    fn sweep(&self, most: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        self.users.called("the sweep of a store");
        IdempotencyStore::sweep(&self.store, most)
    }
}

/// Finds out nothing, then that nothing was done, then that it was.
pub(crate) fn hook(world: &Arc<World>) -> OnUnknown {
    let (users, asked) = (users(world), AtomicU32::new(0));
    OnUnknown::ask(move |_| {
        users.called("the call of a hook");
        let (users, nth) = (users.clone(), asked.fetch_add(1, SeqCst));
        async move {
            tokio::task::yield_now().await;
            users.called("the poll of a hook");
            match nth % 3 {
                _ if users.0.does() == Does::Nothing => Recovered::NotDone,
                0 => Recovered::Unknown,
                1 => Recovered::NotDone,
                _ => Recovered::Done(StoredResponse::json(StatusCode::CREATED, "{}")),
            }
        }
    })
}

/// Two units, after which it panics.
struct Bounded(AtomicU32);

impl Fund for Bounded {
    fn deposit(&self) {}

    fn withdraw(&self) -> bool {
        let left = self.0.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        assert!(left.is_ok(), "the fund is away");
        true
    }
}

#[test]
fn a_fund_that_panics_half_way_loses_nothing_that_was_withdrawn() {
    let budget = Budget::from_fund(Bounded(AtomicU32::new(2)));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| budget.withdraw(3).is_some()));
    assert!(panicked.is_err());
    budget.withdraw(2).expect("both are still there").spend();
}
