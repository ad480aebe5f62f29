//! An error of ours in the error types of users: found through every wrapper, with the same outcome and a text that reads well.

use crate::clients::{Body, Layers, attempts, request, retry};
use http::{Request, Response};
use std::{
    error::Error,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer},
    classify::{Failure, MaybeExecuted, Outcome, Verdict, of_error},
    error::{BoxError, Refused, find},
    queue::{Filter, Message, NewMessage, Queue, Reason, Report, Undecodable, Worker},
    retry::{RetryLayer, StandardPolicy},
    store::memory::MemoryStore,
    timeout::{Elapsed, Limit},
};
use tower::{Layer, Service, ServiceExt, buffer::Buffer, service_fn};

#[derive(Debug, thiserror::Error)]
enum Transparent {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Elapsed(#[from] Elapsed),
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
    #[error(transparent)]
    Executed(#[from] MaybeExecuted),
    #[error(transparent)]
    Any(BoxError),
}

#[derive(Debug, thiserror::Error)]
#[error("calling the bank")]
struct Sourced(#[source] BoxError);

#[derive(Debug, thiserror::Error)]
#[error("calling the bank")]
struct FromRefused(#[from] Refused);

type Wrap = fn(BoxError) -> BoxError;

/// Boxes that forward to the error, and that hide it but for its source.
fn transparent(error: BoxError) -> BoxError {
    let error = match error.downcast::<Refused>() {
        Ok(error) => return Transparent::from(*error).into(),
        Err(error) => error,
    };
    let error = match error.downcast::<Elapsed>() {
        Ok(error) => return Transparent::from(*error).into(),
        Err(error) => error,
    };
    let error = match error.downcast::<Undecodable>() {
        Ok(error) => return Transparent::from(*error).into(),
        Err(error) => error,
    };
    match error.downcast::<MaybeExecuted>() {
        Ok(error) => Transparent::from(*error).into(),
        Err(error) => Transparent::Any(error).into(),
    }
}

const WRAPS: [(&str, Wrap); 11] = [
    ("none", |error| error),
    ("thiserror, transparent over its type", transparent),
    ("thiserror, transparent over a box", |error| Transparent::Any(error).into()),
    ("thiserror, #[source]", |error| Sourced(error).into()),
    ("anyhow", |error| anyhow::Error::from_boxed(error).into()),
    ("anyhow with context", |error| anyhow::Error::from_boxed(error).context("calling the bank").into()),
    ("anyhow in anyhow", |error| {
        anyhow::Error::from_boxed(anyhow::Error::from_boxed(error).into()).context("handling an order").into()
    }),
    ("transparent in anyhow in a source", |error| Sourced(anyhow::Error::from_boxed(transparent(error)).into()).into()),
    ("io::Error", |error| io::Error::other(error).into()),
    ("Arc", |error| Sourced(Arc::<dyn Error + Send + Sync>::from(error).into()).into()),
    ("tonic", |error| tonic::Status::from_error(error).into()),
];

fn refused() -> BoxError {
    Refused::new("payments", "circuit open").with_retry_after(Duration::from_millis(1)).into()
}

/// After a 503, a refusal: made by a retry layer.
async fn executed() -> BoxError {
    let calls = Arc::new(AtomicUsize::new(0));
    let service = service_fn(move |_: Request<Body>| {
        let unavailable = Response::builder().status(503).body(Body::default()).unwrap();
        let result = if calls.fetch_add(1, SeqCst) == 0 {
            Ok(unavailable)
        } else {
            Err(BoxError::from(Refused::new("payments", "circuit open")))
        };
        std::future::ready(result)
    });
    let client = retry(Layers::Bare).layer(service);
    client.oneshot(request("http://bank.example/pay", Some("k"))).await.unwrap_err()
}

#[tokio::test]
async fn an_error_of_ours_has_one_outcome_in_every_wrapper() {
    let errors: [(fn() -> BoxError, Verdict); 3] = [
        (refused, of_error(&refused())),
        (|| Elapsed::new(Limit::Attempt, 1).into(), Failure::Timeout.into()),
        (|| Undecodable::new("no JSON").into(), Outcome::Rejected.into()),
    ];
    assert_eq!(errors[0].1.outcome(), Outcome::Refused);
    for (wrapper, wrap) in WRAPS {
        for (make, expected) in errors {
            let report = Report::of_error(&wrap(make()));
            assert_eq!(report.verdict(), expected, "{wrapper}: {}", wrap(make()));
        }
        let executed = wrap(executed().await);
        assert!(find::<MaybeExecuted>(&*executed).is_some(), "{wrapper}: {executed:?}");
        assert_eq!(of_error(&executed).outcome(), Outcome::Failure(Failure::Transient), "{wrapper}");
    }
    let own: BoxError = FromRefused(Refused::new("payments", "circuit open")).into();
    assert_eq!(of_error(&own).outcome(), Outcome::Refused);
}

/// An open circuit below a handler, and a retry layer and a breaker of its own around it.
#[tokio::test]
async fn a_refusal_in_every_wrapper_is_waited_for_and_opens_no_circuit() {
    for (wrapper, wrap) in WRAPS {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let handler = service_fn(move |()| {
            let first = counted.fetch_add(1, SeqCst) < 2;
            std::future::ready(if first { Err(wrap(refused())) } else { Ok(()) })
        });
        let circuit = Circuit::new("handler");
        let breaker = CircuitBreakerLayer::by_result(circuit.clone());
        let client = RetryLayer::by_result(StandardPolicy::new()).layer(breaker.layer(handler));
        assert!(client.oneshot(()).await.is_ok(), "{wrapper}");
        assert_eq!((calls.load(SeqCst), circuit.snapshot().view.failed), (3, 0), "{wrapper}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_finds_an_undecodable_message_in_every_wrapper() {
    for (wrapper, wrap) in WRAPS {
        let queue = Queue::new("orders", MemoryStore::new());
        queue.enqueue(NewMessage::new("x")).await.unwrap();
        let service = service_fn(move |_: Message| {
            std::future::ready(Err::<Report, _>(wrap(Undecodable::new("no JSON").into())))
        });
        let worker = Worker::new(queue.clone(), service);
        let _ = tokio::time::timeout(Duration::from_secs(5), worker.run(std::future::pending())).await;
        let letters = queue.dead_letters().list(Filter::all()).await.unwrap().letters;
        assert_eq!(letters.iter().map(|letter| letter.reason).collect::<Vec<_>>(), [Reason::Undecodable], "{wrapper}");
    }
}

/// A buffer hands the error of its service to every caller, behind an `Arc`.
#[tokio::test]
async fn a_refusal_of_readiness_is_found_behind_a_buffer() {
    #[derive(Clone)]
    struct NotReady;
    impl Service<()> for NotReady {
        type Response = ();
        type Error = BoxError;
        type Future = std::future::Ready<Result<(), BoxError>>;
        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), BoxError>> {
            std::task::Poll::Ready(Err(refused()))
        }
        fn call(&mut self, (): ()) -> Self::Future {
            std::future::ready(Ok(()))
        }
    }
    let error = Buffer::new(NotReady, 1).oneshot(()).await.unwrap_err();
    assert_eq!(of_error(&error).outcome(), Outcome::Refused, "{error:?}");
    let wrapped: BoxError = anyhow::Error::from_boxed(error).into();
    assert_eq!(of_error(&wrapped).outcome(), Outcome::Refused);
}

#[tokio::test]
async fn tonic_finds_its_status_in_errors_of_ours() {
    use tonic::{Code, Status};
    for (wrapper, wrap) in WRAPS.into_iter().filter(|(wrapper, _)| *wrapper != "tonic") {
        assert_eq!(Status::from_error(wrap(refused())).code(), Code::Unavailable, "{wrapper}");
        let elapsed = Elapsed::new(Limit::Total, 2).into();
        assert_eq!(Status::from_error(wrap(elapsed)).code(), Code::DeadlineExceeded, "{wrapper}");
        assert_eq!(Status::from_error(wrap(executed().await)).code(), Code::Unavailable, "{wrapper}");
    }
}

/// The text of a chain as anyhow prints it. The last part is the status that a gRPC client would receive.
#[tokio::test]
async fn the_text_of_a_chain_reads_well() {
    let text = |error: BoxError| format!("{:#}", anyhow::Error::from_boxed(error).context("calling the bank"));
    let until_status = |error| text(error).split(": code: '").next().unwrap().to_owned();
    assert_eq!(until_status(refused()), "calling the bank: refused by payments: circuit open: no request was sent");
    assert_eq!(
        until_status(Elapsed::new(Limit::Attempt, 2).into()),
        "calling the bank: attempt 2 timed out: the outcome is unknown"
    );
    assert_eq!(
        text(Undecodable::new("no JSON").into()),
        "calling the bank: the message cannot be decoded: no attempt can succeed: no JSON"
    );
    assert_eq!(
        until_status(executed().await),
        "calling the bank: the request may have been executed: attempt 1 ended as transient with status 503; then \
         refused by payments: circuit open: a repeat may execute it twice"
    );
    assert_eq!(attempts(&retry(Layers::Bare)), 1);
}
