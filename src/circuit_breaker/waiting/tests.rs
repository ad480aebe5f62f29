use super::{Circuit, Place};
use std::{
    task::{Context, Waker},
    time::Duration,
};

const SECOND: Duration = Duration::from_secs(1);

/// So many who wait.
fn wait(circuit: &Circuit, number: usize) -> Vec<Place> {
    let mut places: Vec<_> = (0..number).map(|_| Place::default()).collect();
    for place in &mut places {
        assert!(circuit.poll_room(place, &mut Context::from_waker(Waker::noop())).is_pending());
    }
    places
}

fn has_timer(circuit: &Circuit) -> bool {
    circuit.waiting().queue.lock().unwrap().timer.is_some()
}

fn is_empty(circuit: &Circuit) -> bool {
    circuit.waiting().queue.lock().unwrap().line.nobody_waits()
}

#[tokio::test(start_paused = true)]
async fn the_timer_comes_with_the_first_and_goes_with_the_last() {
    let circuit = Circuit::new("payments");
    circuit.open_for(SECOND);
    let places = wait(&circuit, 10_000);
    assert!(has_timer(&circuit));
    drop(places);
    assert!(!has_timer(&circuit) && is_empty(&circuit));
}

#[tokio::test(start_paused = true)]
async fn when_all_are_called_no_timer_is_left() {
    let circuit = Circuit::new("payments");
    circuit.open_for(SECOND);
    let _places = wait(&circuit, 10);
    circuit.reset();
    assert!(!has_timer(&circuit) && is_empty(&circuit));
}

#[test]
fn what_has_no_end_needs_no_timer_and_no_runtime() {
    let circuit = Circuit::new("payments");
    circuit.force_open(None);
    let places = wait(&circuit, 10);
    assert!(!has_timer(&circuit));
    // one who goes wakes nobody and leaves nothing
    drop(places);
    assert!(is_empty(&circuit));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_done_with_holds_no_circuit() {
    let circuit = Circuit::new("payments");
    let weak = std::sync::Arc::downgrade(&circuit.0);
    circuit.open_for(SECOND);
    let places = wait(&circuit, 3);
    tokio::time::sleep(2 * SECOND).await;
    drop((places, circuit));
    assert_eq!(weak.strong_count(), 0);
}
