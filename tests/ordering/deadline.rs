//! The total deadline, outside of everything or not.

use crate::other_side::{OtherSide, SECOND, Step, get, retry};
use steadfast::{
    error::find,
    retry::{Attempts, Stop},
    timeout::{Elapsed, Limit, TimeoutLayer},
};
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt};

const TOTAL: TimeoutLayer = TimeoutLayer::total(SECOND.saturating_mul(30));

#[tokio::test(start_paused = true)]
async fn outside_of_retry_a_call_ends_at_the_deadline() {
    let other = OtherSide::always(Step::Hangs);
    let attempt = TimeoutLayer::attempt(12 * SECOND);
    let client = ServiceBuilder::new().layer(TOTAL).layer(retry()).layer(attempt).service(other.clone());
    let start = Instant::now();
    let error = client.oneshot(get()).await.unwrap_err();
    let elapsed = find::<Elapsed>(&*error).unwrap();
    // the third attempt had what was left: less than its own twelve seconds
    assert_eq!((elapsed.limit(), elapsed.attempts(), other.calls()), (Limit::Total, 3, 3));
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn inside_of_retry_each_attempt_has_a_deadline_of_its_own() {
    let other = OtherSide::always(Step::Hangs);
    let client = ServiceBuilder::new().layer(retry()).layer(TOTAL).service(other.clone());
    let start = Instant::now();
    client.oneshot(get()).await.unwrap_err();
    assert_eq!((other.calls(), start.elapsed().as_secs()), (3, 90));
}

#[tokio::test(start_paused = true)]
async fn outside_of_retry_a_hint_beyond_the_deadline_is_not_waited_for() {
    let other = OtherSide::always(Step::Later(40));
    let client = ServiceBuilder::new().layer(TOTAL).layer(retry()).service(other.clone());
    let start = Instant::now();
    let answer = client.oneshot(get()).await.unwrap();
    assert_eq!((answer.status().as_u16(), other.calls(), start.elapsed().as_secs()), (503, 1, 0));
    assert_eq!(Attempts::of(answer.extensions()).unwrap().stop(), Stop::Deadline);
}

#[tokio::test(start_paused = true)]
async fn inside_of_retry_the_wait_for_a_hint_knows_no_deadline() {
    let other = OtherSide::always(Step::Later(40));
    let client = ServiceBuilder::new().layer(retry()).layer(TOTAL).service(other.clone());
    let start = Instant::now();
    assert_eq!(client.oneshot(get()).await.unwrap().status(), 503);
    assert_eq!(other.calls(), 3);
    assert!(start.elapsed() >= 80 * SECOND);
}
