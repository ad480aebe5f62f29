//! A service that is not HTTP, whose owner names the outcome of its errors in one line.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, State},
    classify::{Failure, Outcome},
    error::{BoxError, Refused},
    retry::{RetryLayer, StandardPolicy},
    timeout::{Elapsed, Limit},
};
use tower::{Layer, ServiceExt, service_fn};

#[derive(Debug, Clone, Copy, thiserror::Error)]
enum DbError {
    #[error("duplicate key")]
    UniqueViolation,
    #[error("deadlock")]
    Deadlock,
}

/// An error of a library behind one of the user's, which hides it.
#[derive(Debug, thiserror::Error)]
enum Hidden {
    #[error(transparent)]
    Db(#[from] DbError),
}

#[derive(Debug, thiserror::Error)]
#[error("storing the order")]
struct Sourced(#[source] DbError);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that `by_error` asks for")]
const fn judge(error: &DbError) -> Outcome {
    match error {
        DbError::UniqueViolation => Outcome::Rejected,
        DbError::Deadlock => Outcome::Failure(Failure::Transient),
    }
}

/// Calls of the service, and failures of its circuit, where every call fails in this way.
macro_rules! calls {
    ($judge:expr, $error:expr) => {{
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let database = service_fn(move |_: &'static str| {
            counted.fetch_add(1, SeqCst);
            std::future::ready(Err::<(), _>($error))
        });
        let circuit = Circuit::new("db");
        let breaker = CircuitBreakerLayer::by_error(circuit.clone(), $judge).layer(database);
        let client = RetryLayer::by_error(StandardPolicy::new(), $judge).layer(breaker);
        assert!(client.oneshot("INSERT").await.is_err());
        assert_eq!(circuit.state(), State::Closed);
        (calls.load(SeqCst), circuit.snapshot().view.failed)
    }};
}

#[tokio::test(start_paused = true)]
async fn a_unique_violation_makes_one_call_and_leaves_the_circuit_closed() {
    assert_eq!(calls!(judge, DbError::UniqueViolation), (1, 0));
    assert_eq!(calls!(judge, DbError::Deadlock), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn an_error_in_a_chain_is_found_by_its_type() {
    for (error, expected) in [(DbError::UniqueViolation, (1, 0)), (DbError::Deadlock, (3, 3))] {
        assert_eq!(calls!(judge, BoxError::from(Sourced(error))), expected);
        let context = || anyhow::Error::new(error).context("storing the order");
        assert_eq!(calls!(judge, BoxError::from(context())), expected);
        assert_eq!(calls!(judge, std::io::Error::other(error)), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_hides_its_cause_is_judged_by_its_own_type() {
    let by_own = |error: &Hidden| {
        let Hidden::Db(error) = error;
        judge(error)
    };
    for (error, expected) in [(DbError::UniqueViolation, (1, 0)), (DbError::Deadlock, (3, 3))] {
        assert_eq!(calls!(by_own, Hidden::from(error)), expected);
        let context = || anyhow::Error::new(Hidden::from(error)).context("storing the order");
        assert_eq!(calls!(by_own, BoxError::from(context())), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_another_type_is_judged_as_ever() {
    assert_eq!(calls!(judge, BoxError::from(Elapsed::new(Limit::Attempt, 0))), (3, 3));
    assert_eq!(calls!(judge, BoxError::from(Refused::new("pool", "full"))), (1, 0));
    assert_eq!(calls!(judge, BoxError::from("who knows")), (1, 1));
}
