//! Circuits by their names, without a handle.

use crate::support::{SECOND, after_a_run_of, reset};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Circuits, State},
    classify::ByResult,
    registry::Registry,
};
use tower::{Layer, ServiceExt, service_fn};

#[tokio::test(start_paused = true)]
async fn one_is_found_by_its_name_forced_and_reset() {
    let circuit = Circuit::with_config("handles-one", after_a_run_of(1));
    let found = Circuit::named("handles-one").unwrap();
    found.force_open(None);
    assert_eq!(circuit.state(), State::ForcedOpen);
    assert_eq!((found.name(), found.snapshot().view.state), ("handles-one", State::ForcedOpen));
    let mut states = found.subscribe();
    circuit.reset();
    assert_eq!(*states.borrow_and_update(), State::Closed);
    assert!(Circuit::named("handles-two").is_none() && Circuits::named("handles-one").is_none());
    drop((circuit, found));
    assert!(Circuit::named("handles-one").is_none(), "the registry holds none of them");
}

#[tokio::test(start_paused = true)]
async fn all_of_many_are_listed_found_by_their_whole_names_and_reset() {
    let registry = Registry::new();
    let circuits = Circuits::per_origin("handles/many", after_a_run_of(1)).with_registry(&registry);
    let service = CircuitBreakerLayer::with(circuits, ByResult)
        .keyed_by(|key: &String| Some(key))
        .layer(service_fn(|_: String| async { Err::<(), _>(reset()) }));
    for key in ["a", "b/c"] {
        let _ = service.clone().oneshot(key.to_owned()).await;
    }
    // by whoever holds nothing of it
    for (name, of_registry) in [
        ("handles/many/a", Circuit::named("handles/many/a")),
        ("handles/many/b/c", Circuit::named_in(&registry, "handles/many/b/c")),
        ("handles/many", Circuit::named_in(&registry, "handles/many")),
    ] {
        assert_eq!(of_registry.unwrap().name(), name);
    }
    assert!(Circuit::named_in(&registry, "handles/many/z").is_none());
    let found = Circuits::named("handles/many").unwrap();
    let state = |circuit: &Circuit| (circuit.name().to_owned(), circuit.state());
    let mut all: Vec<_> = found.list().iter().map(state).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let named = |name: &str, state| (name.to_owned(), state);
    assert_eq!(
        all,
        [
            named("handles/many", State::Closed),
            named("handles/many/a", State::Open),
            named("handles/many/b/c", State::Open)
        ]
    );
    found.list().iter().for_each(Circuit::reset);
    assert!(found.list().iter().all(|circuit| circuit.state() == State::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_single_one_is_a_list_of_one() {
    let registry = Registry::new();
    let circuit = Circuit::with_config("handles-single", after_a_run_of(1));
    circuit.open_for(SECOND);
    let circuits = Circuits::from(&circuit).with_registry(&registry);
    assert_eq!(circuits.list().iter().map(Circuit::state).collect::<Vec<_>>(), [State::Open]);
    assert_eq!(registry.snapshot().len(), 1);
}
