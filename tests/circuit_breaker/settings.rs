//! Settings from files, and what can be wrong with them.

use serde_json::json;
use std::time::Duration;
use steadfast::{
    backoff::Jitter,
    circuit_breaker::{Circuit, Config, Window},
    setting::Ratio,
};

#[test]
fn an_empty_file_is_the_default_and_the_default_is_written_as_it_is_read() {
    let empty: Config = serde_json::from_str("{}").unwrap();
    assert_eq!(empty, Config::default());
    let written = serde_json::to_value(Config::default()).unwrap();
    assert_eq!(written["open_for"], "5s");
    assert_eq!(written["window"], json!({ "calls": 100, "minimum_calls": 10 }));
    assert_eq!(serde_json::from_value::<Config>(written).unwrap(), Config::default());
}

#[test]
fn durations_are_words_and_rates_are_shares() {
    let read: Config = serde_json::from_value(json!({
        "consecutive_failures": null,
        "failure_rate": 0.25,
        "slow_rate": 1.0,
        "slow": "750ms",
        "window": { "time": "10s", "minimum_calls": 20 },
        "open_for": "1m 30s",
        "jitter": "none",
        "lease": "1m",
        "ramp_up": "30s",
    }))
    .unwrap();
    let made = Config::default()
        .without_consecutive_failures()
        .with_failure_rate(Ratio::new(0.25).unwrap())
        .with_slow_rate(Ratio::ALL)
        .with_slow(Duration::from_millis(750))
        .with_window(Window::time(Duration::from_secs(10), 20).unwrap())
        .with_open_for(Duration::from_secs(90))
        .with_jitter(Jitter::None)
        .with_lease(Duration::from_secs(60))
        .with_ramp_up(Duration::from_secs(30));
    assert_eq!(read, made);
    assert_eq!(serde_json::from_value::<Config>(serde_json::to_value(&made).unwrap()).unwrap(), made);
}

#[test]
fn what_cannot_be_is_refused() {
    for wrong in [
        json!({ "open_for": 5 }),
        json!({ "ramp_up": 5 }),
        json!({ "open_for": "soon" }),
        json!({ "failure_rate": 0.0 }),
        json!({ "failure_rate": 1.5 }),
        json!({ "half_open_permits": 0 }),
        json!({ "consecutive_failures": 0 }),
        json!({ "treshold": 5 }),
        json!({ "window": { "calls": 10, "minimum_calls": 11 } }),
        json!({ "window": { "calls": 0 } }),
        json!({ "window": { "calls": 10, "time": "10s" } }),
        json!({ "window": { "time": "5ms" } }),
        json!({ "window": { "size": 10 } }),
    ] {
        assert!(serde_json::from_value::<Config>(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn a_window_is_checked_when_it_is_made() {
    assert!(Window::calls(0, 1).is_err() && Window::calls(10, 0).is_err());
    assert_eq!(
        Window::calls(10, 11).unwrap_err().to_string(),
        "the minimum of calls lies between 1 and the window's size"
    );
    assert!(Window::calls(10, 10).is_ok());
    assert!(Window::time(Duration::from_millis(10), 1).is_ok());
    assert!(Window::time(Duration::from_micros(9_999), 1).is_err());
    assert!(Window::time(Duration::from_secs(1), 1).unwrap().with_buckets(0).is_err());
    assert!(Window::time(Duration::from_secs(1), 1).unwrap().with_buckets(1001).is_err());
    assert_eq!(Window::calls(10, 10).unwrap().with_buckets(7).unwrap(), Window::calls(10, 10).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_written_flat() {
    let circuit = Circuit::new("payments");
    circuit.open_for(Duration::from_secs(10));
    let written = serde_json::to_value(circuit.snapshot()).unwrap();
    assert_eq!((&written["name"], &written["state"]), (&json!("payments"), &json!("open")));
    assert_eq!((&written["retry_after"], &written["reason"]), (&json!("10s"), &json!("manual")));
    assert_eq!(written["failure_rate"], json!(null));
}
