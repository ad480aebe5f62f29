use super::{EVERY, Latency, STEPS, step_of, upper_end};
use std::time::Duration;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn steps_follow_each_other_without_a_gap_and_none_is_wider_than_an_eighth() {
    let mut begins = 0;
    for step in 0..STEPS {
        let end = upper_end(step);
        assert!(end > begins, "step {step}");
        assert_eq!(step_of(u32::try_from(begins).unwrap()), step);
        assert_eq!(step_of(u32::try_from(end - 1).unwrap()), step);
        assert!(end - begins == 1 || (end - begins) * 8 <= begins, "step {step}: {begins} to {end}");
        begins = end;
    }
    assert_eq!(begins, 1 << 32);
}

#[test]
fn the_estimate_is_at_most_an_eighth_above_what_ninety_five_of_a_hundred_took() {
    let latency = Latency::new();
    // 1 to 640 ms, each once, in an order that is no order
    for n in 0..640 {
        latency.record(ms(n * 7 % 640 + 1));
    }
    let p95 = latency.p95().unwrap();
    assert!(p95 >= ms(608) && p95 <= ms(608) * 9 / 8, "{p95:?}");
}

#[test]
fn nothing_is_said_before_there_were_enough() {
    let latency = Latency::new();
    for _ in 1..EVERY {
        latency.record(ms(10));
    }
    assert_eq!(latency.p95(), None);
    latency.record(ms(10));
    assert!(latency.p95().unwrap() >= ms(10));
}

#[test]
fn it_follows_a_change_and_forgets_what_was_long_ago() {
    let latency = Latency::new();
    (0..1_000_000).for_each(|_| latency.record(ms(10)));
    (0..128).for_each(|_| latency.record(ms(1000)));
    assert!(latency.p95().unwrap() >= ms(1000));
    (0..8192).for_each(|_| latency.record(ms(10)));
    assert!(latency.p95().unwrap() < ms(12));
}

#[test]
fn durations_beyond_all_measure_are_taken() {
    let latency = Latency::new();
    (0..EVERY).for_each(|_| latency.record(Duration::MAX));
    assert_eq!(latency.p95(), Some(Duration::from_micros(1 << 32)));
    (0..8192).for_each(|_| latency.record(Duration::ZERO));
    assert_eq!(latency.p95(), Some(Duration::from_micros(1)));
}
