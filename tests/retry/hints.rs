//! What the other side says about when to come again.

use crate::script::{Script, get, request, status, with_header};
use std::time::{Duration, SystemTime};
use steadfast::{
    backoff::{Exponential, Jitter},
    classify::Http,
    retry::{Attempts, HttpReplay, RetryLayer, StandardPolicy, Stop},
    time::Clock,
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);

/// Runs one call; its answer, and when each attempt came.
async fn run(script: Script, policy: StandardPolicy) -> (http::Response<crate::script::Body>, Vec<Duration>) {
    let (watch, start) = (script.watch(), Instant::now());
    let response = RetryLayer::new(policy).with_seed(1).layer(script).oneshot(get()).await.unwrap();
    (response, watch.times(start))
}

fn steady(delay: Duration) -> StandardPolicy {
    StandardPolicy::new().with_backoff(Exponential::new(delay, delay).unwrap().with_jitter(Jitter::None))
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_zero_or_in_the_past_is_no_hint() {
    for value in ["0", "Sun, 06 Nov 1994 08:49:37 GMT", "-5", "soon"] {
        let script = Script::new([with_header(503, "retry-after", value), status(200)]);
        let (_, times) = run(script, steady(SECOND)).await;
        assert_eq!(times, [Duration::ZERO, SECOND], "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_a_floor_that_only_grows() {
    for seed in 0..50 {
        let script = Script::new([with_header(503, "retry-after", 2), status(200)]);
        let (watch, start) = (script.watch(), Instant::now());
        RetryLayer::default().with_seed(seed).layer(script).oneshot(get()).await.unwrap();
        let waited = watch.times(start)[1];
        // the backoff goes on top of it, with its own floor
        let (least, most) = (Duration::from_millis(2025), Duration::from_millis(2101));
        assert!(waited >= least && waited <= most, "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_never_shortens_the_backoff() {
    let script = Script::new([with_header(429, "retry-after", 2), status(200)]);
    let (_, times) = run(script, steady(10 * SECOND)).await;
    assert!(times[1] >= 10 * SECOND, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_date_is_read_against_the_date_of_the_answer() {
    // a server whose clock stands in 1994
    let headers = vec![
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
        ("retry-after", "Sun, 06 Nov 1994 08:49:40 GMT".to_owned()),
    ];
    let script = Script::new([crate::script::Step::Status(503, headers), status(200)]);
    let (_, times) = run(script, steady(SECOND)).await;
    assert_eq!(times[1], 4 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_changes_no_wait() {
    /// A year further every time it is read.
    #[derive(Debug, Default)]
    struct Jumping(std::sync::atomic::AtomicU64);
    impl Clock for Jumping {
        fn now(&self) -> SystemTime {
            let years = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            SystemTime::UNIX_EPOCH + Duration::from_secs(years * 365 * 24 * 3600)
        }
    }
    let date = "Thu, 01 Jan 1970 00:00:05 GMT";
    let script = Script::new([status(503), with_header(503, "retry-after", date), status(200)]);
    let (watch, start) = (script.watch(), Instant::now());
    let layer = RetryLayer::with(steady(SECOND), Http::new().with_clock(Jumping::default()), HttpReplay);
    layer.layer(script).oneshot(get()).await.unwrap();
    // read once, for the date
    assert_eq!(watch.times(start), [Duration::ZERO, SECOND, 7 * SECOND]);
}

#[tokio::test(start_paused = true)]
async fn a_hint_beyond_the_cap_gives_the_answer_back_at_once() {
    let script = Script::new([with_header(503, "retry-after", 86_400)]);
    let (response, times) = run(script, StandardPolicy::new()).await;
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"86400".parse().unwrap()));
    assert_eq!(times, [Duration::ZERO]);
    assert_eq!(Attempts::of(response.extensions()).unwrap().stop(), Stop::HintTooFar);

    // just within the cap it is waited for, and the cap can be set
    let script = Script::new([with_header(503, "retry-after", 60), status(200)]);
    assert_eq!(run(script, steady(SECOND)).await.1, [Duration::ZERO, 61 * SECOND]);
    let script = Script::new([with_header(503, "retry-after", 3)]);
    let (response, _) = run(script, StandardPolicy::new().with_hint_cap(2 * SECOND)).await;
    assert_eq!(Attempts::of(response.extensions()).unwrap().stop(), Stop::HintTooFar);
}

#[tokio::test(start_paused = true)]
async fn grpc_pushback_is_the_delay_itself_or_forbids_the_repeat() {
    let policy = || steady(SECOND);
    let pushed = |value: &str| {
        let headers = vec![("grpc-status", "14".to_owned()), ("grpc-retry-pushback-ms", value.to_owned())];
        crate::script::Step::Status(200, headers)
    };
    let (_, times) = run(Script::new([pushed("0"), status(200)]), policy()).await;
    assert_eq!(times, [Duration::ZERO, Duration::ZERO]);
    let (_, times) = run(Script::new([pushed("750"), status(200)]), policy()).await;
    assert_eq!(times, [Duration::ZERO, Duration::from_millis(750)]);
    for value in ["-1", "x", ""] {
        let (response, times) = run(Script::new([pushed(value)]), policy()).await;
        assert_eq!(times.len(), 1, "{value:?}");
        assert_eq!(Attempts::of(response.extensions()).unwrap().stop(), Stop::Pushback);
    }
    // used up wins over a pushback that allows
    let (response, times) = run(Script::new([pushed("0"), pushed("0")]), policy().with_max_retries(1)).await;
    assert_eq!(times.len(), 2);
    assert_eq!(Attempts::of(response.extensions()).unwrap().stop(), Stop::Exhausted);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_grpc_request_says_how_many_attempts_there_were() {
    let script = Script::new([with_header(200, "grpc-status", 14), with_header(200, "grpc-status", 14), status(200)]);
    let watch = script.watch();
    let request = request("POST", &[("content-type", "application/grpc+proto"), ("idempotency-key", "k")]);
    RetryLayer::default().layer(script).oneshot(request).await.unwrap();
    let said =
        watch.seen(|seen| seen.headers.get("grpc-previous-rpc-attempts").map(|v| v.to_str().unwrap().to_owned()));
    assert_eq!(said, [None, Some("1".to_owned()), Some("2".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_reset_in_milliseconds_is_waited_for_and_no_longer() {
    let headers = vec![
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
        ("x-ratelimit-remaining", "0".to_owned()),
        ("x-ratelimit-reset", "784111787000".to_owned()),
    ];
    let script = Script::new([crate::script::Step::Status(429, headers), status(200)]);
    let (_, times) = run(script, steady(SECOND)).await;
    assert!((10 * SECOND..12 * SECOND).contains(&times[1]), "{times:?}");
}
