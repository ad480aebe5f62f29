//! B3: calls that begin beside each other, or after each other in one poll, are no nested calls.

use crate::server::{Asked, Does, Reply, Server, get, keyed};
use axum::{Router, body::Body, routing::post};
use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use http::{Request, StatusCode};
use http_body_util::Full;
use std::{
    convert::Infallible,
    future::ready,
    sync::{Arc, Mutex},
    time::Duration,
};
use steadfast::{
    attempt::Attempt,
    error::BoxError,
    queue::{Message, NewMessage, Queue, Worker},
    retry::{Allowance, Budget, MarkerLayer, RetryLayer, hedge::HedgeLayer},
    setting::Ratio,
    stack::ClientStack,
    store::memory::MemoryStore,
    timeout::TimeoutLayer,
};
use tokio::time::sleep;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};

const MINUTE: Duration = Duration::from_secs(60);

type Client = BoxCloneSyncService<Asked, Reply, BoxError>;

/// How a handler makes two calls.
#[derive(Debug, Clone, Copy)]
enum Form {
    Join,
    Unordered,
    /// The first is answered in the poll in which it began.
    ReadyAtOnce,
    /// The second has a retry layer alone, the first a whole stack.
    StackBesideRetry,
}

const FORMS: [Form; 4] = [Form::Join, Form::Unordered, Form::ReadyAtOnce, Form::StackBesideRetry];

/// Fails two calls to each host and answers the third with a success; calls to `ready.test` succeed at once.
fn server() -> Server {
    Server::new(|host, call| if host != "ready.test" && call < 2 { Does::Status(503) } else { Does::Status(200) })
}

fn retry(server: &Server, budget: &Budget) -> Client {
    BoxCloneSyncService::new(RetryLayer::default().with_budget(budget.clone()).layer(server.clone()))
}

fn stack(server: &Server, budget: &Budget) -> Client {
    let stack = ClientStack::new("beside").with_retry(RetryLayer::default().with_budget(budget.clone()));
    BoxCloneSyncService::new(stack.layer(server.clone()).map_response(|reply| reply.map(|_| Full::default())))
}

/// A hedge that hedges nothing in the time of a test, and a marker.
fn mixed(server: &Server, budget: &Budget) -> Client {
    let layers = (MarkerLayer::new(), HedgeLayer::new(MINUTE), RetryLayer::default().with_budget(budget.clone()));
    let inside = (HedgeLayer::new(MINUTE), MarkerLayer::new());
    BoxCloneSyncService::new(ServiceBuilder::new().layer(layers).layer(inside).service(server.clone()))
}

/// Starts with 8 retries, and each success pays one in.
fn budget() -> Budget {
    Budget::new(Allowance::new().with_start(8).with_most(50).with_ratio(Ratio::ALL).without_trickle())
}

/// The calls of a handler, and the number of attempts that each of them had.
#[derive(Clone)]
struct Calls {
    form: Form,
    server: Server,
    budget: Budget,
    mixed: bool,
}

impl Calls {
    fn new(form: Form, mixed: bool) -> Self {
        Self { form, server: server(), budget: budget(), mixed }
    }

    async fn run(self) -> Result<(), BoxError> {
        let retry = if self.mixed { mixed(&self.server, &self.budget) } else { retry(&self.server, &self.budget) };
        let two = || [get("a.test"), keyed("b.test")].map(|asked| retry.clone().oneshot(asked));
        let answers: Vec<Result<Reply, BoxError>> = match self.form {
            Form::Join => join_all(two()).await,
            Form::Unordered => two().into_iter().collect::<FuturesUnordered<_>>().collect().await,
            Form::ReadyAtOnce => {
                let first = retry.clone().oneshot(get("ready.test")).await;
                vec![first, retry.clone().oneshot(get("a.test")).await, retry.clone().oneshot(keyed("b.test")).await]
            }
            Form::StackBesideRetry => {
                let stack = stack(&self.server, &self.budget);
                let (one, other) = tokio::join!(stack.oneshot(get("a.test")), retry.clone().oneshot(keyed("b.test")));
                vec![one, other]
            }
        };
        for answer in answers {
            if !answer?.status().is_success() {
                return Err("a call failed".into());
            }
        }
        Ok(())
    }

    /// Each was called three times, took two out of the budget, and paid its success in.
    fn check(&self, what: &str) {
        let calls = [self.server.calls("a.test"), self.server.calls("b.test")];
        assert_eq!(calls, [3, 3], "{what}: {:?}, mixed: {}", self.form, self.mixed);
        let successes = 2 + self.server.calls("ready.test") as u64;
        assert_eq!(self.budget.left(), 8 - 4 + successes, "{what}: {:?}, mixed: {}", self.form, self.mixed);
    }
}

fn all() -> impl Iterator<Item = Calls> {
    [false, true].into_iter().flat_map(|mixed| FORMS.map(|form| Calls::new(form, mixed)))
}

#[tokio::test(start_paused = true)]
async fn calls_beside_each_other_below_a_deadline_have_all_their_attempts() {
    for calls in all() {
        let own = calls.clone();
        let handler = service_fn(move |(): ()| own.clone().run());
        TimeoutLayer::total(MINUTE).layer(handler).oneshot(()).await.unwrap();
        calls.check("below a deadline");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_beside_each_other_in_a_handler_of_axum_have_all_their_attempts() {
    for calls in all() {
        let own = calls.clone();
        let handler = move || async move { own.run().await.map_or(StatusCode::BAD_GATEWAY, |()| StatusCode::OK) };
        let router = Router::new().route("/", post(handler)).layer(TimeoutLayer::total(MINUTE).respond());
        let answer = router.oneshot(Request::post("/").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        calls.check("in axum");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_beside_each_other_below_a_deadline_a_hedge_and_a_marker_have_all_their_attempts() {
    for calls in all() {
        let own = calls.clone();
        let handler = service_fn(move |_: Asked| {
            let own = own.clone();
            async move { own.run().await.map(|()| Reply::default()) }
        });
        let layers = (MarkerLayer::new(), TimeoutLayer::total(MINUTE), HedgeLayer::new(MINUTE));
        let client = ServiceBuilder::new().layer(layers).map_err(BoxError::from).service(handler);
        client.oneshot(get("handler.test")).await.unwrap();
        calls.check("below a hedge");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_beside_each_other_in_the_handler_of_a_worker_have_all_their_attempts() {
    for calls in all() {
        let queue = Queue::new("beside", MemoryStore::new());
        queue.enqueue(NewMessage::new("work")).await.unwrap();
        let own = calls.clone();
        let handler = service_fn(move |_: Message| own.clone().run());
        Worker::new(queue, handler).with_max_attempts(1).run(sleep(30 * Duration::from_secs(1))).await;
        calls.check("in a worker");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_inside_of_an_attempt_is_nested_whatever_begins_beside_it() {
    for form in FORMS {
        let calls = Calls::new(form, false);
        let own = calls.clone();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let numbers = seen.clone();
        let handler = service_fn(move |_: Asked| {
            numbers.lock().unwrap().push(Attempt::current().map_or(0, Attempt::number));
            let own = own.clone();
            async move { Ok::<_, Infallible>(handled(own.run().await.is_ok())) }
        });
        let client = ServiceBuilder::new().layer(RetryLayer::default().without_budget()).service(handler);
        // the calls fail twice, and the handler is called three times: each call has one attempt each time
        _ = client.oneshot(get("handler.test")).await;
        let made = [calls.server.calls("a.test"), calls.server.calls("b.test")];
        assert_eq!((made, seen.lock().unwrap().clone()), ([3, 3], vec![1, 2, 3]), "{form:?}");
    }
}

fn handled(well: bool) -> Reply {
    let mut reply = Reply::default();
    *reply.status_mut() = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    reply
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_under_way_is_no_nested_call_of_one_that_begins_in_another_poll() {
    let (server, budget) = (server(), budget());
    let client = retry(&server, &budget);
    let handler = service_fn(move |(): ()| {
        let mut client = client.clone();
        async move {
            let first = client.ready().await?.call(get("a.test"));
            // nothing of the first has been polled when the second begins
            let second = client.ready().await?.call(get("b.test"));
            let (first, second) = futures_util::join!(first, second);
            assert_eq!((first?.status(), second?.status()), (StatusCode::OK, StatusCode::OK));
            ready(Ok::<_, BoxError>(())).await
        }
    });
    TimeoutLayer::total(MINUTE).layer(handler).oneshot(()).await.unwrap();
    assert_eq!((server.calls("a.test"), server.calls("b.test"), budget.left()), (3, 3, 8 - 4 + 2));
}
