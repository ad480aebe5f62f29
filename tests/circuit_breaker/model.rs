//! Any sequence of events, against what must always hold.

use crate::support::{SECOND, n};
use proptest::prelude::*;
use std::{collections::VecDeque, time::Duration};
use steadfast::{
    circuit_breaker::{
        Config, Reason, State, Window,
        state::{Machine, Permit, Signal},
    },
    setting::Ratio,
};

fn signals() -> impl Strategy<Value = Signal> {
    prop_oneof![
        5 => Just(Signal::Success),
        5 => Just(Signal::Failure),
        1 => Just(Signal::Overloaded),
        1 => Just(Signal::Neutral),
        1 => Just(Signal::Dropped),
    ]
}

/// Milliseconds to wait, then: begin a call, end the oldest or newest one, do something by hand, or set the clock back.
fn events() -> impl Strategy<Value = Vec<(u64, u8, Signal)>> {
    prop::collection::vec((0_u64..3000, prop_oneof![9 => 0_u8..4, 1 => 4_u8..10], signals()), 1..400)
}

fn config() -> impl Strategy<Value = Config> {
    (1_u32..6, 1_u32..5, any::<bool>(), any::<bool>(), any::<bool>(), 0_u32..3).prop_map(
        |(run, permits, time, slow, rate, ramp)| {
            let window = if time { Window::time(10 * SECOND, 4) } else { Window::calls(7, 4) };
            let mut config = Config::default()
                .with_consecutive_failures(n(run))
                .with_half_open_permits(n(permits))
                .with_ramp_up(ramp * 4 * SECOND)
                .with_window(window.unwrap());
            if slow {
                config = config.with_slow_rate(Ratio::HALF).with_slow(SECOND);
            }
            if rate { config } else { config.without_failure_rate() }
        },
    )
}

fn by_hand(circuit: &mut Machine, what: u8, config: &Config, now: u64) {
    match what {
        4 => circuit.force_open(Some(SECOND), now),
        5 => circuit.disable(Some(SECOND), now),
        6 => circuit.shadow(Some(SECOND), now),
        7 => circuit.reset(now),
        _ => circuit.configure(config.clone(), now),
    }
}

proptest! {
    #[test]
    fn it_never_wedges_and_never_lets_out_more_probes_than_permits(
        config in config(),
        permits in 1_u32..5,
        ramp in 0_u32..3,
        events in events(),
    ) {
        let config = config.with_half_open_permits(n(permits));
        let another = config.clone().with_ramp_up(ramp * 7 * SECOND);
        let mut circuit = Machine::new(config, 3);
        let mut out: VecDeque<Permit> = VecDeque::new();
        let mut now = 0;
        let mut refused_in_a_row = 0;
        for (wait, what, signal) in events {
            now += wait * 1_000_000;
            let permit = match what {
                0 | 1 => {
                    let before = circuit.view(now);
                    let admitted = circuit.admit(now);
                    if let Err(no) = &admitted && before.state == State::Closed {
                        // nothing but a ramp refuses while it is closed, and never ten in a row
                        prop_assert!(before.ramp_up.is_some());
                        prop_assert_eq!((no.state(), no.reason()), (State::Closed, Reason::RampingUp));
                        prop_assert!(no.retry_after().is_some());
                        refused_in_a_row += 1;
                        prop_assert!(refused_in_a_row < 10);
                    } else {
                        refused_in_a_row = 0;
                    }
                    out.extend(admitted.ok());
                    None
                }
                2 => out.pop_front(),
                3 => out.pop_back(),
                9 => {
                    // the clock goes back, for one look: as if it stood still
                    let view = circuit.view(now);
                    prop_assert_eq!(view, circuit.view(now / 2));
                    None
                }
                by_hand => {
                    self::by_hand(&mut circuit, by_hand, &another, now);
                    None
                }
            };
            if let Some(permit) = permit {
                let duration = Duration::from_nanos(now - permit.started());
                circuit.record(permit, signal, None, duration, now);
            }
            let view = circuit.view(now);
            prop_assert!(view.probes <= permits);
            prop_assert!(view.failed <= view.calls && view.slow <= view.calls);
            if let Some(share) = view.ramp_up {
                prop_assert!((0.1..=1.0).contains(&share) && view.beneath == State::Closed);
            }
            // asking again, at the same time, says the same
            prop_assert_eq!(view, circuit.view(now));
        }
        // nobody comes back; after a lease and the longest open period a call is let through, and good ones close it
        drop(out);
        now += 3_600_000_000_000;
        let mut good = 0;
        while circuit.view(now).state != State::Closed {
            let permit = circuit.admit(now);
            prop_assert!(permit.is_ok(), "wedged: {:?}", circuit.view(now));
            circuit.record(permit.unwrap(), Signal::Success, None, Duration::ZERO, now);
            good += 1;
            prop_assert!(good <= permits);
        }
        // and after a ramp all go through
        now += 3_600_000_000_000;
        prop_assert_eq!(circuit.view(now).ramp_up, None);
        prop_assert!((0..100).all(|_| circuit.admit(now).is_ok()));
    }

    #[test]
    fn the_windows_count_what_a_list_of_all_calls_counts(calls in prop::collection::vec((0_u64..400, any::<bool>(), any::<bool>()), 1..300)) {
        let quiet = Config::default().without_consecutive_failures().without_failure_rate().with_slow(SECOND);
        let mut last_ten = Machine::new(quiet.clone().with_window(Window::calls(10, 1).unwrap()), 1);
        let mut last_while = Machine::new(quiet.with_window(Window::time(2 * SECOND, 1).unwrap()), 1);
        let mut list: Vec<(u64, bool, bool)> = vec![];
        let mut ms = 0;
        for (wait, failed, slow) in calls {
            ms += wait;
            list.push((ms, failed, slow));
            for circuit in [&mut last_ten, &mut last_while] {
                let permit = circuit.admit(ms * 1_000_000).unwrap();
                let signal = if failed { Signal::Failure } else { Signal::Success };
                let duration = if slow { SECOND } else { Duration::ZERO };
                circuit.record(permit, signal, None, duration, ms * 1_000_000);
            }
            let count = |list: &mut dyn Iterator<Item = &(u64, bool, bool)>| {
                list.fold((0, 0, 0), |(n, f, s), call| (n + 1, f + u64::from(call.1), s + u64::from(call.2)))
            };
            let view = last_ten.view(ms * 1_000_000);
            prop_assert_eq!((view.calls, view.failed, view.slow), count(&mut list.iter().rev().take(10)));
            let view = last_while.view(ms * 1_000_000);
            let first_bucket = (ms / 200).saturating_sub(9);
            prop_assert_eq!(
                (view.calls, view.failed, view.slow),
                count(&mut list.iter().filter(|call| call.0 / 200 >= first_bucket))
            );
        }
    }
}
