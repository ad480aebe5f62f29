//! Many circuits: the cost of a new key when there is no room, and changes of settings while circuits are made.

use crate::support::{SECOND, after_a_run_of, reset};
use std::{
    fmt,
    future::ready,
    io,
    pin::pin,
    sync::Barrier,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Circuits, State},
    registry::Registry,
};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, service_fn};

/// A call with this key, which fails or not.
struct Ask {
    key: String,
    fails: bool,
}

fn ask(key: impl fmt::Display, fails: bool) -> Ask {
    Ask { key: format!("{key}"), fails }
}

fn service(circuits: &Circuits) -> impl Service<Ask> + Clone + Send + use<> {
    CircuitBreakerLayer::by_result(circuits.clone())
        .keyed_by(|ask: &Ask| Some(&ask.key))
        .layer(service_fn(|ask: Ask| ready(if ask.fails { Err(reset()) } else { Ok::<(), io::Error>(()) })))
}

/// Makes a call that ends at once. Returns whether it came to a success.
fn call(service: &mut impl Service<Ask>, ask: Ask) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    match pin!(service.call(ask)).poll(&mut cx) {
        Poll::Ready(result) => result.is_ok(),
        Poll::Pending => panic!("it waits for nothing"),
    }
}

/// The least time that fifty calls with new keys take, of several rounds.
fn time_of_new_keys(service: &mut impl Service<Ask>, rounds: u32) -> Duration {
    let round = |round| {
        let start = Instant::now();
        for n in 0..50 {
            call(service, ask(format!("new {round}/{n}"), true));
        }
        start.elapsed()
    };
    (0..rounds).map(round).min().unwrap()
}

#[test]
fn a_new_key_costs_the_same_beside_a_hundred_thousand_failing_ones_as_beside_a_thousand() {
    let time = |capacity: usize| {
        let circuits = Circuits::per_origin("many", after_a_run_of(1)).with_capacity(capacity);
        let mut service = service(&circuits);
        // all but a few, which are well: they have to make room first
        for key in 0..capacity {
            call(&mut service, ask(key, key % 1000 != 7));
        }
        let time = time_of_new_keys(&mut service, 40);
        assert_eq!(circuits.len(), capacity);
        let is_open =
            |key: &usize| circuits.find(&key.to_string()).is_some_and(|circuit| circuit.state() == State::Open);
        assert_eq!((0..capacity).filter(is_open).count(), capacity - capacity / 1000, "one that fails has gone");
        time
    };
    let (few, many) = (time(1000), time(100_000));
    // a scan of all would take a hundred times as long
    assert!(many < 15 * few, "fifty calls took {few:?} beside a thousand, and {many:?} beside a hundred thousand");
}

#[test]
fn a_thousand_failing_keys_have_a_circuit_each_and_no_more_than_that() {
    for capacity in [1, 2, 63, 100, 256, 500, 1000, 2000] {
        let circuits = Circuits::per_origin("exact", after_a_run_of(1)).with_capacity(capacity);
        let mut service = service(&circuits);
        for key in 0..capacity + 100 {
            call(&mut service, ask(key, true));
            assert_eq!(circuits.len(), capacity.min(key + 1));
        }
        for key in 0..capacity + 100 {
            assert_eq!(call(&mut service, ask(key, false)), key >= capacity, "{key} of {capacity}");
        }
    }
}

#[test]
fn a_failing_key_gets_the_place_of_a_healthy_one_whenever_there_is_one() {
    for capacity in [10, 100, 1000, 3000] {
        let circuits = Circuits::per_origin("healthy", after_a_run_of(1)).with_capacity(capacity);
        let mut service = service(&circuits);
        let healthy = capacity / 10;
        for key in 0..capacity {
            call(&mut service, ask(key, key >= healthy));
        }
        for key in capacity..capacity + healthy {
            call(&mut service, ask(key, true));
            assert!(!call(&mut service, ask(key, false)), "{key} of {capacity} has no circuit");
        }
        // now all fail
        assert!(call(&mut service, ask("one more", true)) || call(&mut service, ask("one more", false)));
        assert!((healthy..capacity).all(|key| circuits.find(&key.to_string()).unwrap().state() == State::Open));
    }
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_nobody_used_for_an_hour_is_forgotten_though_it_is_looked_at() {
    let registry = Registry::new();
    let circuits = Circuits::per_origin("watched", after_a_run_of(1)).with_capacity(20).with_registry(&registry);
    let mut service = service(&circuits);
    for key in 0..20 {
        call(&mut service, ask(key, true));
    }
    for minute in 0..59 {
        advance(60 * SECOND).await;
        registry.snapshot();
        circuits.list().iter().for_each(|circuit| _ = circuit.snapshot());
        call(&mut service, ask("19", true));
        call(&mut service, ask(format!("new {minute}"), true));
        assert!(circuits.find("0").is_some() && circuits.find("new 0").is_none(), "after {minute} minutes");
    }
    advance(61 * SECOND).await;
    for key in 100..119 {
        call(&mut service, ask(key, true));
        assert!(circuits.find(&key.to_string()).is_some(), "{key}");
    }
    assert!(circuits.find("19").is_some() && circuits.find("0").is_none());
}

#[test]
fn a_circuit_that_is_held_is_not_let_go() {
    let circuits = Circuits::per_origin("held", after_a_run_of(1)).with_capacity(100);
    let mut service = service(&circuits);
    let hold = |key: u32| circuits.find(&key.to_string()).unwrap();
    let mut held: Vec<Circuit> = Vec::new();
    for key in 0..100 {
        call(&mut service, ask(key, false));
        held.push(hold(key));
    }
    assert!(call(&mut service, ask("one more", false)));
    assert!(circuits.find("one more").is_none() && circuits.find("99").is_some());
    held.truncate(50);
    for key in 200..300 {
        call(&mut service, ask(key, false));
    }
    assert_eq!(circuits.len(), 100);
    assert!((0..50).all(|key| circuits.find(&key.to_string()).is_some()));
}

#[test]
fn settings_reach_a_circuit_that_is_being_made() {
    for round in 0..2000 {
        let circuits = Circuits::per_origin("configured", after_a_run_of(100));
        let start = Barrier::new(3);
        thread::scope(|scope| {
            for half in 0..2 {
                let (start, mut service) = (&start, service(&circuits));
                scope.spawn(move || {
                    start.wait();
                    for key in 0..4 {
                        call(&mut service, ask(key + half, false));
                    }
                });
            }
            start.wait();
            circuits.configure(after_a_run_of(1));
        });
        let mut service = service(&circuits);
        for key in 0..5 {
            call(&mut service, ask(key, true));
            assert_eq!(circuits.find(&key.to_string()).unwrap().state(), State::Open, "{key} in round {round}");
        }
    }
}

#[test]
fn of_two_changes_of_settings_at_one_time_one_reaches_all() {
    for round in 0..1000 {
        let circuits = Circuits::per_origin("configured", after_a_run_of(100));
        let mut service = service(&circuits);
        for key in 0..8 {
            call(&mut service, ask(key, false));
        }
        let start = Barrier::new(2);
        thread::scope(|scope| {
            for run in [1, 2] {
                let (start, circuits) = (&start, &circuits);
                scope.spawn(move || {
                    start.wait();
                    circuits.configure(after_a_run_of(run));
                });
            }
        });
        call(&mut service, ask("new", true));
        let state = circuits.find("new").unwrap().state();
        for key in 0..8 {
            call(&mut service, ask(key, true));
            assert_eq!(circuits.find(&key.to_string()).unwrap().state(), state, "{key} in round {round}");
        }
    }
}
