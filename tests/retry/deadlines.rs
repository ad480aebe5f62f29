//! The deadline of the whole call.

use crate::script::{Ready, Script, Step, get, status, with_header};
use std::time::Duration;
use steadfast::{
    backoff::{Exponential, Jitter},
    error::find,
    retry::{Attempts, RetryLayer, StandardPolicy, Stop},
    timeout::{Elapsed, Limit, TimeoutLayer},
};
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt};

fn steady(delay: Duration) -> RetryLayer {
    let backoff = Exponential::new(delay, delay).unwrap().with_jitter(Jitter::None);
    RetryLayer::new(StandardPolicy::new().with_backoff(backoff).with_max_retries(9))
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_does_not_fit_gives_the_answer_back_at_once() {
    let script = Script::always(503);
    let watch = script.watch();
    let client = ServiceBuilder::new().layer(TimeoutLayer::total(ms(5000))).layer(steady(ms(1500))).service(script);
    let start = Instant::now();
    let response = client.oneshot(get()).await.unwrap();
    // attempts at 0, 1.5, 3, 4.5 s; the next one would come at 6 s
    assert_eq!((response.status().as_u16(), start.elapsed()), (503, ms(4500)));
    assert_eq!(watch.calls(), 4);
    let attempts = Attempts::of(response.extensions()).unwrap();
    assert_eq!((attempts.made(), attempts.stop()), (4, Stop::Deadline));
}

#[tokio::test(start_paused = true)]
async fn a_hint_that_the_deadline_does_not_leave_room_for_gives_the_answer_back_at_once() {
    let script = Script::new([with_header(503, "retry-after", 30)]);
    let client =
        ServiceBuilder::new().layer(TimeoutLayer::total(ms(5000))).layer(RetryLayer::default()).service(script);
    let start = Instant::now();
    let response = client.oneshot(get()).await.unwrap();
    assert_eq!((response.status().as_u16(), start.elapsed()), (503, Duration::ZERO));
    assert_eq!(Attempts::of(response.extensions()).unwrap().stop(), Stop::Deadline);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_leaves_less_than_an_attempt_needs_is_not_begun() {
    for (total, calls) in [(1009, 1), (1010, 2)] {
        let script = Script::always(503);
        let watch = script.watch();
        let client =
            ServiceBuilder::new().layer(TimeoutLayer::total(ms(total))).layer(steady(ms(1000))).service(script);
        let response = client.oneshot(get()).await.unwrap();
        assert_eq!((response.status().as_u16(), watch.calls()), (503, calls), "{total} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_cut_to_what_the_deadline_leaves_and_says_how_many_there_were() {
    let script = Script::new([Step::Hang, Step::Hang, Step::Hang]);
    let client = ServiceBuilder::new()
        .layer(TimeoutLayer::total(ms(2500)))
        .layer(steady(ms(100)))
        .layer(TimeoutLayer::attempt(ms(1000)))
        .service(script);
    let start = Instant::now();
    let error = client.oneshot(get()).await.unwrap_err();
    let elapsed = find::<Elapsed>(&*error).unwrap();
    // 1 s, 0.1 s, 1 s, 0.1 s, and 0.3 s that are left
    assert_eq!((start.elapsed(), elapsed.limit(), elapsed.attempts()), (ms(2500), Limit::Total, 3));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_says_how_many_attempts_had_begun_when_it_struck() {
    for begun in 1..=3_u32 {
        let steps = (1..begun).map(|_| status(503)).chain([Step::Hang]);
        let layer = TimeoutLayer::total(ms(5000));
        let client = ServiceBuilder::new().layer(layer).layer(steady(ms(100))).service(Script::new(steps));
        let error = client.oneshot(get()).await.unwrap_err();
        assert_eq!(find::<Elapsed>(&*error).unwrap().attempts(), begun);
    }
}

#[tokio::test(start_paused = true)]
async fn a_readiness_that_never_comes_is_bounded_by_the_deadline() {
    let script = Script::new([status(503)]).with_ready([Ready::Yes, Ready::Never]);
    let watch = script.watch();
    let client = ServiceBuilder::new().layer(TimeoutLayer::total(ms(5000))).layer(steady(ms(100))).service(script);
    let start = Instant::now();
    let error = client.oneshot(get()).await.unwrap_err();
    assert!(find::<Elapsed>(&*error).is_some());
    assert_eq!((start.elapsed(), watch.calls()), (ms(5000), 1));
}

#[tokio::test(start_paused = true)]
async fn every_attempt_sees_the_same_deadline() {
    let script = Script::new([status(503), status(503), status(200)]);
    let watch = script.watch();
    let client = ServiceBuilder::new().layer(TimeoutLayer::total(ms(5000))).layer(steady(ms(100))).service(script);
    let deadline = Instant::now() + ms(5000);
    client.oneshot(get()).await.unwrap();
    let seen = watch.seen(|seen| seen.attempt.map(|attempt| (attempt.number(), attempt.deadline())));
    assert_eq!(seen, [1, 2, 3].map(|number| Some((number, Some(deadline)))));
    // the first one carries no mark: the repeats do
    let marked = watch.seen(|seen| seen.marked.map(|attempt| (attempt.number(), attempt.deadline())));
    assert_eq!(marked, [None, Some((2, Some(deadline))), Some((3, Some(deadline)))]);
}
