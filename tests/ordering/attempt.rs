//! The attempt timeout, inside of retry or not.

use crate::other_side::{OtherSide, SECOND, Step, get, retry};
use steadfast::{
    error::find,
    retry::Attempts,
    timeout::{Elapsed, TimeoutLayer},
};
use tower::{ServiceBuilder, ServiceExt};

const ATTEMPT: TimeoutLayer = TimeoutLayer::attempt(SECOND.saturating_mul(10));

fn hangs_once() -> OtherSide {
    OtherSide::new(|call| if call == 1 { Step::Hangs } else { Step::Answers(200) })
}

#[tokio::test(start_paused = true)]
async fn inside_of_retry_it_ends_one_attempt_and_the_next_one_answers() {
    let client = ServiceBuilder::new().layer(retry()).layer(ATTEMPT).service(hangs_once());
    let answer = client.oneshot(get()).await.unwrap();
    assert_eq!(Attempts::of(answer.extensions()).unwrap().made(), 2);
}

#[tokio::test(start_paused = true)]
async fn outside_of_retry_it_cuts_the_retries_off() {
    let other = hangs_once();
    let client = ServiceBuilder::new().layer(ATTEMPT).layer(retry()).service(other.clone());
    let error = client.oneshot(get()).await.unwrap_err();
    assert!(find::<Elapsed>(&*error).is_some());
    assert_eq!(other.calls(), 1);
}
