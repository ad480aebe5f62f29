//! The runs of many seeds, and the report of a seed that broke a rule.

use crate::{
    plan::Plan,
    run::{Report, run},
    siblings::Family,
};
use std::{
    fmt::Write,
    num::NonZero,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
};

const SEEDS: u64 = 2_000;

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is not a number")))
}

/// Runs `one` for every seed on all cores, and returns its findings by seed.
fn on_all_cores(seeds: std::ops::Range<u64>, one: impl Fn(u64) -> Option<String> + Sync) -> Vec<(u64, String)> {
    let (next, found) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, SeqCst);
                    if seed >= seeds.end {
                        return;
                    }
                    if let Some(text) = one(seed) {
                        found.lock().unwrap().push((seed, text));
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    found.sort();
    found
}

/// Removes the layers and callers that the breach of this rule does not need.
fn shrunk(plan: &Plan, rule: &str) -> Plan {
    let mut plan = plan.clone();
    let mut at = 0;
    while at < plan.elements.len() {
        let mut fewer = plan.clone();
        fewer.elements.remove(at);
        if run(&fewer).broke(rule) {
            plan = fewer;
        } else {
            at += 1;
        }
    }
    while plan.callers.len() > 1 {
        let mut fewer = plan.clone();
        fewer.callers.pop();
        if !run(&fewer).broke(rule) {
            break;
        }
        plan = fewer;
    }
    plan
}

fn describe(plan: &Plan, report: &Report) -> String {
    let mut text = String::new();
    for breach in &report.breaches {
        _ = writeln!(text, "{}: {}", breach.rule, breach.detail);
    }
    let plan = report.breaches.first().map_or_else(|| plan.clone(), |breach| shrunk(plan, breach.rule));
    _ = writeln!(text, "stack: {:?}\n{:?}, together: {}", plan.elements, plan.servers(), plan.together);
    for (at, event) in run(&plan).trace {
        _ = writeln!(text, "{:>12.3} {event}", at.as_secs_f64() * 1000.0);
    }
    text
}

fn broken(seed: u64) -> Option<String> {
    let plan = Plan::new(seed);
    let report = run(&plan);
    (!report.breaches.is_empty()).then(|| describe(&plan, &report))
}

#[test]
fn random_stacks_keep_every_rule() {
    let one = asked("SEED");
    let first = one.or_else(|| asked("FIRST")).unwrap_or(0);
    let count = if one.is_some() { 1 } else { asked("SEEDS").unwrap_or(SEEDS) };
    let began = tokio::time::Instant::now();
    let found = on_all_cores(first..first + count, broken);
    eprintln!("{count} seeds in {:?}", began.elapsed());
    if std::env::var("SUMMARY").is_ok() {
        for (seed, text) in &found {
            let stack = text.lines().find(|line| line.starts_with("stack: ")).unwrap_or_default();
            eprintln!("{seed}: {} | {stack}", text.lines().next().unwrap_or_default());
        }
    }
    let seeds: Vec<u64> = found.iter().map(|(seed, _)| *seed).collect();
    if let Some((seed, text)) = found.into_iter().min_by_key(|(_, text)| text.len()) {
        panic!("{} of {count} seeds broke a rule: {seeds:?}\nSEED={seed}\n{text}", seeds.len());
    }
}

#[test]
fn random_calls_beside_each_other_have_the_attempts_that_they_have_alone() {
    let one = asked("SEED");
    let first = one.or_else(|| asked("FIRST")).unwrap_or(0);
    let count = if one.is_some() { 1 } else { asked("SEEDS").unwrap_or(SEEDS) };
    let found = on_all_cores(first..first + count, |seed| {
        let family = Family::new(seed);
        let report = family.run();
        (!report.breaches.is_empty()).then(|| {
            let trace: Vec<String> =
                report.trace.iter().map(|(at, event)| format!("{:>10}: {event}", at.as_millis())).collect();
            format!("{:?}\n{family:?}\n{}", report.breaches, trace.join("\n"))
        })
    });
    if let Some((seed, text)) = found.iter().min_by_key(|(_, text)| text.len()) {
        panic!("{} of {count} seeds broke a rule\nSEED={seed}\n{text}", found.len());
    }
}

#[test]
fn the_same_seed_has_the_same_trace() {
    for seed in (0..SEEDS).step_by(40) {
        let (once, again) = (run(&Plan::new(seed)), run(&Plan::new(seed)));
        assert_eq!(once.trace, again.trace, "SEED={seed}");
    }
}
