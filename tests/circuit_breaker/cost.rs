//! What a call leaves behind. What it costs is measured in `benches/`.

use crate::support::{SECOND, at_half_of};
use std::{
    future::ready,
    io,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use steadfast::circuit_breaker::{
    Circuit, CircuitBreakerLayer, Window,
    state::{Machine, Signal},
};
use tower::{Layer, Service, service_fn};

#[test]
fn nothing_is_kept_of_a_call_that_has_ended_but_a_count() {
    for window in [Window::time(3600 * SECOND, 10).unwrap(), Window::calls(10, 10).unwrap()] {
        let mut circuit = Machine::new(at_half_of(10, 10).with_window(window), 1);
        let mut held = vec![];
        for calls in [1000, 100_000] {
            for _ in 0..calls {
                let permit = circuit.admit(0).unwrap();
                circuit.record(permit, Signal::Success, None, Duration::ZERO, 0);
            }
            // all that it holds, printed: longer by the digits of a few numbers at most
            held.push(format!("{circuit:?}").len());
        }
        assert!(held[1] <= held[0] + 64, "{held:?}");
    }
}

#[test]
fn a_call_is_in_no_box() {
    let circuit = Circuit::new("payments");
    let answer = "of the stack".to_owned();
    // what borrows from the stack fits into no `Box<dyn Future>` of a service's type
    let mut service =
        CircuitBreakerLayer::by_result(&circuit).layer(service_fn(|(): ()| ready(Ok::<_, io::Error>(answer.as_str()))));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let Poll::Ready(Ok(said)) = pin!(service.call(())).poll(&mut cx) else { panic!("it is ready") };
    assert_eq!(said, "of the stack");
}

#[test]
fn changes_by_hand_need_no_runtime_and_come_in_the_order_in_which_they_are_made() {
    let circuit = Circuit::new("payments");
    let mut states = circuit.subscribe();
    let mut seen = vec![];
    for by_hand in [Circuit::force_open, Circuit::disable, Circuit::shadow] {
        by_hand(&circuit, None);
        seen.push(states.borrow_and_update().as_str());
    }
    assert_eq!(seen, ["forced_open", "disabled", "shadow"]);
}
