//! What people add to the stack: a limit of calls at once.

use crate::other_side::{Body, OtherSide, SECOND, Step, get, retry};
use http::Request;
use std::{fmt::Debug, time::Duration};
use tokio::time::Instant;
use tower::{Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer};

/// How long a call waits for its place while another one waits for ten seconds to try again.
async fn wait_for_a_place<S>(mut client: S) -> Duration
where
    S: Service<Request<Body>, Response: Send + 'static, Error: Debug + Send + 'static, Future: Send + 'static> + Clone,
{
    let first = tokio::spawn(client.ready().await.unwrap().call(get()));
    tokio::time::sleep(SECOND).await;
    let start = Instant::now();
    assert!(client.oneshot(get()).await.is_ok());
    let waited = start.elapsed();
    assert!(first.await.unwrap().is_ok());
    waited
}

fn later_once() -> OtherSide {
    OtherSide::new(|call| if call == 1 { Step::Later(10) } else { Step::Answers(200) })
}

#[tokio::test(start_paused = true)]
async fn inside_of_retry_a_place_is_free_while_a_call_waits() {
    let client = ServiceBuilder::new().layer(retry()).layer(ConcurrencyLimitLayer::new(1)).service(later_once());
    assert_eq!(wait_for_a_place(client).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn outside_of_retry_a_place_is_taken_while_a_call_waits() {
    let client = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1)).layer(retry()).service(later_once());
    assert!(wait_for_a_place(client).await >= 9 * SECOND);
}
