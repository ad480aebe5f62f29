//! tower's budget in our layer, and our policy in tower's.

use crate::script::{Body, Ready, Script, Step, error, get, io, request, status, with_header};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::{
    attempt::Attempt,
    backoff::{Exponential, Jitter},
    classify::Http,
    place::tower::{PolicyLayer, TowerPolicy},
    registry::registry,
    retry::{Allowance, Attempts, Budget, HttpReplay, NoRetry, RetryLayer, StandardPolicy, Stop},
    setting::Ratio,
    timeout::{Elapsed, Limit, TimeoutLayer},
};
use tokio::time::Instant;
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt,
    retry::{RetryLayer as TowerRetryLayer, budget::TpsBudget},
    service_fn,
};

/// tower's budget, as its trait has it: no way back.
#[derive(Default)]
struct Purse {
    left: AtomicU32,
    deposits: AtomicU32,
}

impl Purse {
    fn of(left: u32) -> Arc<Self> {
        Arc::new(Self { left: left.into(), deposits: AtomicU32::new(0) })
    }
}

impl tower::retry::budget::Budget for Purse {
    fn deposit(&self) {
        self.deposits.fetch_add(1, SeqCst);
    }

    fn withdraw(&self) -> bool {
        self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

#[tokio::test(start_paused = true)]
async fn towers_budget_is_paid_into_by_successes_and_ends_repeats_when_it_is_empty() {
    let purse = Purse::of(3);
    let layer = RetryLayer::default().with_budget(purse.clone());
    layer.layer(Script::always(200)).oneshot(get()).await.unwrap();
    assert_eq!(purse.deposits.load(SeqCst), 1);
    let script = Script::always(503);
    let watch = script.watch();
    let service = layer.layer(script);
    service.clone().oneshot(get()).await.unwrap();
    let response = service.oneshot(get()).await.unwrap();
    assert_eq!((watch.calls(), purse.left.load(SeqCst)), (5, 0));
    assert_eq!(Attempts::of(response.extensions()).unwrap().stop(), Stop::Budget);
}

#[tokio::test(start_paused = true)]
async fn a_tps_budget_gives_its_reserve() {
    let layer = RetryLayer::default().with_budget(Arc::new(TpsBudget::new(Duration::from_secs(10), 1, 0.0)));
    let script = Script::always(503);
    let watch = script.watch();
    let backoff = Exponential::new(Duration::from_millis(1), Duration::from_millis(1)).unwrap();
    let policy = StandardPolicy::new().with_backoff(backoff).with_max_retries(100);
    RetryLayer::new(policy).with_budget(layer.budgets().clone()).layer(script).oneshot(get()).await.unwrap();
    assert_eq!(watch.calls(), 11);
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_out_of_towers_budget_and_not_spent_is_there_for_the_next() {
    let purse = Purse::of(1);
    let layer = RetryLayer::default().with_budget(purse.clone());
    let broken = Script::new([status(503)]).with_ready([Ready::Yes, Ready::Error]);
    layer.layer(broken).oneshot(get()).await.unwrap_err();
    assert_eq!(purse.left.load(SeqCst), 0);
    let script = Script::new([status(503), status(200)]);
    assert_eq!(layer.layer(script).oneshot(get()).await.unwrap().status(), 200);
    let script = Script::new([status(503)]);
    assert_eq!(layer.layer(script).oneshot(get()).await.unwrap().status(), 503);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_after_a_timeout_takes_two_out_of_towers_budget_or_none() {
    let purse = Purse::of(3);
    let layer = RetryLayer::default().with_budget(purse.clone());
    let timeout = || error(Elapsed::new(Limit::Attempt, 1));
    let script = Script::new([timeout(), timeout()]);
    let watch = script.watch();
    layer.layer(script).oneshot(get()).await.unwrap_err();
    // the one that was not enough is still there
    assert_eq!((watch.calls(), purse.left.load(SeqCst)), (2, 0));
    assert_eq!(layer.layer(Script::new([status(503), status(200)])).oneshot(get()).await.unwrap().status(), 200);
}

#[test]
fn the_registry_does_not_say_what_it_does_not_know() {
    let layer = RetryLayer::default().with_budget(Purse::of(3)).with_name("a purse");
    let state = registry().snapshot().into_iter().find(|entry| entry.name == "a purse").map(|entry| entry.state);
    assert_eq!(state, Some(Vec::new()));
    drop(layer);
}

fn steady() -> StandardPolicy {
    let second = Duration::from_secs(1);
    StandardPolicy::new().with_backoff(Exponential::new(second, second).unwrap().with_jitter(Jitter::None))
}

fn only(retries: u32) -> Budget {
    Budget::new(Allowance::new().with_start(retries).without_trickle())
}

#[tokio::test(start_paused = true)]
async fn towers_engine_repeats_what_ours_would_and_as_late() {
    type Case = (fn() -> Vec<Step>, &'static str, &'static [(&'static str, &'static str)]);
    let cases: Vec<Case> = vec![
        (|| vec![status(503), status(502), status(200)], "GET", &[]),
        (|| vec![status(503), status(503), status(503)], "GET", &[]),
        (|| vec![status(503)], "POST", &[]),
        (|| vec![status(503), status(200)], "POST", &[("idempotency-key", "k")]),
        (|| vec![status(500)], "GET", &[]),
        (|| vec![status(425), status(425)], "GET", &[]),
        (|| vec![with_header(503, "retry-after", 7), status(200)], "GET", &[]),
        (|| vec![with_header(503, "retry-after", 61)], "GET", &[]),
        (|| vec![io(std::io::ErrorKind::ConnectionRefused), io(std::io::ErrorKind::ConnectionRefused)], "POST", &[]),
        (|| vec![io(std::io::ErrorKind::ConnectionReset)], "POST", &[]),
    ];
    for (steps, method, headers) in cases {
        let mut seen = Vec::new();
        for tower in [true, false] {
            let (script, start) = (Script::new(steps()), Instant::now());
            let watch = script.watch();
            let result = if tower {
                // tower's engine sends the request as it came, so nothing can be asked of the client below
                let policy = TowerPolicy::with(steady(), Http::new().without_redirects(), HttpReplay);
                TowerRetryLayer::new(policy).layer(script).oneshot(request(method, headers)).await
            } else {
                RetryLayer::new(steady()).layer(script).oneshot(request(method, headers)).await
            };
            let said = result.map(|r| (r.status(), Attempts::of(r.extensions()))).map_err(|e| e.to_string());
            seen.push((said, watch.times(start), watch.seen(|seen| seen.marked.map(Attempt::number))));
        }
        assert_eq!(seen[0], seen[1], "{method} {headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_service_of_tower_keeps_the_calls_apart() {
    let script = Script::always(503);
    let watch = script.watch();
    let policy = TowerPolicy::new(steady()).with_budget(only(100));
    let mut service = TowerRetryLayer::new(policy).layer(script);
    for call in 1..=4 {
        service.ready().await.unwrap().call(get()).await.unwrap();
        assert_eq!(watch.calls(), 3 * call);
    }
}

#[tokio::test(start_paused = true)]
async fn successes_pay_and_repeats_are_charged_below_tower_too() {
    let budget = Budget::new(Allowance::new().with_start(1).with_ratio(Ratio::ALL).without_trickle());
    let layer = TowerRetryLayer::new(TowerPolicy::new(steady()).with_budget(budget.clone()));
    let response = layer.layer(Script::always(503)).oneshot(get()).await.unwrap();
    let attempts = Attempts::of(response.extensions()).unwrap();
    assert_eq!((attempts.made(), attempts.stop(), budget.left()), (2, Stop::Budget, 0));
    layer.layer(Script::always(200)).oneshot(get()).await.unwrap();
    assert_eq!(budget.left(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drop_in_towers_wait_gives_the_permit_back() {
    let budget = only(5);
    let layer = TowerRetryLayer::new(TowerPolicy::new(steady()).with_budget(budget.clone()));
    let mut service = layer.layer(Script::always(503));
    let mut call = Box::pin(service.ready().await.unwrap().call(get()));
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut call).await.is_err());
    assert_eq!(budget.left(), 4);
    drop(call);
    assert_eq!(budget.left(), 5);
}

#[tokio::test(start_paused = true)]
async fn below_a_layer_of_ours_towers_makes_one_attempt() {
    let script = Script::always(503);
    let watch = script.watch();
    let inner = TowerRetryLayer::new(TowerPolicy::new(steady()));
    let client = ServiceBuilder::new().layer(RetryLayer::default()).layer(inner).service(script);
    client.oneshot(get()).await.unwrap();
    assert_eq!(watch.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_and_the_word_of_the_request_hold_in_towers_engine() {
    let layer = TowerRetryLayer::new(TowerPolicy::new(steady()));
    let start = Instant::now();
    let timed = ServiceBuilder::new().layer(TimeoutLayer::total(Duration::from_millis(1500))).layer(layer.clone());
    let response = timed.service(Script::always(503)).oneshot(get()).await.unwrap();
    assert_eq!(Attempts::of(response.extensions()).unwrap().stop(), Stop::Deadline);
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    let script = Script::always(503);
    let watch = script.watch();
    layer.layer(script).oneshot(NoRetry::on(get())).await.unwrap();
    assert_eq!(watch.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn towers_engine_takes_any_clone_request() {
    let calls = Arc::new(AtomicU32::new(0));
    let n = calls.clone();
    let inner = service_fn(move |line: &'static str| {
        let call = n.fetch_add(1, SeqCst);
        async move { if call < 2 { Err("not yet") } else { Ok(line) } }
    });
    let policy = TowerPolicy::by_result(steady().with_faults()).with_seed(1);
    assert_eq!(TowerRetryLayer::new(policy).layer(inner).oneshot("get").await, Ok("get"));
    assert_eq!(calls.load(SeqCst), 3);
}

/// What somebody has already: repeats what is no success, a second later each time, so many times.
#[derive(Clone)]
struct TheirPolicy(u32);

impl<E> tower::retry::Policy<http::Request<Body>, http::Response<Body>, E> for TheirPolicy {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        request: &mut http::Request<Body>,
        result: &mut Result<http::Response<Body>, E>,
    ) -> Option<tokio::time::Sleep> {
        if result.as_ref().is_ok_and(|response| response.status().is_success()) {
            return None;
        }
        self.0 = self.0.checked_sub(1)?;
        request.headers_mut().insert("x-again", "1".parse().unwrap());
        Some(tokio::time::sleep(Duration::from_secs(1)))
    }

    fn clone_request(&mut self, request: &http::Request<Body>) -> Option<http::Request<Body>> {
        Some(request.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_tower_decides_in_a_layer_of_ours() {
    let script = Script::new([status(503), io(std::io::ErrorKind::ConnectionReset), status(200)]);
    let (watch, start) = (script.watch(), Instant::now());
    let response = PolicyLayer::new(TheirPolicy(5)).layer(script).oneshot(get()).await.unwrap();
    assert_eq!((response.status(), watch.calls()), (http::StatusCode::OK, 3));
    assert_eq!(watch.times(start), [0, 1, 2].map(Duration::from_secs));
    assert_eq!(watch.seen(|seen| seen.attempt.map(Attempt::number)), [Some(1), Some(2), Some(3)]);
    assert_eq!(watch.seen(|seen| seen.headers.contains_key("x-again")), [false, true, true]);
    // no answer is held while the next attempt is waited for
    assert_eq!(watch.seen(|seen| seen.answers_alive), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_their_policy_lets_stand_comes_out_and_a_service_keeps_calls_apart() {
    let script = Script::always(503);
    let watch = script.watch();
    let mut service = PolicyLayer::new(TheirPolicy(2)).layer(script);
    for call in 1..=3 {
        let response = service.ready().await.unwrap().call(get()).await.unwrap();
        assert_eq!((response.status().as_u16(), watch.calls()), (503, 3 * call));
    }
}

#[tokio::test(start_paused = true)]
async fn repeats_of_their_policy_are_charged_to_our_budget() {
    let budget = Budget::new(Allowance::new().with_start(1).with_ratio(Ratio::ALL).without_trickle());
    let layer = PolicyLayer::new(TheirPolicy(9)).with_budget(budget.clone());
    let script = Script::always(503);
    let watch = script.watch();
    let response = layer.layer(script).oneshot(get()).await.unwrap();
    assert_eq!((response.status().as_u16(), watch.calls(), budget.left()), (503, 2, 0));
    layer.layer(Script::always(200)).oneshot(get()).await.unwrap();
    assert_eq!(budget.left(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drop_in_the_wait_of_their_policy_gives_the_permit_back() {
    let budget = only(5);
    let script = Script::always(503);
    let watch = script.watch();
    let call = PolicyLayer::new(TheirPolicy(9)).with_budget(budget.clone()).layer(script).oneshot(get());
    assert!(tokio::time::timeout(Duration::from_millis(500), call).await.is_err());
    assert_eq!((watch.calls(), budget.left()), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn their_policy_makes_one_attempt_below_a_retry_layer() {
    let script = Script::always(503);
    let watch = script.watch();
    let stack = ServiceBuilder::new().layer(RetryLayer::new(steady())).layer(PolicyLayer::new(TheirPolicy(9)));
    stack.service(script).oneshot(get()).await.unwrap();
    assert_eq!(watch.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_over_their_policy_and_says_how_many_attempts() {
    let script = Script::always(503);
    let stack = ServiceBuilder::new()
        .layer(TimeoutLayer::total(Duration::from_millis(2500)))
        .layer(PolicyLayer::new(TheirPolicy(9)));
    let error = stack.service(script).oneshot(get()).await.unwrap_err();
    let elapsed = steadfast::error::find::<Elapsed>(&*error).unwrap();
    assert_eq!((elapsed.limit(), elapsed.attempts()), (Limit::Total, 3));
}
