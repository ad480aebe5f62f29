//! A second attempt for what is slow.

use crate::{
    script::{Body, Ready, Script, Step, error, get, request, status},
    server::{data, stream},
    telemetry::metrics,
};
use http::{Request, Response};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::{
    attempt::Attempt,
    classify::{ByResult, Http, Origin, Repeatable},
    error::{BoxError, find},
    registry::{Value, registry},
    retry::{
        Allowance, Budget, CloneRequest, HttpReplay, NoRetry, Prepared, RetryLayer, StandardPolicy,
        hedge::{Hedge, HedgeLayer},
    },
    setting::Ratio,
    timeout::{Elapsed, TimeoutLayer},
};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn late(millis: u64, status: u16) -> Step {
    Step::Late(ms(millis), status)
}

fn only(hedges: u32) -> Budget {
    Budget::new(Allowance::new().with_start(hedges).without_trickle())
}

/// The status that came out, after how long, and when the attempts began; after 100 ms there is a second one.
async fn course(layer: HedgeLayer, steps: impl IntoIterator<Item = Step>) -> (u16, Duration, Vec<Duration>) {
    let script = Script::new(steps);
    let (watch, start) = (script.watch(), Instant::now());
    let status = layer.layer(script).oneshot(get()).await.unwrap().status().as_u16();
    let took = start.elapsed();
    assert_eq!((watch.running(), watch.answers_alive()), (0, 0), "the loser is gone");
    (status, took, watch.times(start))
}

#[tokio::test(start_paused = true)]
async fn what_answers_in_time_is_sent_once() {
    assert_eq!(course(HedgeLayer::new(ms(100)), [late(99, 200)]).await, (200, ms(99), vec![ms(0)]));
}

#[tokio::test(start_paused = true)]
async fn the_second_attempt_wins_over_a_first_that_hangs() {
    let layer = HedgeLayer::new(ms(100));
    assert_eq!(course(layer, [Step::Hang, late(30, 200)]).await, (200, ms(130), vec![ms(0), ms(100)]));
}

#[tokio::test(start_paused = true)]
async fn the_first_attempt_wins_when_it_is_there_first_after_all() {
    let layer = HedgeLayer::new(ms(100));
    assert_eq!(course(layer, [late(120, 200), late(30, 201)]).await, (200, ms(120), vec![ms(0), ms(100)]));
}

#[tokio::test(start_paused = true)]
async fn a_failed_answer_waits_for_the_other_attempt_whichever_it_was() {
    let both = vec![ms(0), ms(100)];
    let first_failed = course(HedgeLayer::new(ms(100)), [late(110, 503), late(50, 200)]).await;
    assert_eq!(first_failed, (200, ms(150), both.clone()));
    let second_failed = course(HedgeLayer::new(ms(100)), [late(150, 200), late(10, 503)]).await;
    assert_eq!(second_failed, (200, ms(150), both.clone()));
    let second_broke = course(HedgeLayer::new(ms(100)), [late(150, 200), error("broke")]).await;
    assert_eq!(second_broke, (200, ms(150), both));
}

#[tokio::test(start_paused = true)]
async fn when_both_failed_the_later_outcome_comes_out() {
    let second = course(HedgeLayer::new(ms(100)), [late(110, 503), late(50, 502)]).await;
    assert_eq!((second.0, second.1), (502, ms(150)));
    let first = course(HedgeLayer::new(ms(100)), [late(150, 503), late(10, 502)]).await;
    assert_eq!((first.0, first.1), (503, ms(150)));
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_an_answer_as_good_as_any() {
    let layer = HedgeLayer::new(ms(100));
    assert_eq!(course(layer, [Step::Hang, late(30, 404)]).await, (404, ms(130), vec![ms(0), ms(100)]));
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_delay_comes_out_at_once() {
    assert_eq!(course(HedgeLayer::new(ms(100)), [late(50, 503)]).await, (503, ms(50), vec![ms(0)]));
}

#[tokio::test(start_paused = true)]
async fn a_failed_response_is_held_until_the_other_attempt_ends_and_goes_with_the_call() {
    for [steps, steps_after] in [
        [[late(110, 503), Step::Hang], [late(110, 503), late(200, 200)]],
        [[Step::Hang, late(10, 503)], [late(300, 200), late(10, 503)]],
    ] {
        let budget = only(1);
        let script = Script::new(steps);
        let watch = script.watch();
        let mut service = HedgeLayer::new(ms(100)).with_budget(budget.clone()).layer(script);
        let call = tokio::spawn(service.ready().await.unwrap().call(get()));
        tokio::time::sleep(ms(200)).await;
        assert_eq!((watch.calls(), watch.running(), watch.answers_alive(), budget.left()), (2, 1, 1, 0));
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        assert_eq!((watch.running(), watch.answers_alive()), (0, 0));
        assert_eq!(course(HedgeLayer::new(ms(100)), steps_after).await.0, 200);
    }
}

/// Checks that a call whose attempts end in `better` and `worse`, in either order, ends in `better`.
async fn assert_wins(better: fn() -> Step, worse: fn() -> Step, what: &str) {
    let name = |result: Result<Response<Body>, BoxError>| match result {
        Ok(response) => format!("{} {:?}", response.status(), response.headers().get("retry-after")),
        Err(error) => error.to_string(),
    };
    let expected = name(Script::new([better()]).ready().await.unwrap().call(get()).await);
    for better_first in [true, false] {
        let calls = AtomicU32::new(0);
        let service = service_fn(move |request: Request<Body>| {
            let first = calls.fetch_add(1, SeqCst) == 0;
            let mut script = Script::new([if first == better_first { better() } else { worse() }]);
            async move {
                // the first one ends while the second is at work, or the other way round
                tokio::time::sleep(if first { ms(150) } else { ms(100) }).await;
                script.ready().await.unwrap().call(request).await
            }
        });
        let response = HedgeLayer::new(ms(100)).layer(Clonable(Arc::new(std::sync::Mutex::new(service))));
        assert_eq!(name(response.oneshot(get()).await), expected, "{what}, better first: {better_first}");
    }
}

/// A service that all clones share.
struct Clonable<S>(Arc<std::sync::Mutex<S>>);

impl<S> Clone for Clonable<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Service<Req>, Req> Service<Req> for Clonable<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), S::Error>> {
        self.0.lock().unwrap().poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> S::Future {
        self.0.lock().unwrap().call(request)
    }
}

#[tokio::test(start_paused = true)]
async fn the_better_of_two_outcomes_comes_out_whichever_attempt_had_it() {
    use crate::script::{io, with_header};
    use std::io::ErrorKind::{ConnectionRefused, ConnectionReset};
    let overloaded = || with_header(503, "retry-after", 7);
    let refused = || error(steadfast::error::Refused::new("below", "open"));
    let timeout = || error(Elapsed::new(steadfast::timeout::Limit::Attempt, 1));
    // good ones, over any failure
    for good in [200, 201, 204, 301, 302, 303, 304, 307, 308, 400, 401, 404, 409, 410, 422, 501] {
        let good: fn() -> Step = match good {
            200 => || status(200),
            201 => || status(201),
            204 => || status(204),
            301 => || status(301),
            302 => || status(302),
            303 => || status(303),
            304 => || status(304),
            307 => || status(307),
            308 => || status(308),
            400 => || status(400),
            401 => || status(401),
            404 => || status(404),
            409 => || status(409),
            410 => || status(410),
            422 => || status(422),
            _ => || status(501),
        };
        assert_wins(good, || status(503), "good over 503").await;
        assert_wins(good, || status(429), "good over 429").await;
        assert_wins(good, || io(ConnectionReset), "good over a reset").await;
    }
    assert_wins(overloaded, || status(503), "a hint over none").await;
    assert_wins(overloaded, || status(500), "a hint over a fault").await;
    assert_wins(|| status(429), || status(502), "429 over 502").await;
    assert_wins(|| status(503), || io(ConnectionReset), "a response over an error").await;
    assert_wins(|| status(500), || io(ConnectionReset), "a response over an error").await;
    assert_wins(|| status(503), timeout, "a response over a timeout").await;
    assert_wins(|| io(ConnectionReset), timeout, "a reset over a timeout").await;
    // a call that may have been executed is not taken for one that was never sent
    for executed in [|| status(503), || status(500), || io(ConnectionReset), timeout as fn() -> Step] {
        assert_wins(executed, || io(ConnectionRefused), "over never sent").await;
        assert_wins(executed, refused, "over a refusal").await;
    }
    assert_wins(|| io(ConnectionRefused), refused, "never sent over a refusal").await;
}

#[tokio::test(start_paused = true)]
async fn two_hedge_layers_make_two_calls_and_not_four() {
    let script = Script::new([Step::Hang, Step::Hang]);
    let watch = script.watch();
    let inner = HedgeLayer::new(ms(50));
    let client = ServiceBuilder::new().layer(HedgeLayer::new(ms(100))).layer(inner.clone()).service(script);
    assert!(tokio::time::timeout(ms(1000), client.oneshot(get())).await.is_err());
    assert_eq!((watch.calls(), watch.running()), (2, 0));
    // a retry layer in between, whose second attempt is called from within a poll
    let script = Script::new([status(503), Step::Hang, Step::Hang]);
    let watch = script.watch();
    let retry = RetryLayer::default();
    let client =
        ServiceBuilder::new().layer(HedgeLayer::new(ms(500))).layer(retry).layer(inner.clone()).service(script);
    assert!(tokio::time::timeout(ms(2000), client.oneshot(get())).await.is_err());
    assert_eq!(watch.calls(), 3);
    // a call beside them, below no other layer, is hedged
    let script = Script::new([Step::Hang, status(200)]);
    let watch = script.watch();
    inner.layer(script).oneshot(get()).await.unwrap();
    assert_eq!(watch.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_of_a_retry_layer_may_be_hedged_as_far_as_the_budget_goes() {
    for (budget, calls) in [(0, 3), (1, 4), (2, 5), (10, 6)] {
        let budget = only(budget);
        let script = Script::new((0..10).map(|_| late(150, 503)));
        let watch = script.watch();
        let hedge = HedgeLayer::new(ms(100)).with_budget(budget);
        let client = ServiceBuilder::new().layer(RetryLayer::default()).layer(hedge).service(script);
        assert_eq!(client.oneshot(get()).await.unwrap().status(), 503);
        assert_eq!(watch.calls(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn the_permit_of_a_second_attempt_goes_back_as_soon_as_it_cannot_start() {
    let budget = only(1);
    let script = Script::new([Step::Hang]).with_ready([Ready::Yes, Ready::Error]);
    let mut service = HedgeLayer::new(ms(100)).with_budget(budget.clone()).layer(script);
    let mut call = Box::pin(service.ready().await.unwrap().call(get()));
    assert!(tokio::time::timeout(ms(200), &mut call).await.is_err());
    // the call is still at work
    assert_eq!(budget.left(), 1);
    drop(call);

    // dropped while it waits for readiness
    let script = Script::new([Step::Hang]).with_ready([Ready::Yes, Ready::Never]);
    let mut service = HedgeLayer::new(ms(100)).with_budget(budget.clone()).layer(script);
    let mut call = Box::pin(service.ready().await.unwrap().call(get()));
    assert!(tokio::time::timeout(ms(200), &mut call).await.is_err());
    assert_eq!(budget.left(), 0);
    drop(call);
    assert_eq!(budget.left(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_loser_is_dropped_with_the_answer_and_not_when_the_caller_drops_the_call() {
    for steps in [[Step::Hang, late(30, 200)], [late(120, 200), Step::Hang]] {
        let script = Script::new(steps);
        let watch = script.watch();
        let mut service = HedgeLayer::new(ms(100)).layer(script);
        let mut call = Box::pin(service.ready().await.unwrap().call(get()));
        (&mut call).await.unwrap();
        assert_eq!((watch.calls(), watch.running()), (2, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_drop_drops_both_attempts() {
    let script = Script::new([Step::Hang, Step::Hang]);
    let watch = script.watch();
    let mut service = HedgeLayer::new(ms(100)).layer(script);
    let mut call = Box::pin(service.ready().await.unwrap().call(get()));
    assert!(tokio::time::timeout(ms(500), &mut call).await.is_err());
    assert_eq!(watch.running(), 2);
    drop(call);
    assert_eq!(watch.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_stops_new_hedges_and_none_that_is_at_work() {
    let budget = only(1);
    let layer = HedgeLayer::new(ms(100)).with_budget(budget.clone());
    let script = Script::new([Step::Hang, late(1000, 200), late(2000, 201)]);
    let watch = script.watch();
    let service = layer.layer(script);
    let hedged = tokio::spawn(service.clone().oneshot(get()));
    tokio::time::sleep(ms(200)).await;
    // all is spent from here on
    assert_eq!((watch.calls(), watch.running(), budget.left()), (2, 2, 0));
    let alone = tokio::spawn(service.oneshot(get()));
    assert_eq!(hedged.await.unwrap().unwrap().status(), 200);
    assert_eq!(alone.await.unwrap().unwrap().status(), 201);
    assert_eq!(watch.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn retries_and_hedges_are_charged_to_one_budget() {
    let budget = only(2);
    let retry = RetryLayer::default().with_budget(budget.clone()).with_seed(1);
    let hedge = HedgeLayer::new(ms(100)).with_budget(retry.budgets().clone());
    // the first attempt and its hedge, then a retry that nobody pays a hedge for
    let script = Script::new([late(200, 503), late(200, 503), late(1000, 503), status(200)]);
    let watch = script.watch();
    let client = ServiceBuilder::new().layer(retry).layer(hedge).service(script);
    assert_eq!(client.oneshot(get()).await.unwrap().status(), 503);
    assert_eq!((watch.calls(), budget.left()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_success_pays_once_into_a_budget_that_retry_and_hedge_share() {
    let every = || Budget::new(Allowance::new().with_start(0).with_ratio(Ratio::ALL).without_trickle());
    let shared = every();
    let hedge = HedgeLayer::new(ms(100)).with_budget(shared.clone());
    let retry = RetryLayer::default().with_budget(shared.clone());
    let client = ServiceBuilder::new().layer(retry).layer(hedge.clone()).service(Script::always(200));
    client.oneshot(get()).await.unwrap();
    assert_eq!(shared.left(), 1);
    // alone it pays itself
    hedge.layer(Script::always(200)).oneshot(get()).await.unwrap();
    assert_eq!(shared.left(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_its_own_is_paid_into_below_a_retry_layer_too() {
    for hedge in [HedgeLayer::new(ms(100)), HedgeLayer::after_p95(ms(100))] {
        let budget = hedge.budgets().of(None).unwrap();
        let spend = || budget.withdraw(1).map(steadfast::retry::Permit::spend);
        assert_eq!((0..20).map_while(|_| spend()).count(), 10);
        let client = ServiceBuilder::new().layer(RetryLayer::default()).layer(hedge).service(Script::always(200));
        // one for twenty successes, and no trickle
        for _ in 0..39 {
            client.clone().oneshot(get()).await.unwrap();
            tokio::time::advance(ms(60_000)).await;
        }
        assert_eq!(budget.left(), 1);
        client.clone().oneshot(get()).await.unwrap();
        assert_eq!(budget.left(), 2);
        for _ in 0..1000 {
            client.clone().oneshot(get()).await.unwrap();
        }
        assert_eq!(budget.left(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_origin_does_not_use_up_the_hedges_of_another() {
    let budgets = steadfast::retry::Budgets::per_origin(Allowance::new().with_start(1).without_trickle());
    let service = HedgeLayer::new(ms(100)).with_budget(budgets.clone()).layer(Script::new([Step::Hang, late(1, 200)]));
    service.oneshot(get()).await.unwrap();
    let left = |origin| budgets.of(Origin::parse(origin)).unwrap().left();
    assert_eq!((left("HTTP://EXAMPLE.com:80"), left("https://example.com")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn the_hedge_is_made_ready_before_its_call_and_costs_nothing_if_that_takes_too_long() {
    let budget = only(1);
    let script = Script::new([late(500, 200)]).with_ready([Ready::Yes, Ready::Never]);
    let watch = script.watch();
    let response = HedgeLayer::new(ms(100)).with_budget(budget.clone()).layer(script).oneshot(get()).await.unwrap();
    assert_eq!((response.status().as_u16(), watch.calls(), watch.polled_ready()), (200, 1, 2));
    assert_eq!(budget.left(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_ends_the_hedge_and_not_the_call() {
    let budget = only(1);
    let script = Script::new([late(500, 200)]).with_ready([Ready::Yes, Ready::Error]);
    let response = HedgeLayer::new(ms(100)).with_budget(budget.clone()).layer(script).oneshot(get()).await.unwrap();
    assert_eq!((response.status().as_u16(), budget.left()), (200, 1));
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_done_twice_is_not_hedged() {
    let mut yes = request("POST", &[]);
    yes.extensions_mut().insert(Repeatable::Yes);
    let cases = [
        (request("POST", &[]), 1),
        // the other side would answer 409 to the second one
        (request("POST", &[("idempotency-key", "k")]), 1),
        (NoRetry::on(get()), 1),
        (request("PUT", &[]), 2),
        (yes, 2),
    ];
    for (request, calls) in cases {
        let script = Script::new([late(500, 200), Step::Hang]);
        let (watch, name) = (script.watch(), format!("{request:?}"));
        HedgeLayer::new(ms(100)).layer(script).oneshot(request).await.unwrap();
        assert_eq!(watch.calls(), calls, "{name}");
    }
}

type Streamed = axum::body::Body;

/// Reads the request to its end; the first call then hangs.
fn reads(
    calls: &Arc<AtomicU32>,
) -> impl Service<Request<Streamed>, Response = Response<String>, Error = BoxError, Future: Send> + Clone + Send + 'static
{
    let calls = calls.clone();
    service_fn(move |request: Request<Streamed>| {
        let call = calls.fetch_add(1, SeqCst);
        async move {
            let body = axum::body::to_bytes(request.into_body(), 100).await?;
            if call == 0 {
                tokio::time::sleep(ms(1000)).await;
            }
            Ok(Response::new(format!("{call} {}", String::from_utf8_lossy(&body))))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_body_that_still_streams_stays_with_the_first_attempt() {
    let (calls, budget) = (Arc::default(), only(1));
    let service = HedgeLayer::new(ms(100)).with_budget(budget.clone()).layer(reads(&calls));
    let (feed, body) = stream();
    let call = tokio::spawn(service.oneshot(Request::put("/").body(Streamed::new(body)).unwrap()));
    feed.send(data("one")).await.unwrap();
    tokio::time::sleep(ms(500)).await;
    feed.send(data("two")).await.unwrap();
    drop(feed);
    assert_eq!(call.await.unwrap().unwrap().body(), "0 onetwo");
    assert_eq!((calls.load(SeqCst), budget.left()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_went_out_as_a_whole_is_sent_again() {
    let calls = Arc::default();
    let service = HedgeLayer::new(ms(100)).layer(reads(&calls));
    let (feed, body) = stream();
    let call = tokio::spawn(service.oneshot(Request::put("/").body(Streamed::new(body)).unwrap()));
    feed.send(data("one")).await.unwrap();
    drop(feed);
    assert_eq!(call.await.unwrap().unwrap().body(), "1 one");
    assert_eq!(calls.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_numbered_on_from_those_of_the_layer_above() {
    let numbers = |watch: &Script| watch.seen(|seen| seen.attempt.map_or(0, Attempt::number));
    let script = Script::new([Step::Hang, status(200)]);
    let watch = script.watch();
    HedgeLayer::new(ms(100))
        .layer(script)
        .oneshot(request("GET", &[("content-type", "application/grpc")]))
        .await
        .unwrap();
    assert_eq!(numbers(&watch), [0, 2]);
    assert_eq!(watch.seen(|seen| seen.marked.map(Attempt::number)), [None, Some(2)]);
    assert_eq!(
        watch.seen(|seen| seen.headers.get("grpc-previous-rpc-attempts").cloned()),
        [None, Some("1".parse().unwrap())]
    );

    let script = Script::new([status(503), Step::Hang, status(200)]);
    let watch = script.watch();
    let client = ServiceBuilder::new().layer(RetryLayer::default()).layer(HedgeLayer::new(ms(100))).service(script);
    client.oneshot(get()).await.unwrap();
    assert_eq!(numbers(&watch), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_layer_below_repeats_the_first_attempt_and_not_the_hedge() {
    let script = Script::new([late(110, 503), late(1, 503), late(300, 200)]);
    let watch = script.watch();
    let client = ServiceBuilder::new()
        .layer(TimeoutLayer::total(ms(5000)))
        .layer(HedgeLayer::new(ms(100)))
        .layer(RetryLayer::default())
        .service(script);
    assert_eq!(client.oneshot(get()).await.unwrap().status(), 200);
    assert_eq!(watch.seen(|seen| seen.attempt.map_or(0, Attempt::number)), [1, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_both_attempts_and_says_that_there_were_two() {
    let script = Script::new([Step::Hang, Step::Hang]);
    let watch = script.watch();
    let layers = ServiceBuilder::new().layer(TimeoutLayer::total(ms(1000))).layer(HedgeLayer::new(ms(100)));
    let start = Instant::now();
    let error = layers.service(script).oneshot(get()).await.unwrap_err();
    assert_eq!((find::<Elapsed>(&*error).unwrap().attempts(), start.elapsed()), (2, ms(1000)));
    assert_eq!((watch.calls(), watch.running()), (2, 0));
    let deadline = start + ms(1000);
    assert_eq!(watch.seen(|seen| seen.attempt.and_then(Attempt::deadline)), [Some(deadline); 2]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_hedged_right_before_the_deadline() {
    for (total, calls) in [(105, 1), (115, 2)] {
        let script = Script::new([Step::Hang, Step::Hang]);
        let watch = script.watch();
        let layers = ServiceBuilder::new().layer(TimeoutLayer::total(ms(total))).layer(HedgeLayer::new(ms(100)));
        layers.service(script).oneshot(get()).await.unwrap_err();
        assert_eq!(watch.calls(), calls, "{total} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn both_attempts_are_prepared() {
    let script = Script::new([Step::Hang, status(200)]);
    let watch = script.watch();
    let sign = |request: &mut Request<Body>, attempt: Attempt| {
        assert!(request.headers_mut().insert("signed", attempt.number().into()).is_none());
    };
    let layer = HedgeLayer::new(ms(100)).with_strategies(Http::new(), Prepared::new(HttpReplay, sign));
    layer.layer(script).oneshot(get()).await.unwrap();
    assert_eq!(watch.seen(|seen| seen.headers["signed"].clone()), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn the_delay_follows_what_95_of_100_answers_took_also_while_hedges_win() {
    let layer = HedgeLayer::after_p95(ms(1000)).with_budget(only(10_000));
    let (calls, slow) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(50)));
    let (n, takes) = (calls.clone(), slow.clone());
    let inner = service_fn(move |(): ()| {
        n.fetch_add(1, SeqCst);
        let takes = Duration::from_millis(takes.load(SeqCst).into());
        async move {
            tokio::time::sleep(takes).await;
            Ok::<_, BoxError>(())
        }
    });
    let layer = layer.with_strategies(ByResult, CloneRequest);
    let service: Hedge<_, _, _> = layer.layer(inner);
    assert_eq!(layer.delay(), ms(1000));
    for _ in 0..64 {
        service.clone().oneshot(()).await.unwrap();
    }
    assert!((ms(50)..ms(58)).contains(&layer.delay()), "{:?}", layer.delay());
    assert_eq!(calls.load(SeqCst), 64);
    // all become slow: it does not go on hedging every call
    slow.store(400, SeqCst);
    for _ in 0..200 {
        service.clone().oneshot(()).await.unwrap();
    }
    assert!((ms(400)..ms(460)).contains(&layer.delay()), "{:?}", layer.delay());
    let before = calls.load(SeqCst);
    for _ in 0..100 {
        service.clone().oneshot(()).await.unwrap();
    }
    assert_eq!(calls.load(SeqCst) - before, 100);
}

#[tokio::test(start_paused = true)]
async fn answers_that_were_overtaken_keep_the_estimate_up() {
    // one in ten hangs and is overtaken: were it forgotten, the delay would fall to what the quick ones take
    let layer = HedgeLayer::after_p95(ms(200)).with_budget(only(10_000)).with_strategies(ByResult, CloneRequest);
    let calls = Arc::new(AtomicU32::new(0));
    let inner = service_fn(move |n: u32| {
        let again = calls.swap(n, SeqCst) == n;
        async move {
            tokio::time::sleep(if n.is_multiple_of(10) && !again { ms(5000) } else { ms(10) }).await;
            Ok::<_, BoxError>(())
        }
    });
    let service = layer.layer(inner);
    for n in 1..=640 {
        service.clone().oneshot(n).await.unwrap();
    }
    assert!(layer.delay() >= ms(200), "{:?}", layer.delay());
}

#[tokio::test(start_paused = true)]
async fn the_registry_lists_the_layer_with_its_delay_and_what_is_left() {
    let layer = HedgeLayer::new(ms(70)).with_name("hedged here").with_budget(only(3));
    let find = || {
        let all = registry().snapshot();
        all.into_iter().find(|entry| entry.kind == "hedge" && entry.name == "hedged here").map(|entry| entry.state)
    };
    assert_eq!(find().unwrap(), [("budget_left", Value::Count(3)), ("delay_ms", Value::Count(70))]);
    drop(layer);
    assert_eq!(find(), None);
}

#[test]
fn every_second_attempt_is_counted_by_what_came_of_it() {
    let lines = metrics(async {
        let layer = HedgeLayer::new(ms(100)).with_name("reads").with_budget(only(4));
        let call = async |steps: [Step; 2]| layer.layer(Script::new(steps)).oneshot(get()).await.map(drop);
        call([Step::Hang, status(200)]).await.unwrap();
        call([late(120, 200), Step::Hang]).await.unwrap();
        call([late(120, 503), late(50, 503)]).await.unwrap();
        tokio::time::timeout(ms(200), call([Step::Hang, Step::Hang])).await.unwrap_err();
        call([late(120, 200), Step::Hang]).await.unwrap();
    });
    assert_eq!(
        lines,
        [
            "steadfast_hedge_attempts_total name=reads result=cancelled: 1",
            "steadfast_hedge_attempts_total name=reads result=failed: 1",
            "steadfast_hedge_attempts_total name=reads result=lost: 1",
            "steadfast_hedge_attempts_total name=reads result=won: 1",
            "steadfast_hedge_withheld_total name=reads reason=budget: 1",
        ]
    );
}

#[test]
fn it_goes_wherever_the_inner_service_goes() {
    fn goes<S, Req>()
    where
        S: Service<Req, Future: Send + std::fmt::Debug + 'static> + Clone + Send + Sync + 'static,
    {
    }
    goes::<Hedge<reqwest::Client>, reqwest::Request>();
    goes::<Hedge<tonic::transport::Channel>, Request<tonic::body::Body>>();
    goes::<Hedge<axum::routing::Route>, Request<axum::body::Body>>();
    let _: Hedge<Script> = HedgeLayer::new(StandardPolicy::HINT_CAP).layer(Script::always(200));
}
