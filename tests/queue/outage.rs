//! One place retries: the worker. Its defaults outlast a day, and its limit of attempts is a number of requests.

use crate::{
    running,
    support::{Constant, memory, millis, pass, put, secs},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use steadfast::{
    error::{BoxError, Refused},
    queue::{Attempted, Deliver, Filter, Message, NewMessage, Queue, Reason, ToHttp, Worker},
    retry::RetryLayer,
    stack::ClientStack,
};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};

const HOUR: Duration = secs(3600);
type Body = Full<Bytes>;
/// How often each key was taken.
type Taken = Arc<Mutex<HashMap<String, u32>>>;

#[derive(Debug, Clone, Copy)]
enum Outage {
    RefusesConnections,
    Answers503,
}

/// A destination that is away until `until`, and takes every message after it. Answers how often each key was taken, and how
/// many requests reached it.
fn destination(
    outage: Outage,
    until: Instant,
) -> (
    impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send + 'static> + Clone + Send,
    Taken,
) {
    let taken = Taken::default();
    let noted = taken.clone();
    let service = service_fn(move |request: Request<Body>| {
        let noted = noted.clone();
        async move {
            pass(millis(20)).await;
            if Instant::now() < until {
                return match outage {
                    Outage::RefusesConnections => Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
                    Outage::Answers503 => Ok(answer(503)),
                };
            }
            let key = request.headers()["idempotency-key"].to_str().unwrap().to_owned();
            *noted.lock().unwrap().entry(key).or_default() += 1;
            Ok::<_, BoxError>(answer(200))
        }
    });
    (service, taken)
}

fn answer(status: u16) -> Response<Body> {
    Response::builder().status(status).body(Body::default()).unwrap()
}

fn to_crm() -> ToHttp<Body> {
    ToHttp::new("http://crm.example/in".parse().unwrap())
}

async fn one_hundred(queue: &Queue) {
    put(queue, ["m"; 100]).await;
}

/// Nobody is dead, nothing is taken twice, and within the longest wait after the outage all is done.
async fn rides_it_out(queue: Queue, worker: crate::support::Running, taken: Taken, of: &str) {
    pass(24 * HOUR).await;
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.open(), stats.dead, stats.done), (100, 0, 0), "{of}");
    pass(4 * HOUR + secs(60)).await;
    let stats = queue.stats().await.unwrap();
    worker.stop().await;
    assert_eq!((stats.open(), stats.dead), (0, 0), "{of}: within one longest wait");
    let taken = taken.lock().unwrap();
    assert!(taken.len() == 100 && taken.values().all(|times| *times == 1), "{of}: {taken:?}");
}

#[tokio::test(start_paused = true)]
async fn the_defaults_ride_out_an_outage_of_a_day_in_which_connections_are_refused() {
    for seed in 1..=5 {
        let queue = memory();
        one_hundred(&queue).await;
        let (crm, taken) = destination(Outage::RefusesConnections, Instant::now() + 24 * HOUR);
        let worker = running!(Worker::new(queue.clone(), Deliver::new(crm, to_crm())).with_seed(seed));
        rides_it_out(queue, worker, taken, &format!("seed {seed}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_defaults_ride_out_an_outage_of_a_day_in_which_the_answer_is_503() {
    for seed in 1..=5 {
        let queue = memory();
        one_hundred(&queue).await;
        let (crm, taken) = destination(Outage::Answers503, Instant::now() + 24 * HOUR);
        let worker = running!(Worker::new(queue.clone(), Deliver::new(crm, to_crm())).with_seed(seed));
        rides_it_out(queue, worker, taken, &format!("seed {seed}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_defaults_ride_out_an_outage_of_a_day_behind_a_circuit() {
    for (seed, outage) in [(1, Outage::RefusesConnections), (2, Outage::Answers503), (3, Outage::Answers503)] {
        let queue = memory();
        one_hundred(&queue).await;
        let (crm, taken) = destination(outage, Instant::now() + 24 * HOUR);
        let client = ClientStack::for_delivery("crm").layer(crm);
        let worker = running!(Worker::new(queue.clone(), Deliver::new(client, to_crm())).with_seed(seed));
        rides_it_out(queue, worker, taken, &format!("seed {seed}, {outage:?}")).await;
    }
}

/// What is never sent and what was refused is counted apart from attempts, and comes to an end by age.
#[tokio::test(start_paused = true)]
async fn what_is_never_sent_uses_no_attempt_waits_longer_each_time_and_ends_by_its_age() {
    let queue = memory();
    queue.enqueue(NewMessage::new("m").with_max_age(24 * HOUR)).await.unwrap();
    let calls: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let noted = calls.clone();
    let refuses = service_fn(move |_: Request<Body>| {
        noted.lock().unwrap().push(Instant::now());
        async { Err::<Response<Body>, BoxError>(io::Error::from(io::ErrorKind::ConnectionRefused).into()) }
    });
    let worker =
        running!(Worker::new(queue.clone(), Deliver::new(refuses, to_crm())).with_max_attempts(2).with_seed(7));
    pass(25 * HOUR).await;
    worker.stop().await;
    let letter = only_letter(&queue).await;
    assert_eq!((letter.reason, letter.attempts), (Reason::Expired, 0));
    let calls = calls.lock().unwrap();
    assert_eq!(letter.not_sent as usize, calls.len());
    let waits: Vec<_> = calls.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (n, wait) in waits.iter().enumerate() {
        let step = secs(1 << n.min(14)).min(4 * HOUR);
        assert!(*wait >= (step / 2).max(secs(1)) && *wait <= step + millis(5), "{n}: {wait:?}");
    }
    assert!(waits.len() > 14, "it stays at the last entry: {}", waits.len());
    // a run of such entries is one entry of the history, and what the client said is in it
    let history: Vec<_> = letter.history.iter().map(|entry| entry.outcome.as_str()).collect();
    assert_eq!(history, ["not_sent"]);
    assert!(letter.history[0].error.contains("refused"), "{}", letter.history[0].error);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_without_waits_is_no_hot_loop_for_what_is_never_sent() {
    let queue = memory();
    put(&queue, ["m"]).await;
    let calls = Arc::new(Mutex::new(0));
    let noted = calls.clone();
    let refuses = service_fn(move |_: Request<Body>| {
        *noted.lock().unwrap() += 1;
        async { Err::<Response<Body>, BoxError>(io::Error::from(io::ErrorKind::ConnectionRefused).into()) }
    });
    let worker = Worker::new(queue.clone(), Deliver::new(refuses, to_crm())).with_backoff(Constant(Duration::ZERO));
    let worker = running!(worker);
    pass(secs(60)).await;
    worker.stop().await;
    assert!((58..=60).contains(&*calls.lock().unwrap()), "{}", calls.lock().unwrap());
}

/// A service that is no `Deliver` may have done something before its call failed: the error says nothing about that.
#[tokio::test(start_paused = true)]
async fn never_sent_is_believed_of_deliver_only() {
    let queue = memory();
    put(&queue, ["m"]).await;
    let charges = Arc::new(Mutex::new(0));
    let charged = charges.clone();
    let service = service_fn(move |_: Message| {
        *charged.lock().unwrap() += 1;
        async { Err::<(), BoxError>(io::Error::from(io::ErrorKind::ConnectionRefused).into()) }
    });
    let worker = Worker::new(queue.clone(), service).with_max_attempts(3).with_backoff(Constant(secs(1)));
    let worker = running!(worker);
    pass(secs(60)).await;
    worker.stop().await;
    let letter = only_letter(&queue).await;
    assert_eq!((letter.reason, letter.attempts, *charges.lock().unwrap()), (Reason::Exhausted, 3, 3));
    assert!(letter.history.iter().all(|entry| entry.outcome == "transient"));
}

/// The counters drive apart from each other: an attempt after many that were never sent waits like the first attempt.
#[tokio::test(start_paused = true)]
async fn attempts_and_deliveries_that_were_never_sent_have_schedules_of_their_own() {
    let queue = memory();
    put(&queue, ["m"]).await;
    let calls: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let noted = calls.clone();
    let crm = service_fn(move |_: Request<Body>| {
        let mut calls = noted.lock().unwrap();
        calls.push(Instant::now());
        // eight times away, then 500, then away once more, then there
        let n = calls.len();
        async move {
            match n {
                1..=8 | 10 => Err::<_, BoxError>(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
                9 => Ok(answer(500)),
                _ => Ok(answer(200)),
            }
        }
    });
    let worker = running!(Worker::new(queue.clone(), Deliver::new(crm, to_crm())).with_seed(1));
    pass(HOUR).await;
    worker.stop().await;
    let calls = calls.lock().unwrap().clone();
    let after = |n: usize| calls[n] - calls[n - 1];
    assert!(after(8) >= secs(64), "the eighth delivery that was never sent: {:?}", after(8));
    assert!(after(9) <= secs(2), "the first attempt: {:?}", after(9));
    assert!(after(10) >= secs(128), "the ninth delivery that was never sent: {:?}", after(10));
    assert_eq!(queue.stats().await.unwrap().done, 1);
}

async fn only_letter(queue: &Queue) -> steadfast::queue::DeadLetter {
    let mut letters = queue.dead_letters().list(Filter::all()).await.unwrap().letters;
    assert_eq!(letters.len(), 1);
    letters.remove(0)
}

/// A destination that answers `script` one after the other, the last one for ever, and counts.
fn scripted(
    script: &'static [u16],
) -> (
    impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send + 'static> + Clone + Send,
    Arc<Mutex<usize>>,
) {
    let calls = Arc::new(Mutex::new(0));
    let noted = calls.clone();
    let service = service_fn(move |_: Request<Body>| {
        let mut calls = noted.lock().unwrap();
        let status = script[(*calls).min(script.len() - 1)];
        *calls += 1;
        std::future::ready(Ok::<_, BoxError>(answer(status)))
    });
    (service, calls)
}

fn statuses(history: &[Attempted]) -> Vec<Option<u16>> {
    history.iter().filter(|entry| entry.outcome != "refused").map(|entry| entry.status).collect()
}

#[tokio::test(start_paused = true)]
async fn three_attempts_are_three_requests_at_the_destination() {
    for keys in [false, true] {
        for status in [&[503], &[502], &[500], &[504]] {
            let queue = memory();
            put(&queue, ["m"]).await;
            let (crm, calls) = scripted(status);
            let stack = ClientStack::for_delivery("crm");
            let running = if keys {
                let client = stack.with_idempotency_keys(steadfast::idempotency::IdempotencyKeyLayer::new()).layer(crm);
                running!(Worker::new(queue.clone(), Deliver::new(client, to_crm())).with_max_attempts(3))
            } else {
                let client = stack.layer(crm);
                running!(Worker::new(queue.clone(), Deliver::new(client, to_crm())).with_max_attempts(3))
            };
            pass(HOUR).await;
            running.stop().await;
            let letter = only_letter(&queue).await;
            assert_eq!((*calls.lock().unwrap(), letter.reason, letter.attempts), (3, Reason::Exhausted, 3));
            assert_eq!(statuses(&letter.history), [Some(status[0]); 3]);
            let text = StatusCode::from_u16(status[0]).unwrap().to_string();
            assert!(letter.history.iter().all(|entry| entry.error.contains(&text)), "{:?}", letter.history);
        }
    }
}

/// The circuit opens between the attempts: it refuses, which uses none, and every attempt is still a request.
#[tokio::test(start_paused = true)]
async fn two_messages_behind_one_circuit_have_three_requests_each() {
    let queue = memory();
    put(&queue, ["a", "b", "c"]).await;
    let (crm, calls) = scripted(&[503]);
    let client = ClientStack::for_delivery("crm").layer(crm);
    let worker = running!(Worker::new(queue.clone(), Deliver::new(client, to_crm())).with_max_attempts(3));
    pass(24 * HOUR).await;
    worker.stop().await;
    let letters = queue.dead_letters().list(Filter::all()).await.unwrap().letters;
    assert_eq!((*calls.lock().unwrap(), letters.len()), (9, 3));
    for letter in letters {
        assert_eq!((letter.reason, letter.attempts), (Reason::Exhausted, 3));
        assert_eq!(statuses(&letter.history), [Some(503); 3]);
    }
}

/// A mistake of the user: retry below the worker. What it gives up with after a real attempt is that attempt.
#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_real_attempt_of_the_same_call_is_that_attempt_with_its_status() {
    let queue = memory();
    put(&queue, ["a", "b"]).await;
    let (crm, calls) = scripted(&[503]);
    let client = ClientStack::new("crm").layer(crm);
    let worker = running!(Worker::new(queue.clone(), Deliver::new(client, to_crm())).with_max_attempts(3));
    pass(24 * HOUR).await;
    worker.stop().await;
    let letters = queue.dead_letters().list(Filter::all()).await.unwrap().letters;
    assert_eq!(letters.len(), 2, "{} requests", calls.lock().unwrap());
    for letter in letters {
        assert_eq!((letter.reason, letter.attempts), (Reason::Exhausted, 3));
        assert_eq!(statuses(&letter.history), [Some(503); 3]);
    }
}

/// The same where the retry is not one of this crate's, which cannot put the last attempt into the error: the circuit reports it.
#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_real_attempt_counts_with_any_retry_in_the_workers_task() {
    for by_hand in [false, true] {
        let queue = memory();
        put(&queue, ["a"]).await;
        let (crm, calls) = scripted(&[503]);
        let client = ClientStack::for_delivery("crm").layer(crm);
        let deliver = Deliver::new(client, to_crm());
        let service = service_fn(move |message: Message| {
            let deliver = deliver.clone();
            async move {
                for _ in 0..if by_hand { 3 } else { 1 } {
                    deliver.clone().oneshot(message.clone()).await?;
                    pass(millis(10)).await;
                }
                deliver.oneshot(message).await
            }
        });
        let worker = running!(Worker::new(queue.clone(), service).with_max_attempts(3));
        pass(24 * HOUR).await;
        worker.stop().await;
        let letter = only_letter(&queue).await;
        assert_eq!((letter.reason, letter.attempts), (Reason::Exhausted, 3), "{} requests", calls.lock().unwrap());
        assert_eq!(statuses(&letter.history), [Some(503); 3], "{:?}", letter.history);
    }
}

/// A handler that asks two services: what the one failed with is no attempt at the other, whose circuit is open.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_one_circuit_after_a_failure_behind_another_one_uses_no_attempt() {
    let queue = memory();
    put(&queue, ["a"]).await;
    let (crm, _) = scripted(&[503]);
    let crm = ClientStack::for_delivery("crm").layer(crm);
    let circuit = steadfast::circuit_breaker::Circuit::new("mail");
    circuit.open_for(HOUR);
    let (mail, mails) = scripted(&[200]);
    let mail = steadfast::circuit_breaker::CircuitBreakerLayer::new(&circuit).layer(mail);
    let service = service_fn(move |_: Message| {
        let (crm, mail) = (crm.clone(), mail.clone());
        let request = || Request::post("http://crm.example/in").body(Body::default()).unwrap();
        async move {
            // the CRM is asked for a hint only: whether it answers does not matter
            _ = crm.oneshot(request()).await;
            mail.oneshot(request()).await.map(|_| ())
        }
    });
    let worker = running!(Worker::new(queue.clone(), service).with_max_attempts(1));
    pass(HOUR / 2).await;
    assert_eq!((queue.stats().await.unwrap().parked, queue.stats().await.unwrap().dead), (1, 0));
    pass(HOUR).await;
    worker.stop().await;
    assert_eq!((queue.stats().await.unwrap().done, *mails.lock().unwrap()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_does_not_end_is_asked_about_less_and_less_often_and_at_least_every_ten_minutes() {
    let queue = memory();
    queue.enqueue(NewMessage::new("hello")).await.unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    // a refusal without a hint, as of a circuit that is forced open
    let refuses = service_fn(move |_: Message| {
        noted.lock().unwrap().push(Instant::now());
        async { Err::<(), BoxError>(Refused::new("crm", "circuit forced open").into()) }
    });
    let worker = running!(Worker::new(queue.clone(), refuses).with_seed(1));
    pass(6 * HOUR).await;
    worker.stop().await;
    let asked = asked.lock().unwrap().clone();
    let waits: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((36..90).contains(&asked.len()), "{}", asked.len());
    assert!(waits.iter().all(|wait| *wait >= secs(15) && *wait <= secs(601)), "{waits:?}");
    let message = queue.stats().await.unwrap();
    assert_eq!((message.parked, message.dead), (1, 0));
}

/// 503, 503, connection refused: the last error says "never sent", the attempts before it were real.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_refused_after_a_real_attempt_of_the_same_call_uses_the_attempt() {
    let queue = memory();
    put(&queue, ["a"]).await;
    let calls = Arc::new(Mutex::new(0));
    let noted = calls.clone();
    let crm = service_fn(move |_: Request<Body>| {
        let mut calls = noted.lock().unwrap();
        *calls += 1;
        let refused = *calls % 3 == 0;
        async move {
            if refused {
                Err::<_, BoxError>(io::Error::from(io::ErrorKind::ConnectionRefused).into())
            } else {
                Ok(answer(503))
            }
        }
    });
    let client = RetryLayer::default().without_budget().layer(crm);
    let deliver = Deliver::new(client, to_crm());
    let worker = running!(Worker::new(queue.clone(), deliver).with_max_attempts(2));
    pass(HOUR).await;
    worker.stop().await;
    let letter = only_letter(&queue).await;
    assert_eq!((letter.reason, letter.attempts, *calls.lock().unwrap()), (Reason::Exhausted, 2, 6));
    assert_eq!(statuses(&letter.history), [Some(503); 2]);
}

/// RFC 9110, 15.5.14, and GitHub's secondary limit: a 413 or 403 with `Retry-After` is temporary.
#[tokio::test(start_paused = true)]
async fn a_403_or_413_with_a_hint_parks_the_message_and_uses_no_attempt() {
    for status in [403, 413] {
        let queue = memory();
        put(&queue, ["m"]).await;
        let calls = Arc::new(Mutex::new(0));
        let noted = calls.clone();
        let crm = service_fn(move |_: Request<Body>| {
            let mut calls = noted.lock().unwrap();
            *calls += 1;
            let answer = if *calls > 3 {
                answer(200)
            } else {
                Response::builder().status(status).header("retry-after", "60").body(Body::default()).unwrap()
            };
            std::future::ready(Ok::<_, BoxError>(answer))
        });
        let worker = running!(Worker::new(queue.clone(), Deliver::new(crm, to_crm())).with_max_attempts(1));
        pass(secs(59)).await;
        assert_eq!((queue.stats().await.unwrap().parked, *calls.lock().unwrap()), (1, 1));
        pass(secs(200)).await;
        worker.stop().await;
        assert_eq!((queue.stats().await.unwrap().done, *calls.lock().unwrap()), (1, 4));
    }
}
