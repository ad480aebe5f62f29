//! Real threads and a real clock: nothing is counted twice, and nothing is lost.

use crate::support::{SECOND, n, reset};
use std::{
    future::ready,
    io,
    pin::pin,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};
use steadfast::{
    backoff::Jitter,
    circuit_breaker::{Circuit, CircuitBreakerLayer, Config, State, View, Window},
    error::Refused,
    setting::Ratio,
};
use tower::{Layer, Service, service_fn};

const THREADS: usize = 2;

/// What the callers saw: good answers, failures, refusals.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    good: u64,
    failed: u64,
    refused: u64,
}

/// Every thread makes its calls, of which the ones that `fails` names fail. Also how often the service was called, and what
/// the circuit says in the end.
fn hammer(config: Config, calls: u64, fails: fn(u64) -> bool) -> (Seen, u64, View) {
    let circuit = Circuit::with_config("hammered", config);
    let layer = CircuitBreakerLayer::by_result(&circuit);
    let (reached, start) = (AtomicU64::new(0), Barrier::new(THREADS));
    let run = || {
        let mut service = layer.layer(service_fn(|fails: bool| {
            reached.fetch_add(1, Relaxed);
            ready(if fails { Err::<(), io::Error>(reset()) } else { Ok(()) })
        }));
        let mut cx = Context::from_waker(Waker::noop());
        let mut seen = Seen::default();
        start.wait();
        for call in 0..calls {
            assert!(service.poll_ready(&mut cx).is_ready());
            // what answers in its first poll needs no runtime
            match pin!(service.call(fails(call))).poll(&mut cx) {
                Poll::Ready(Ok(())) => seen.good += 1,
                Poll::Ready(Err(error)) if Refused::find(&*error).is_some() => seen.refused += 1,
                Poll::Ready(Err(_)) => seen.failed += 1,
                Poll::Pending => panic!("everything answers at once"),
            }
        }
        seen
    };
    let seen = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold(Seen::default(), |all, one| Seen {
            good: all.good + one.good,
            failed: all.failed + one.failed,
            refused: all.refused + one.refused,
        })
    });
    (seen, reached.into_inner(), circuit.snapshot().view)
}

/// An hour of calls, all of which stay in the window.
fn an_hour() -> Config {
    Config::default().with_window(Window::time(3600 * SECOND, 10).unwrap())
}

fn every_fourth(call: u64) -> bool {
    call.is_multiple_of(4)
}

fn adds_up(config: Config, calls: u64) {
    let (seen, reached, view) = hammer(config, calls, every_fourth);
    let (total, failed) = (THREADS as u64 * calls, THREADS as u64 * calls / 4);
    assert_eq!(seen, Seen { good: total - failed, failed, refused: 0 });
    assert_eq!(reached, total);
    assert_eq!((view.state, view.calls, view.failed), (State::Closed, total, failed));
    assert_eq!((view.refused, view.stale), (0, 0));
}

#[test]
fn two_threads_with_a_million_calls_each_are_all_counted() {
    adds_up(an_hour(), 1_000_000);
}

#[test]
fn the_calls_of_two_threads_are_all_counted_while_those_in_flight_are_kept_track_of() {
    adds_up(an_hour().with_slow_rate(Ratio::new(1.0).unwrap()).with_slow(3600 * SECOND), 250_000);
}

#[test]
fn refusals_and_calls_of_a_circuit_that_flaps_add_up() {
    // opens and closes again and again: of a hundred calls of a thread fifty fail in a row
    let config = Config::default()
        .without_failure_rate()
        .with_consecutive_failures(n(20))
        .with_half_open_permits(n(1))
        .with_open_for(Duration::from_micros(200))
        .with_max_open_for(Duration::from_micros(200))
        .with_jitter(Jitter::None);
    let calls = 250_000;
    let (seen, reached, view) = hammer(config, calls, |call| call % 100 < 50);
    assert!(seen.good > 0 && seen.failed > 0 && seen.refused > 0, "{seen:?}");
    assert_eq!(seen.good + seen.failed + seen.refused, THREADS as u64 * calls);
    assert_eq!((reached, view.refused), (seen.good + seen.failed, seen.refused));
    assert!(view.stale <= reached, "{view:?}");
    assert_eq!(view.probes, 0, "every permit came back");
}

#[test]
fn after_a_million_successes_of_each_of_two_threads_it_opens_at_the_very_failure() {
    // of the last ten: the fifth failure; of a run: the third. What was counted beside the machine is in neither
    for (config, calls, last) in [
        (Config::default().without_consecutive_failures().with_window(Window::calls(10, 10).unwrap()), 1_000_000, 5),
        (Config::default().without_failure_rate().with_consecutive_failures(n(3)), 100_000, 3),
    ] {
        let circuit = Circuit::with_config("hammered", config);
        let layer = CircuitBreakerLayer::by_result(&circuit);
        let start = Barrier::new(THREADS);
        let run = |calls: u64, fail: bool| {
            let mut service = layer.layer(service_fn(|fail| ready(if fail { Err(reset()) } else { Ok(()) })));
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..calls {
                assert!(service.poll_ready(&mut cx).is_ready());
                assert!(pin!(service.call(fail)).poll(&mut cx).is_ready());
            }
        };
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    run(calls, false);
                });
            }
        });
        for failure in 1..=last {
            assert_eq!(circuit.state(), State::Closed, "before failure {failure}");
            run(1, true);
        }
        assert_eq!(circuit.state(), State::Open);
    }
}

#[test]
fn successes_that_nobody_looks_at_stay_in_order_with_failures() {
    // each thread by itself never has more than two failures in a row, and neither have both together more than four
    let config = Config::default().without_failure_rate().with_consecutive_failures(n(5));
    let (seen, reached, view) = hammer(config, 256_000, |call| call % 64 < 2);
    let (total, failed) = (THREADS as u64 * 256_000, THREADS as u64 * 8_000);
    assert_eq!(seen, Seen { good: total - failed, failed, refused: 0 });
    assert_eq!((reached, view.state, view.stale), (total, State::Closed, 0));
}
