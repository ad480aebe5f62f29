//! What becomes of a message, by what its attempt came to.

use crate::{
    running,
    support::{Constant, Seen, memory, millis, pass, put, secs},
};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use steadfast::{
    attempt::Attempt,
    backoff::Hint,
    circuit_breaker::{Circuit, CircuitBreakerLayer},
    classify::{Failure, Outcome, Verdict},
    error::{BoxError, Refused},
    queue::{Filter, Message, NewMessage, Queue, Reason, Report, Undecodable, Worker},
};
use tower::{Layer, service_fn};

/// A worker over answers that are given one after the other, the last one for ever.
fn scripted(queue: &Queue, script: Vec<Report>) -> (crate::support::Running, Seen) {
    let seen = Seen::new();
    let noted = seen.clone();
    let service = service_fn(move |message: Message| {
        let answer = script[noted.len().min(script.len() - 1)].clone();
        noted.note(&message);
        async move { Ok::<_, Infallible>(answer) }
    });
    (running!(Worker::new(queue.clone(), service).with_backoff(Constant(secs(1))).with_max_attempts(3)), seen)
}

async fn only_letter(queue: &Queue) -> steadfast::queue::DeadLetter {
    let page = queue.dead_letters().list(Filter::all()).await.unwrap();
    assert_eq!(page.letters.len(), 1);
    page.letters.into_iter().next().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_success_is_done() {
    let queue = memory();
    put(&queue, ["a", "b"]).await;
    let (worker, seen) = scripted(&queue, vec![Report::new(Outcome::Success)]);
    pass(secs(1)).await;
    worker.stop().await;
    assert_eq!(seen.attempts(), [1, 1]);
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.done, stats.open(), stats.dead), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_after_the_backoff_until_they_are_exhausted() {
    let queue = memory();
    put(&queue, ["a"]).await;
    let failures = [Failure::Transient, Failure::Fault, Failure::NotSent].map(|f| Report::new(f).with_error("down"));
    let (worker, seen) = scripted(&queue, failures.into());
    pass(secs(60)).await;
    worker.stop().await;
    assert_eq!(seen.attempts(), [1, 2, 3]);
    assert!(seen.times()[1] >= secs(1) && seen.times()[2] >= seen.times()[1] + secs(1), "{:?}", seen.times());
    let letter = only_letter(&queue).await;
    assert_eq!(letter.reason, Reason::Exhausted);
    let outcomes: Vec<_> = letter.history.iter().map(|entry| (entry.attempt, entry.outcome.as_str())).collect();
    assert_eq!(
        outcomes,
        [(1, "transient"), (2, "fault"), (3, "transient")],
        "only `Deliver` knows what was never sent"
    );
    assert_eq!(letter.history[2].error, "down");
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_waited_for_in_full_and_lifts_the_backoff() {
    let queue = memory();
    put(&queue, ["a"]).await;
    let far = Verdict::from(Failure::Transient).with_hint(Some(Hint::AtLeast(secs(3 * 3600))));
    let (worker, seen) = scripted(&queue, vec![Report::new(far), Report::new(Outcome::Success)]);
    pass(secs(3 * 3600 - 1)).await;
    assert_eq!(seen.len(), 1);
    pass(secs(3)).await;
    worker.stop().await;
    assert_eq!(seen.attempts(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn an_exact_hint_shortens_the_backoff() {
    let queue = memory();
    put(&queue, ["a"]).await;
    let soon = Verdict::from(Failure::Transient).with_hint(Some(Hint::Exactly(millis(10))));
    let (worker, seen) = scripted(&queue, vec![Report::new(soon), Report::new(Outcome::Success)]);
    pass(millis(100)).await;
    worker.stop().await;
    assert_eq!(seen.attempts(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_hint_without_end_is_survived_and_the_message_expires() {
    let queue = memory();
    put(&queue, ["a"]).await;
    let forever = Verdict::from(Failure::Overloaded).with_hint(Some(Hint::AtLeast(std::time::Duration::MAX)));
    let (worker, seen) = scripted(&queue, vec![Report::new(forever)]);
    pass(secs(7 * 24 * 3600 - 60)).await;
    assert_eq!(queue.stats().await.unwrap().parked, 1);
    pass(secs(120)).await;
    worker.stop().await;
    assert_eq!(seen.len(), 1);
    assert_eq!(only_letter(&queue).await.reason, Reason::Expired);
}

#[tokio::test(start_paused = true)]
async fn who_forbids_another_attempt_is_obeyed() {
    let queue = memory();
    put(&queue, ["a"]).await;
    let never = Verdict::from(Failure::Transient).with_hint(Some(Hint::Never));
    let (worker, seen) = scripted(&queue, vec![Report::new(never)]);
    pass(secs(60)).await;
    worker.stop().await;
    assert_eq!(seen.len(), 1);
    assert_eq!(only_letter(&queue).await.reason, Reason::Exhausted);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_parks_until_it_ends_and_uses_no_attempt() {
    let queue = memory();
    put(&queue, ["a"]).await;
    let refused = Report::new(Verdict::refused(Some(secs(100))));
    // more refusals than attempts
    let mut script = vec![refused; 5];
    script.push(Report::new(Outcome::Success));
    let (worker, seen) = scripted(&queue, script);
    pass(secs(99)).await;
    assert_eq!(seen.len(), 1);
    assert_eq!(queue.stats().await.unwrap().parked, 1);
    pass(secs(500)).await;
    worker.stop().await;
    assert_eq!(seen.attempts(), [1; 6]);
    assert_eq!(queue.stats().await.unwrap().done, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_error_anywhere_in_the_chain_parks() {
    #[derive(Debug)]
    struct Outer(Refused);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("outer")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let queue = memory();
    put(&queue, ["a"]).await;
    let service = service_fn(|_: Message| async {
        Err::<(), BoxError>(Outer(Refused::new("crm", "circuit open").with_retry_after(secs(30))).into())
    });
    let worker = running!(Worker::new(queue.clone(), service));
    pass(secs(1)).await;
    assert_eq!(queue.stats().await.unwrap().parked, 1);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn overload_and_refusal_without_a_hint_wait_and_use_no_attempt() {
    for outcome in [Outcome::Failure(Failure::Overloaded), Outcome::Refused, Outcome::Ignored] {
        let queue = memory();
        put(&queue, ["a"]).await;
        let (worker, seen) = scripted(&queue, vec![Report::new(outcome)]);
        pass(secs(14)).await;
        assert_eq!(seen.len(), 1, "{outcome}: parked for at least half of 30 s");
        pass(secs(3600)).await;
        worker.stop().await;
        // never a hot loop, and never an end by attempts
        assert!((120..=240).contains(&seen.len()), "{outcome}: {}", seen.len());
        assert!(seen.attempts().iter().all(|attempt| *attempt == 1));
        assert_eq!(queue.stats().await.unwrap().open(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_told_one_moment_does_not_all_come_at_it() {
    let queue = memory();
    put(&queue, ["a", "b", "c", "d"]).await;
    let refused = Report::new(Verdict::refused(Some(secs(10))));
    let mut script = vec![refused; 4];
    script.push(Report::new(Outcome::Success));
    let (worker, seen) = scripted(&queue, script);
    pass(secs(12)).await;
    worker.stop().await;
    let mut times = seen.times().split_off(4);
    assert!(times.iter().all(|at| (secs(10)..=secs(11)).contains(at)), "{times:?}");
    times.dedup();
    assert!(times.len() > 1, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_no_for_certain_is_dead_at_once() {
    let queue = memory();
    put(&queue, ["a"]).await;
    let no = Report::new(Outcome::Rejected).with_status(http::StatusCode::GONE).with_error("gone");
    let (worker, seen) = scripted(&queue, vec![no]);
    pass(secs(60)).await;
    worker.stop().await;
    assert_eq!(seen.len(), 1);
    let letter = only_letter(&queue).await;
    assert_eq!(letter.reason, Reason::Rejected);
    assert_eq!((letter.history[0].status, letter.history[0].error.as_str()), (Some(410), "gone"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_decoded_is_dead_at_once() {
    let queue = memory();
    put(&queue, ["{"]).await;
    let service = service_fn(|message: Message| async move {
        let _: u32 = std::str::from_utf8(message.body())?.parse().map_err(Undecodable::new)?;
        Ok::<_, BoxError>(())
    });
    let worker = running!(Worker::new(queue.clone(), service));
    pass(secs(1)).await;
    worker.stop().await;
    let letter = only_letter(&queue).await;
    assert_eq!(letter.reason, Reason::Undecodable);
    assert_eq!(letter.history[0].error, "the message cannot be decoded: invalid digit found in string");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_fault_and_harms_nothing_else() {
    let queue = memory();
    put(&queue, ["panic", "fine", "at call"]).await;
    let service = service_fn(|message: Message| {
        assert_ne!(message.body(), "at call", "no future was made");
        async move {
            assert_ne!(message.body(), "panic", "in the future");
            Ok::<_, BoxError>(())
        }
    });
    let worker = Worker::new(queue.clone(), service).with_max_attempts(1).with_concurrency(1);
    let worker = running!(worker);
    pass(secs(1)).await;
    worker.stop().await;
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.done, stats.dead), (1, 2));
    let letters = queue.dead_letters().list(Filter::all()).await.unwrap().letters;
    for letter in letters {
        assert_eq!((letter.reason, letter.history[0].outcome.as_str()), (Reason::Exhausted, "fault"));
        assert!(letter.history[0].error.starts_with("panicked: "), "{}", letter.history[0].error);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_a_timeout_and_the_service_sees_the_deadline() {
    let queue = memory();
    put(&queue, ["a"]).await;
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = seen.clone();
    let service = service_fn(move |_: Message| {
        let at_call = Attempt::current().and_then(Attempt::remaining);
        let noted = noted.clone();
        async move {
            noted.lock().unwrap().push((at_call, Attempt::current().and_then(Attempt::remaining)));
            std::future::pending::<Result<(), BoxError>>().await
        }
    });
    let worker = Worker::new(queue.clone(), service).with_attempt_limit(secs(5)).with_max_attempts(1);
    let worker = running!(worker);
    pass(secs(4)).await;
    assert_eq!(queue.stats().await.unwrap().claimed, 1);
    pass(secs(2)).await;
    worker.stop().await;
    assert_eq!(*seen.lock().unwrap(), [(Some(secs(5)), Some(secs(5)))]);
    assert_eq!(only_letter(&queue).await.history[0].outcome, "timeout");
}

#[tokio::test(start_paused = true)]
async fn waiting_holds_no_place_among_those_that_run() {
    let queue = memory();
    put(&queue, ["slow to retry"]).await;
    let far = Verdict::from(Failure::Transient).with_hint(Some(Hint::AtLeast(secs(1000))));
    let seen = Seen::new();
    let noted = seen.clone();
    let service = service_fn(move |message: Message| {
        noted.note(&message);
        let report = if message.body() == "slow to retry" { Report::new(far) } else { Report::new(Outcome::Success) };
        async move { Ok::<_, Infallible>(report) }
    });
    let worker = running!(Worker::new(queue.clone(), service).with_concurrency(1));
    pass(secs(1)).await;
    put(&queue, ["b", "c"]).await;
    pass(secs(1)).await;
    worker.stop().await;
    assert_eq!(seen.bodies(), ["slow to retry", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_not_tried_before_its_delay() {
    let queue = memory();
    let (worker, seen) = scripted(&queue, vec![Report::new(Outcome::Success)]);
    queue.enqueue(NewMessage::new("later").with_delay(secs(100))).await.unwrap();
    pass(secs(99)).await;
    assert_eq!(seen.len(), 0);
    pass(secs(2)).await;
    worker.stop().await;
    assert_eq!(seen.len(), 1);
    assert!(seen.times()[0] < secs(100) + millis(10), "woken by its time: {:?}", seen.times());
}

#[tokio::test(start_paused = true)]
async fn what_is_done_is_swept_and_its_keys_are_not() {
    let queue = memory();
    queue.enqueue(NewMessage::new("a").with_dedupe("k")).await.unwrap();
    let (worker, _) = scripted(&queue, vec![Report::new(Outcome::Success)]);
    pass(secs(3600)).await;
    assert_eq!(queue.stats().await.unwrap().done, 1);
    pass(secs(24 * 3600)).await;
    assert_eq!(queue.stats().await.unwrap().done, 0);
    let again = queue.enqueue(NewMessage::new("a").with_dedupe("k")).await.unwrap();
    assert!(matches!(again, steadfast::queue::Enqueued::Duplicate(_)));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_parks_the_message_until_its_period_ends() {
    let queue = memory();
    put(&queue, ["a"]).await;
    let circuit = Circuit::new("crm");
    circuit.open_for(secs(100));
    let (seen, calls) = (Seen::new(), Arc::new(AtomicUsize::new(0)));
    let (noted, called) = (seen.clone(), calls.clone());
    let deliver = CircuitBreakerLayer::by_result(&circuit).layer(service_fn(move |message: Message| {
        called.fetch_add(1, SeqCst);
        noted.note(&message);
        async { Ok::<_, Infallible>(Report::new(Outcome::Success)) }
    }));
    let worker = running!(Worker::new(queue.clone(), deliver).with_max_attempts(1));
    pass(secs(99)).await;
    let stats = queue.stats().await.unwrap();
    // one refusal for all that time, and no attempt of the only one there is
    assert_eq!((stats.parked, calls.load(SeqCst), circuit.snapshot().view.refused), (1, 0, 1));
    pass(secs(60)).await;
    worker.stop().await;
    assert_eq!((seen.attempts(), queue.stats().await.unwrap().done), (vec![1], 1));
}
