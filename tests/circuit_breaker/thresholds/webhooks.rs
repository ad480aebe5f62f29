//! Many destinations, a circuit for each.

use super::{MINUTE, S, call, lie_within, outage, settings, spread};
use crate::support::reset;
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use steadfast::{
    circuit_breaker::{
        CircuitBreakerLayer, Circuits, Config, State,
        state::{Machine, Signal},
    },
    classify::ByResult,
};
use tower::{Layer, ServiceExt, service_fn};

fn config() -> Config {
    settings("A webhook fan-out")
}

/// Opened by five failures at `now`: how long for.
fn opened(circuit: &mut Machine, now: u64) -> Duration {
    while circuit.view(now).state == State::Closed {
        assert!(call(circuit, Signal::Failure, now));
    }
    circuit.view(now).retry_after.unwrap()
}

/// Closed again by one good probe, when its period has ended; the time.
fn closed(circuit: &mut Machine, now: u64) -> u64 {
    let now = now + u64::try_from(circuit.view(now).retry_after.unwrap().as_nanos()).unwrap();
    assert!(call(circuit, Signal::Success, now));
    assert_eq!(circuit.view(now).state, State::Closed);
    now
}

#[tokio::test(start_paused = true)]
async fn the_fifth_failing_delivery_opens_one_destination_and_no_other() {
    let circuits = Circuits::per_origin("webhooks", config());
    let reached = Arc::new(Mutex::new(BTreeMap::<String, u32>::new()));
    let seen = reached.clone();
    let service = CircuitBreakerLayer::with(circuits, ByResult).keyed_by(|to: &String| Some(to)).layer(service_fn(
        move |to: String| {
            let away = to == "away";
            *seen.lock().unwrap().entry(to).or_default() += 1;
            async move { if away { Err::<(), io::Error>(reset()) } else { Ok(()) } }
        },
    ));
    for _ in 0..100 {
        let _ = service.clone().oneshot("away".to_owned()).await;
        service.clone().oneshot("well".to_owned()).await.unwrap();
    }
    let reached = reached.lock().unwrap();
    assert_eq!((reached["away"], reached["well"]), (5, 100));
}

#[test]
fn periods_double_from_thirty_seconds_to_thirty_minutes_less_up_to_half() {
    for seed in 0..100 {
        let (periods, _) = outage(&mut Machine::new(config(), seed), S, 180 * MINUTE);
        assert!(lie_within(&periods, &[30, 60, 120, 240, 480, 960, 1800]), "{periods:?}");
        assert!(periods.len() > 8, "{periods:?}");
    }
}

#[test]
fn a_day_away_costs_between_65_and_80_of_1440_deliveries() {
    let reached = spread(1000, |seed| outage(&mut Machine::new(config(), seed), MINUTE, 1440 * MINUTE).1);
    assert!(*reached.start() >= 65 && *reached.end() <= 80, "{reached:?}");
}

#[test]
fn the_probes_of_a_thousand_destinations_are_spread_over_fifteen_seconds() {
    let mut probes = BTreeMap::<u64, u32>::new();
    for seed in 0..1000 {
        let period = opened(&mut Machine::new(config(), seed), 0);
        *probes.entry(period.as_secs()).or_default() += 1;
    }
    assert_eq!(probes.keys().copied().collect::<Vec<_>>(), (15..30).collect::<Vec<_>>());
    assert!(*probes.values().max().unwrap() <= 100, "{probes:?}");
}

#[test]
fn one_good_probe_closes_it_and_one_that_flaps_stays_open_for_longer() {
    let mut circuit = Machine::new(config(), 1);
    let first = opened(&mut circuit, 0);
    let now = closed(&mut circuit, 0) + 5 * MINUTE;
    let second = opened(&mut circuit, now);
    // one is forgotten for each thirty minutes that it stays closed
    let now = closed(&mut circuit, now) + 60 * MINUTE;
    let third = opened(&mut circuit, now);
    assert!(lie_within(&[first, second], &[30, 60]), "{first:?} {second:?}");
    assert!(lie_within(&[third], &[30]), "{third:?}");
}

#[tokio::test(start_paused = true)]
async fn twenty_thousand_destinations_do_not_push_out_the_two_hundred_that_are_away() {
    let circuits = Circuits::per_origin("webhooks", config()).with_capacity(10_000);
    let service =
        CircuitBreakerLayer::with(circuits.clone(), ByResult).keyed_by(|to: &String| Some(to)).layer(service_fn(
            |to: String| async move { if to.starts_with("away") { Err::<(), io::Error>(reset()) } else { Ok(()) } },
        ));
    for n in 0..200 {
        for _ in 0..5 {
            let _ = service.clone().oneshot(format!("away {n}")).await;
        }
    }
    for n in 0..19_800 {
        service.clone().oneshot(format!("well {n}")).await.unwrap();
    }
    assert!(circuits.len() <= 10_000, "{}", circuits.len());
    for n in 0..200 {
        let circuit = circuits.find(&format!("away {n}")).unwrap();
        assert_eq!(circuit.state(), State::Open, "{n}");
    }
}
