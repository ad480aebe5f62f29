use crate::support::{app, request, send};
use http::{Request, StatusCode};
use std::time::Duration;
use steadfast::{
    idempotency::{Config, IdempotencyLayer, InFlight, OnUnknown, Scope},
    store::memory::MemoryStore,
};
use tokio::time::sleep;

#[test]
fn settings_are_read_from_files_and_what_is_not_there_has_its_default() {
    let written = r#"{
        "lease": "10s", "renew_for": "5m", "keep": "7days", "hold": "250ms",
        "request_limit": 1000, "response_limit": 2000,
        "in_flight": {"wait": {"at_most": "1m 30s"}}, "max_waiting": 7,
        "on_unknown": "rerun", "fail_open": true, "required": ["POST", "PURGE"], "strict_keys": true,
        "help": "https://example.com/keys"
    }"#;
    let read: Config = serde_json::from_str(written).unwrap();
    let made = Config::default()
        .with_lease(Duration::from_secs(10))
        .with_renew_for(Duration::from_secs(300))
        .with_keep(Duration::from_secs(7 * 24 * 3600))
        .with_hold(Duration::from_millis(250))
        .with_request_limit(1000)
        .with_response_limit(2000)
        .with_in_flight(InFlight::Wait { at_most: Duration::from_secs(90) })
        .with_max_waiting(7)
        .with_on_unknown(OnUnknown::Rerun)
        .with_fail_open(true)
        .with_required([http::Method::POST, "PURGE".parse().unwrap()])
        .with_strict_keys(true)
        .with_help("https://example.com/keys");
    assert_eq!(format!("{read:?}"), format!("{made:?}"));
    let again: Config = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
    assert_eq!(format!("{again:?}"), format!("{made:?}"));
    let empty: Config = serde_json::from_str("{}").unwrap();
    assert_eq!(format!("{empty:?}"), format!("{:?}", Config::default()));
}

#[test]
fn what_cannot_be_is_refused() {
    for (wrong, why) in [
        (r#"{"leese": "10s"}"#, "unknown field `leese`"),
        (r#"{"lease": 10}"#, "string"),
        (r#"{"lease": "soon"}"#, "`soon` is no duration"),
        (r#"{"required": ["PO ST"]}"#, "`PO ST` is no method"),
        (r#"{"on_unknown": "ask"}"#, "unknown variant `ask`"),
        (r#"{"in_flight": {"wait": {}}}"#, "at_most"),
    ] {
        let error = serde_json::from_str::<Config>(wrong).unwrap_err().to_string();
        assert!(error.contains(why), "{wrong}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_is_what_the_layer_does() {
    let written = r#"{"keep": "1s", "lease": "1ns", "required": ["POST"], "help": "https://example.com/keys"}"#;
    let config: Config = serde_json::from_str(written).unwrap();
    let layer = IdempotencyLayer::new(MemoryStore::new(), Scope::shared()).with_config(config);
    let (app, runs) = app(layer, |_| sleep(Duration::from_secs(1)));
    let missing = send(&app, Request::post("/").body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(
        (missing.status, &missing.headers["link"]),
        (StatusCode::BAD_REQUEST, &"<https://example.com/keys>; rel=\"describedby\"".parse().unwrap())
    );
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::OK, "a lease is never too short to be renewed");
    assert!(send(&app, request("k", "")).await.replayed());
    sleep(Duration::from_secs(2)).await;
    assert!(!send(&app, request("k", "")).await.replayed());
    assert_eq!(runs.get(), 2);
}
