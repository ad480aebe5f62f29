//! Every step of every scenario in `tests/data/circuit_breaker.json` (its `format` says what the words mean), through the machine
//! that the layer runs on.
//!
//! `SCENARIOS=FILE cargo test --all-features --test circuit_breaker scenario_file -- --nocapture` runs another file: a line
//! for each scenario, and a last one with the sums.

use serde_json::{Map, Value};
use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroU32,
    time::Duration,
};
use steadfast::{
    backoff::{Hint, Jitter},
    circuit_breaker::{
        Attempts, Config, Decision, State, Window,
        state::{Machine, Permit, Signal},
    },
    setting::Ratio,
};

type Object = Map<String, Value>;

/// Why a scenario did not pass.
enum Stop {
    Fail(String),
    Unsupported(String),
}

fn unsupported<T>(what: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Unsupported(what.into()))
}

const fn millis(n: u64) -> u64 {
    n * 1_000_000
}

/// What became of the scenarios of a file.
#[derive(Default)]
struct Run {
    lines: Vec<String>,
    passed: usize,
    failed: usize,
    unsupported: usize,
}

fn run_file(text: &str) -> Run {
    let file: Value = serde_json::from_str(text).unwrap();
    let mut all = Run::default();
    for scenario in file["scenarios"].as_array().unwrap() {
        let id = scenario["id"].as_str().unwrap_or("?");
        all.lines.push(match run(scenario) {
            Ok(()) => {
                all.passed += 1;
                format!("{id} pass")
            }
            Err(Stop::Fail(why)) => {
                all.failed += 1;
                format!("{id} FAIL {why}")
            }
            Err(Stop::Unsupported(what)) => {
                all.unsupported += 1;
                format!("{id} unsupported: {what}")
            }
        });
    }
    all.lines.push(format!("{} passed, {} failed, {} unsupported", all.passed, all.failed, all.unsupported));
    all
}

#[test]
fn scenario_file() {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/circuit_breaker.json");
    let path = std::env::var("SCENARIOS").ok();
    let all = run_file(&std::fs::read_to_string(path.as_deref().unwrap_or(own)).unwrap());
    all.lines.iter().for_each(|line| println!("{line}"));
    assert_eq!(all.failed, 0);
    if path.is_none() {
        assert_eq!((all.passed, all.unsupported), (22, 0), "the project's own file passes as a whole");
    }
}

#[test]
fn what_the_first_file_leaves_out() {
    let all = run_file(include_str!("../data/circuit_breaker_more.json"));
    assert_eq!((all.failed, all.unsupported), (0, 0), "{:#?}", all.lines);
    assert_eq!(all.passed, 22);
}

#[test]
fn a_wrong_expectation_fails_and_an_unknown_word_is_unsupported() {
    for (config, step, said) in [
        (
            r"{}",
            r#"{"op": "call", "outcome": "success", "expect": {"state": "open"}}"#,
            "FAIL step 1: state is \"closed\", not \"open\"",
        ),
        (r"{}", r#"{"op": "force_open", "expect": {"permitted": true}}"#, "FAIL step 1: permitted is false, not true"),
        (
            r"{}",
            r#"{"op": "call", "outcome": "success", "expect": {"permitted": false}}"#,
            "FAIL step 1: permitted is true, not false",
        ),
        (r"{}", r#"{"op": "success", "call": "a"}"#, "FAIL step 1: no permit is out under \"a\""),
        (
            r"{}",
            r#"{"op": "call", "outcome": "failure", "expect": {"failure_rate": 0.999}}"#,
            "FAIL step 1: failure_rate is 1.0, not 0.999",
        ),
        (
            r"{}",
            r#"{"op": "call", "outcome": "failure", "expect": {"buffered": 1, "retry_after_ms": 5}}"#,
            "FAIL step 1: retry_after_ms is null, not 5",
        ),
        (r#"{"colour": 1}"#, r"{}", "unsupported: colour"),
        (r#"{"size": -1}"#, r"{}", "unsupported: size"),
        (r#"{"failure_rate": 2}"#, r"{}", "unsupported: failure_rate"),
        (r#"{"window": "ema"}"#, r"{}", "unsupported: window"),
        (r#"{"size": 4, "min_calls": 5}"#, r"{}", "unsupported: window"),
        (r#"{"half_open_decision": "late"}"#, r"{}", "unsupported: half_open_decision"),
        (r#"{"attempts": "never"}"#, r"{}", "unsupported: attempts"),
        (r#"{"count_in_flight_slow": 1}"#, r"{}", "unsupported: count_in_flight_slow"),
        (r#"{"open_backoff": {"kind": "linear", "initial_ms": 5}}"#, r"{}", "unsupported: open_backoff"),
        (r#"{"open_backoff": 5}"#, r"{}", "unsupported: open_backoff"),
        (r"{}", r#"{"op": "dance"}"#, "unsupported: dance"),
        (r"{}", r#"{"op": "call", "outcome": "shrug"}"#, "unsupported: shrug"),
        (r"{}", r#"{"colour": 1}"#, "unsupported: colour"),
        (r"{}", r#"{"op": "call", "outcome": "failure", "effect": {"colour": 1}}"#, "unsupported: colour"),
        (r"{}", r#"{"op": "observe", "expect": {"colour": 1}}"#, "unsupported: colour"),
    ] {
        let text = format!(
            r#"{{"scenarios": [{{"id": "one", "config": {config}, "steps": [{{"op": "observe"}}, {step}]}}]}}"#
        );
        let all = run_file(&text);
        assert_eq!(all.lines[0], format!("one {said}"), "{config} {step}");
        assert_eq!(all.passed, 0);
    }
    let no_steps = run_file(r#"{"scenarios": [{"id": "one", "config": {}}, {"id": "two", "steps": []}]}"#);
    assert_eq!(
        no_steps.lines,
        ["one unsupported: steps", "two unsupported: config", "0 passed, 0 failed, 2 unsupported"]
    );
}

/// The whole of it, as somebody calls it who has scenarios of their own: the lines, and the exit.
#[test]
fn another_file_is_run_by_its_name_and_a_failure_is_seen_in_the_exit() {
    let folder = tempfile::tempdir().unwrap();
    let good = r#"{"id": "good", "config": {}, "steps": [{"op": "force_open", "expect": {"state": "forced_open"}}]}"#;
    let bad = good.replace("forced_open\"}", "closed\"}").replace("good", "bad");
    for (scenarios, exits_well, said) in [
        (good.to_owned(), true, ["good pass", "1 passed, 0 failed, 0 unsupported"]),
        (format!("{good}, {bad}"), false, ["bad FAIL step 0: state is", "1 passed, 1 failed, 0 unsupported"]),
    ] {
        let file = folder.path().join("scenarios.json");
        std::fs::write(&file, format!(r#"{{"scenarios": [{scenarios}]}}"#)).unwrap();
        let mut test = std::process::Command::new(std::env::current_exe().unwrap());
        let out = test.args(["scenario_file", "--nocapture"]).env("SCENARIOS", &file).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        assert_eq!(out.status.success(), exits_well, "{text}");
        assert!(said.iter().all(|line| text.contains(line)), "{text}");
    }
}

fn run(scenario: &Value) -> Result<(), Stop> {
    let Some(config) = scenario["config"].as_object() else { return unsupported("config") };
    let Some(steps) = scenario["steps"].as_array() else { return unsupported("steps") };
    let mut driver = Driver { circuit: Machine::new(settings(config)?, 1), out: HashMap::new(), now: 0 };
    for (n, step) in steps.iter().enumerate() {
        let Some(step) = step.as_object() else { return unsupported("steps") };
        driver.step(step).map_err(|stop| match stop {
            Stop::Fail(why) => Stop::Fail(format!("step {n}: {why}")),
            unsupported @ Stop::Unsupported(_) => unsupported,
        })?;
    }
    Ok(())
}

fn number(object: &Object, key: &str) -> Result<Option<u64>, Stop> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or_else(|| Stop::Unsupported(key.into())),
    }
}

fn ratio(object: &Object, key: &str) -> Result<Option<Ratio>, Stop> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let ratio = value.as_f64().and_then(|share| Ratio::new(share).ok());
            ratio.map(Some).ok_or_else(|| Stop::Unsupported(key.into()))
        }
    }
}

fn nonzero(object: &Object, key: &str) -> Result<Option<NonZeroU32>, Stop> {
    number(object, key)?
        .map(|n| u32::try_from(n).ok().and_then(NonZeroU32::new).ok_or_else(|| Stop::Unsupported(key.into())))
        .transpose()
}

fn settings(given: &Object) -> Result<Config, Stop> {
    const KNOWN: [&str; 16] = [
        "window",
        "size",
        "buckets",
        "min_calls",
        "failure_rate",
        "slow_rate",
        "slow_ms",
        "consecutive_failures",
        "half_open_permits",
        "half_open_decision",
        "open_ms",
        "open_backoff",
        "half_open_max_wait_ms",
        "count_in_flight_slow",
        "attempts",
        "max_retry_after_ms",
    ];
    if let Some(unknown) = given.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return unsupported(unknown);
    }
    let duration = |key| Ok(number(given, key)?.map(Duration::from_millis));
    let size = number(given, "size")?.unwrap_or(100);
    let count = u32::try_from(size).map_err(|_| Stop::Unsupported("size".into()))?;
    let minimum = nonzero(given, "min_calls")?.map_or(1, NonZeroU32::get);
    let mut run = nonzero(given, "consecutive_failures")?;
    let invalid = |_| Stop::Unsupported("window".into());
    let window = match given.get("window").and_then(Value::as_str) {
        None | Some("count") => Window::calls(count, minimum).map_err(invalid)?,
        Some("time") => {
            let buckets = nonzero(given, "buckets")?.map_or(10, NonZeroU32::get);
            let window = Window::time(Duration::from_millis(size), minimum);
            window.and_then(|window| window.with_buckets(buckets)).map_err(invalid)?
        }
        Some("consecutive") => {
            run = run.or(nonzero(given, "size")?);
            Window::consecutive()
        }
        Some(_) => return unsupported("window"),
    };
    let in_flight = match given.get("count_in_flight_slow") {
        None | Some(Value::Null) => false,
        Some(value) => value.as_bool().ok_or_else(|| Stop::Unsupported("count_in_flight_slow".into()))?,
    };
    let mut config = Config::default()
        .with_window(window)
        .with_slow(duration("slow_ms")?.unwrap_or(Duration::MAX))
        .with_count_in_flight_slow(in_flight)
        .with_half_open_permits(nonzero(given, "half_open_permits")?.unwrap_or(NonZeroU32::MIN))
        .with_lease(duration("half_open_max_wait_ms")?.unwrap_or(Duration::MAX))
        .with_jitter(Jitter::None)
        .with_max_open_for(Duration::ZERO)
        .without_consecutive_failures()
        .without_failure_rate();
    if let Some(run) = run {
        config = config.with_consecutive_failures(run);
    }
    if let Some(rate) = ratio(given, "failure_rate")? {
        config = config.with_failure_rate(rate);
    }
    if let Some(rate) = ratio(given, "slow_rate")? {
        config = config.with_slow_rate(rate);
    }
    if let Some(open_for) = duration("open_ms")? {
        config = config.with_open_for(open_for);
    }
    if let Some(max) = duration("max_retry_after_ms")? {
        config = config.with_max_retry_after(max);
    }
    if let Some(backoff) = given.get("open_backoff").filter(|backoff| !backoff.is_null()) {
        let Some(backoff) = backoff.as_object() else { return unsupported("open_backoff") };
        let initial = number(backoff, "initial_ms")?.map(Duration::from_millis);
        let max = number(backoff, "max_ms")?.map(Duration::from_millis);
        let doubles = backoff.get("multiplier").is_none_or(|m| m.as_f64() == Some(2.0));
        let (Some(initial), Some("exponential"), true) =
            (initial, backoff.get("kind").and_then(Value::as_str), doubles)
        else {
            return unsupported("open_backoff");
        };
        config = config.with_open_for(initial).with_max_open_for(max.unwrap_or(Duration::from_secs(365 * 24 * 3600)));
    }
    config = match given.get("half_open_decision").and_then(Value::as_str) {
        None | Some("early") => config.with_half_open_decision(Decision::Early),
        Some("all") => config.with_half_open_decision(Decision::All),
        Some(_) => return unsupported("half_open_decision"),
    };
    match given.get("attempts").and_then(Value::as_str) {
        None | Some("reset") => Ok(config.with_attempts(Attempts::Reset)),
        Some("decay") => Ok(config.with_attempts(Attempts::Decay)),
        Some(_) => unsupported("attempts"),
    }
}

struct Driver {
    circuit: Machine,
    /// Permits by the name of their call; under one name, the oldest goes first.
    out: HashMap<String, VecDeque<Permit>>,
    /// Where the clock was set last.
    now: u64,
}

impl Driver {
    fn step(&mut self, step: &Object) -> Result<(), Stop> {
        const KNOWN: [&str; 9] = ["at_ms", "op", "call", "dur_ms", "outcome", "effect", "repeat", "expect", "note"];
        if let Some(unknown) = step.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            return unsupported(unknown);
        }
        self.now = number(step, "at_ms")?.map_or(self.now, millis);
        let now = self.now;
        let op = step.get("op").and_then(Value::as_str).unwrap_or("observe");
        let mut permitted = None;
        for _ in 0..number(step, "repeat")?.unwrap_or(1) {
            permitted = self.operate(op, step, now)?.or(permitted);
        }
        let nothing = Object::new();
        let expect = step.get("expect").and_then(Value::as_object).unwrap_or(&nothing);
        let wanted = expect.get("permitted").and_then(Value::as_bool).or((op == "call").then_some(true));
        // of an op that asks for nothing it says what an `acquire` would come to
        let permitted = permitted.unwrap_or_else(|| self.circuit.would_refuse(now).is_none());
        if let Some(wanted) = wanted
            && wanted != permitted
        {
            return Err(Stop::Fail(format!("permitted is {permitted}, not {wanted}")));
        }
        self.check(expect, now)
    }

    /// Whether a permit was given, where one was asked for.
    fn operate(&mut self, op: &str, step: &Object, now: u64) -> Result<Option<bool>, Stop> {
        let name = step.get("call").and_then(Value::as_str).unwrap_or_default();
        let duration = Duration::from_millis(number(step, "dur_ms")?.unwrap_or(0));
        match op {
            "acquire" => {
                let admitted = self.circuit.admit(now).ok();
                let given = admitted.is_some();
                self.out.entry(name.to_owned()).or_default().extend(admitted);
                return Ok(Some(given));
            }
            "call" => {
                let signal = signal(step.get("outcome").and_then(Value::as_str).unwrap_or_default())?;
                let Ok(permit) = self.circuit.admit(now) else { return Ok(Some(false)) };
                self.complete(permit, signal, step, duration, now)?;
                return Ok(Some(true));
            }
            "observe" => {}
            "open" => self.circuit.open(now),
            "open_for" => self.circuit.open_for(duration, now),
            "half_open" => self.circuit.half_open(now),
            "close" => self.circuit.close(now),
            "reset" => self.circuit.reset(now),
            "force_open" | "isolate" => self.circuit.force_open(None, now),
            "disable" => self.circuit.disable(None, now),
            "metrics_only" => self.circuit.shadow(None, now),
            outcome => {
                let signal = signal(outcome)?;
                let Some(permit) = self.out.get_mut(name).and_then(VecDeque::pop_front) else {
                    return Err(Stop::Fail(format!("no permit is out under {name:?}")));
                };
                self.complete(permit, signal, step, duration, now)?;
            }
        }
        Ok(None)
    }

    fn complete(&mut self, permit: Permit, signal: Signal, step: &Object, dur: Duration, now: u64) -> Result<(), Stop> {
        let nothing = Object::new();
        let effect = step.get("effect").and_then(Value::as_object).unwrap_or(&nothing);
        if let Some(unknown) = effect.keys().find(|key| !["retry_after_ms", "open_for_ms"].contains(&key.as_str())) {
            return unsupported(unknown);
        }
        let hint = number(effect, "retry_after_ms")?.map(|after| Hint::AtLeast(Duration::from_millis(after)));
        let before = self.circuit.view(now);
        self.circuit.record(permit, signal, hint, dur, now);
        if let Some(open_for) = number(effect, "open_for_ms")? {
            // asked for by a result of an earlier state, or against what was done by hand, it moves nothing either
            let counts = matches!(before.state, State::Closed | State::HalfOpen);
            if counts && self.circuit.view(now).stale == before.stale {
                self.circuit.open_for(Duration::from_millis(open_for), now);
            }
        }
        Ok(())
    }

    fn check(&mut self, expect: &Object, now: u64) -> Result<(), Stop> {
        let view = self.circuit.view(now);
        for (key, wanted) in expect {
            let found: Value = match key.as_str() {
                "permitted" => continue,
                "state" if view.state == State::Shadow && wanted == "metrics_only" => continue,
                "state" => view.state.as_str().into(),
                "failure_rate" => view.failure_rate.into(),
                "slow_rate" => view.slow_rate.into(),
                "buffered" => view.calls.into(),
                "failed" => view.failed.into(),
                "successful" => view.successful().into(),
                "slow" => view.slow.into(),
                "not_permitted" => view.refused.into(),
                "retry_after_ms" => view.retry_after.map(|after| after.as_secs_f64() * 1e3).into(),
                _ => return unsupported(key),
            };
            let same = match (found.as_f64(), wanted.as_f64()) {
                (Some(found), Some(wanted)) => (found - wanted).abs() <= 5e-4,
                _ => found == *wanted,
            };
            if !same {
                return Err(Stop::Fail(format!("{key} is {found}, not {wanted}")));
            }
        }
        Ok(())
    }
}

fn signal(outcome: &str) -> Result<Signal, Stop> {
    match outcome {
        "success" => Ok(Signal::Success),
        "failure" => Ok(Signal::Failure),
        "rate_limited" => Ok(Signal::Overloaded),
        "ignore" => Ok(Signal::Neutral),
        "cancel" => Ok(Signal::Dropped),
        unknown => unsupported(unknown),
    }
}
