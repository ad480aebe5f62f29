//! `docs/choosing-thresholds.md`: the settings are read from the page, and every number on it is one of these tests.

mod busy;
mod partner;
mod webhooks;

use std::{ops::RangeInclusive, time::Duration};
use steadfast::circuit_breaker::{
    Config, State,
    state::{Machine, Signal},
};

const PAGE: &str = include_str!("../../docs/choosing-thresholds.md");

const TESTS: [(&str, &str); 3] = [
    ("busy", include_str!("thresholds/busy.rs")),
    ("partner", include_str!("thresholds/partner.rs")),
    ("webhooks", include_str!("thresholds/webhooks.rs")),
];

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;
const MINUTE: u64 = 60 * S;
const QUICK: Duration = Duration::from_millis(20);

/// The settings that the page gives under the title that begins so.
fn settings(title: &str) -> Config {
    let section = PAGE.split("\n# ").find(|section| section.starts_with(title)).unwrap();
    let json = section.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    serde_json::from_str(json).unwrap()
}

/// One call that comes to `signal` at once; whether it was let through.
fn call(circuit: &mut Machine, signal: Signal, now: u64) -> bool {
    let permit = circuit.admit(now);
    let admitted = permit.is_ok();
    if let Ok(permit) = permit {
        circuit.record(permit, signal, None, QUICK, now);
    }
    admitted
}

fn is_open(circuit: &mut Machine, now: u64) -> bool {
    circuit.view(now).state == State::Open
}

/// The length of each open period, for as long as every call fails: one call `every` so often, for `length`. And how many
/// calls got through in all.
fn outage(circuit: &mut Machine, every: u64, length: u64) -> (Vec<Duration>, u32) {
    let (mut periods, mut reached) = (Vec::new(), 0);
    for now in (0..length).step_by(usize::try_from(every).unwrap()) {
        if call(circuit, Signal::Failure, now) {
            reached += 1;
            periods.extend(circuit.view(now).retry_after);
        }
    }
    (periods, reached)
}

/// Whether every period lies between half of its step, in seconds, and all of it; the last step stays.
fn lie_within(periods: &[Duration], steps: &[u64]) -> bool {
    let last = steps.last().unwrap();
    let steps = steps.iter().chain(std::iter::repeat(last));
    let within = |(period, step): (&Duration, &u64)| {
        let step = Duration::from_secs(*step);
        (step / 2..=step).contains(period)
    };
    !periods.is_empty() && periods.iter().zip(steps).all(within)
}

/// The least and the most of what it comes to by chance.
fn spread(seeds: u64, of: impl FnMut(u64) -> u32) -> RangeInclusive<u32> {
    let all: Vec<u32> = (0..seeds).map(of).collect();
    *all.iter().min().unwrap()..=*all.iter().max().unwrap()
}

#[test]
fn the_page_names_every_test_of_a_setting_and_no_other() {
    let mut written = Vec::new();
    for (module, text) in TESTS {
        let functions = text.lines().zip(text.lines().skip(1)).filter(|(above, _)| above.contains("test"));
        let names = functions.filter_map(|(_, line)| line.trim_start_matches("async ").strip_prefix("fn "));
        written.extend(names.map(|name| format!("{module}::{}", name.split('(').next().unwrap())));
    }
    let here = |part: &&str| part.split_once("::").is_some_and(|(module, _)| TESTS.iter().any(|test| test.0 == module));
    let mut named: Vec<_> = PAGE.split('`').filter(here).map(str::to_owned).collect();
    written.sort();
    named.sort();
    named.dedup();
    assert_eq!(named, written);
    assert!(named.len() > 15, "{named:?}");
}

#[test]
fn every_row_of_the_page_names_a_test() {
    let rows: Vec<_> = PAGE.lines().filter(|line| line.starts_with('|') && !line.starts_with("| ---")).collect();
    let heads = rows.iter().filter(|row| row.ends_with("| shown by |")).count();
    let shown = rows.iter().filter(|row| row.rsplit('|').nth(1).unwrap().contains("::")).count();
    assert_eq!(heads, TESTS.len());
    assert_eq!(heads + shown, rows.len());
}
