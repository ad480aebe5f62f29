//! A caller who is gone, a process that ends, and clocks, at each phase of a request.

use crate::{
    scripted::{Call, Fault, Scripted},
    support::{Runs, app, layer, leave, over, request, send},
};
use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use std::{io, time::Duration};
use steadfast::{
    error::{BoxFuture, StoreError},
    idempotency::{
        Begin, Begun, Claim, Fence, Fenced, IdempotencyLayer, IdempotencyStore, OnUnknown, Recorded, StoreId, StoreKey,
    },
    store::memory::MemoryStore,
};
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt;

const SECOND: Duration = Duration::from_secs(1);

/// A request whose body takes a second, a store that takes one to begin and one to record, a handler that takes one, and an
/// answer that takes one.
fn slow_app() -> (axum::Router, Runs, IdempotencyLayer) {
    let layer = over(Slow(MemoryStore::new()));
    let (app, runs) = app(layer.clone(), |_| async {
        sleep(SECOND).await;
        Body::from_stream(tokio_stream::StreamExt::then(tokio_stream::iter(0..2), |n| async move {
            sleep(SECOND * n).await;
            Ok::<_, io::Error>("part ")
        }))
    });
    (app, runs, layer)
}

fn slow_request() -> Request<Body> {
    let late = tokio_stream::StreamExt::then(tokio_stream::iter(["body"]), |part| async move {
        sleep(SECOND).await;
        Ok::<_, io::Error>(Bytes::from(part))
    });
    Request::post("/").header("idempotency-key", "k").body(Body::from_stream(late)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_is_gone_at_any_moment_undoes_nothing_and_nothing_is_done_twice() {
    // body 0 to 1 s, begin to 2, handler to 3, answer to 4, record to 5
    for tenths in 0..60 {
        let (app, runs, layer) = slow_app();
        let call = async {
            let response = app.clone().oneshot(slow_request()).await.unwrap();
            response.into_body().collect().await.unwrap().to_bytes()
        };
        let left = timeout(Duration::from_millis(tenths * 100 + 50), call).await;
        assert_eq!(left.is_ok(), tenths >= 50, "{tenths}");
        layer.drained().await;
        assert_eq!(runs.get(), usize::from(tenths >= 10), "before the body is here nothing is claimed: {tenths}");
        let again = send(&app, slow_request()).await;
        assert_eq!((again.status, again.text()), (StatusCode::OK, "part part "));
        assert_eq!((again.replayed(), runs.get()), (tenths >= 10, 1), "{tenths}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_is_gone_while_the_store_has_not_answered_begin_leaves_a_run_and_no_ghost() {
    let store = Scripted::default();
    store.next(Call::Begin, [Fault::Hangs]);
    let layer = over(store.clone());
    let (app, runs) = app(layer.clone(), |_| async { "done" });
    leave(app.clone().oneshot(request("k", "")));
    layer.drained().await;
    assert_eq!(runs.get(), 1, "its claim was there, as the second try found");
    assert!(send(&app, request("k", "")).await.replayed());
}

/// Everything takes a second.
struct Slow(MemoryStore);

impl IdempotencyStore for Slow {
    fn id(&self) -> StoreId {
        self.0.id()
    }
    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Begun, StoreError>> {
        Box::pin(async move {
            sleep(SECOND).await;
            self.0.begin(begin).await
        })
    }
    fn complete(&self, fence: Fence, recorded: Recorded, keep: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(async move {
            sleep(SECOND).await;
            self.0.complete(fence, recorded, keep).await
        })
    }
    fn renew(&self, fence: Fence, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.0.renew(fence, lease)
    }
    fn release(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.0.release(fence)
    }
    fn settled(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.0.settled(fence)
    }
    fn get(&self, key: StoreKey) -> BoxFuture<'_, Result<Option<Recorded>, StoreError>> {
        self.0.get(key)
    }
    fn sweep(&self, most: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        self.0.sweep(most)
    }
}

fn process() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

#[test]
fn what_the_deadline_of_a_shutdown_cuts_off_lapses_and_is_unknown() {
    let store = MemoryStore::new();
    let one = process();
    one.block_on(async {
        let layer = over(store.clone());
        let (app, _) = app(layer.clone(), |request| async move {
            let seconds = if request.uri().query() == Some("quick") { 5 } else { 60 };
            sleep(SECOND * seconds).await;
        });
        let mut quick = request("quick", "");
        *quick.uri_mut() = "/?quick".parse().unwrap();
        leave(app.clone().oneshot(quick));
        leave(app.clone().oneshot(request("slow", "")));
        assert!(timeout(10 * SECOND, layer.drained()).await.is_err(), "one is still at work");
    });
    drop(one);
    process().block_on(async {
        let (app, runs) = app(over(store), |_| async { "done" });
        let mut quick = request("quick", "");
        *quick.uri_mut() = "/?quick".parse().unwrap();
        assert!(send(&app, quick).await.replayed(), "what ended in time is recorded");
        assert_eq!(send(&app, request("slow", "")).await.title(), "request in flight");
        sleep(60 * SECOND).await;
        assert_eq!(send(&app, request("slow", "")).await.title(), "outcome unknown");
        assert_eq!(runs.get(), 0);
    });
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_renewed_up_to_a_ceiling_and_its_handler_hears_of_it() {
    let heard = Runs::default();
    let told = heard.clone();
    let layer = layer().with_lease(30 * SECOND).with_renew_for(100 * SECOND);
    let (app, runs) = app(layer, move |request| {
        let (claim, told) = (request.extensions().get::<Claim>().unwrap().clone(), told.clone());
        async move {
            let began = Instant::now();
            claim.lost().await;
            told.add();
            let after = began.elapsed().as_secs();
            sleep(100 * SECOND).await;
            format!("{after}")
        }
    });
    let slow = tokio::spawn(app.clone().oneshot(request("k", "")));
    for _ in 0..11 {
        sleep(10 * SECOND).await;
        assert_eq!(send(&app, request("k", "")).await.title(), "request in flight");
    }
    assert_eq!(heard.get(), 0);
    sleep(20 * SECOND).await;
    assert_eq!((&*send(&app, request("k", "")).await.title(), heard.get()), ("outcome unknown", 1));
    let answer = crate::support::see(slow.await.unwrap().unwrap()).await;
    assert_eq!(answer.text(), "120", "90 s of renewals, and the last lease");
    assert!(send(&app, request("k", "")).await.replayed(), "nobody took it over, so its answer counts");
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_cut_off_from_the_store_for_a_lease_hears_of_it() {
    let store = Scripted::default();
    store.next(Call::Renew, vec![Fault::Fails; 1000]);
    let (app, _) = app(over(store).with_on_unknown(OnUnknown::Fail), |request| async move {
        let began = Instant::now();
        request.extensions().get::<Claim>().unwrap().lost().await;
        began.elapsed().as_secs().to_string()
    });
    let after: u64 = send(&app, request("k", "")).await.text().parse().unwrap();
    assert!((30..=33).contains(&after), "{after}");
}
