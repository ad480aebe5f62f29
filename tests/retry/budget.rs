//! How many retries there may be in all.

use crate::script::{Script, Step, error, get, status};
use std::{sync::Arc, time::Duration};
use steadfast::{
    classify::Origin,
    registry::{Value, registry},
    retry::{Allowance, Attempts, Budget, Budgets, NoRetry, Permit, RetryLayer, Stop},
    setting::Ratio,
    timeout::{Elapsed, Limit},
};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceExt};

fn only(retries: u32) -> Budget {
    Budget::new(Allowance::new().with_start(retries).without_trickle())
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_gives_the_answer_back_untouched_and_at_once() {
    let start = Instant::now();
    let layer = RetryLayer::default().with_budget(only(0));
    let script = Script::new([status(503)]);
    let response = layer.layer(script).oneshot(get()).await.unwrap();
    assert_eq!((response.status().as_u16(), start.elapsed()), (503, Duration::ZERO));
    let attempts = Attempts::of(response.extensions()).unwrap();
    assert_eq!((attempts.made(), attempts.stop()), (1, Stop::Budget));

    let script = Script::new([crate::script::io(std::io::ErrorKind::ConnectionReset)]);
    let error = layer.layer(script).oneshot(get()).await.unwrap_err();
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    assert_eq!((kind, start.elapsed()), (Some(std::io::ErrorKind::ConnectionReset), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_successes_at_three_tenths_pay_for_exactly_three_hundred_retries() {
    let allowance = Allowance::new().with_ratio(Ratio::new(0.3).unwrap()).with_start(0).with_most(1000);
    let budget = Budget::new(allowance.without_trickle());
    let layer = RetryLayer::default().with_budget(budget.clone());
    let healthy = layer.layer(Script::always(200));
    for _ in 0..1000 {
        healthy.clone().oneshot(get()).await.unwrap();
    }
    assert_eq!(budget.left(), 300);
    let dead = Script::always(503);
    let watch = dead.watch();
    let dead = layer.layer(dead);
    for _ in 0..1000 {
        dead.clone().oneshot(get()).await.unwrap();
    }
    assert_eq!(watch.calls() - 1000, 300);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_calls_that_all_fail_cost_a_fifth_more_and_the_reserve() {
    let reserve = 25;
    let allowance = Allowance::new().with_ratio(Ratio::new(0.2).unwrap()).with_start(reserve).without_trickle();
    let layer = RetryLayer::default().with_budget(Budget::new(allowance));
    let dead = Script::always(503);
    let watch = dead.watch();
    let dead = layer.layer(dead);
    for _ in 0..1000 {
        dead.clone().oneshot(get()).await.unwrap();
    }
    let most = 1200 + reserve as usize;
    // a call that fails pays in too, or less: never more than its share
    assert!((1000 + reserve as usize..=most).contains(&watch.calls()), "{} calls", watch.calls());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_repeated_still_pays_in() {
    let budget = Budget::new(Allowance::new().with_ratio(Ratio::ALL).with_start(0).without_trickle());
    let layer = RetryLayer::default().with_budget(budget.clone());
    layer.layer(Script::new([status(200)])).oneshot(NoRetry::on(get())).await.unwrap();
    assert_eq!(budget.left(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_after_a_timeout_costs_two() {
    let timeout = || error(Elapsed::new(Limit::Attempt, 1));
    let budget = only(3);
    let layer = RetryLayer::default().with_budget(budget.clone());
    let script = Script::new([timeout(), timeout()]);
    let watch = script.watch();
    layer.layer(script).oneshot(get()).await.unwrap_err();
    assert_eq!((watch.calls(), budget.left()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_permit_goes_back_when_readiness_fails() {
    use crate::script::Ready;
    let budget = only(5);
    let script = Script::new([status(503)]).with_ready([Ready::Yes, Ready::Error]);
    RetryLayer::default().with_budget(budget.clone()).layer(script).oneshot(get()).await.unwrap_err();
    assert_eq!(budget.left(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_spent_when_the_attempt_starts() {
    let budget = only(5);
    let script = Script::new([status(503), Step::Hang]);
    let mut service = RetryLayer::default().with_budget(budget.clone()).layer(script);
    let call = tokio::spawn(service.ready().await.unwrap().call(get()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(budget.left(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_month_of_silence_fills_the_reserve_and_no_more() {
    let budget = Budget::new(Allowance::new());
    (0..10).for_each(|_| budget.withdraw(1).unwrap().spend());
    assert!(budget.withdraw(1).is_none());
    advance(Duration::from_secs(30 * 24 * 3600)).await;
    assert_eq!((0..100).filter(|_| budget.withdraw(1).map(Permit::spend).is_some()).count(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_trickle_is_never_faster_than_one_in_two_seconds() {
    let budget = Budget::new(Allowance::new().with_start(0).with_trickle(Duration::from_millis(1)));
    let mut retries = 0;
    for _ in 0..1000 {
        advance(Duration::from_millis(20)).await;
        retries += u32::from(budget.withdraw(1).map(Permit::spend).is_some());
    }
    assert_eq!(retries, 10); // in 20 s
}

#[tokio::test(start_paused = true)]
async fn one_budget_serves_several_layers_and_all_their_clones() {
    let budget = only(3);
    let (a, b) = (RetryLayer::default().with_budget(budget.clone()), RetryLayer::default().with_budget(budget.clone()));
    a.clone().layer(Script::always(503)).clone().oneshot(get()).await.unwrap();
    assert_eq!(budget.left(), 1);
    let script = Script::always(503);
    let watch = script.watch();
    b.layer(script).oneshot(get()).await.unwrap();
    assert_eq!((watch.calls(), budget.left()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_only_the_policy_counts() {
    let script = Script::always(503);
    let watch = script.watch();
    let service = RetryLayer::default().without_budget().layer(script);
    for _ in 0..100 {
        service.clone().oneshot(get()).await.unwrap();
    }
    assert_eq!(watch.calls(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_dead_origin_does_not_use_up_the_retries_of_another() {
    let budgets = Budgets::per_origin(Allowance::new().with_start(2).without_trickle());
    let layer = RetryLayer::default().with_budget(budgets.clone());
    let to = |origin: &str| {
        let mut request = get();
        *request.uri_mut() = origin.parse().unwrap();
        request
    };
    let script = Script::always(503);
    let watch = script.watch();
    let service = layer.layer(script);
    for _ in 0..10 {
        service.clone().oneshot(to("http://dead.example/")).await.unwrap();
    }
    assert_eq!(watch.calls(), 12);
    service.clone().oneshot(to("http://other.example:80/")).await.unwrap();
    assert_eq!(watch.calls(), 15);
    let left = |origin| budgets.of(Origin::parse(origin)).unwrap().left();
    assert_eq!(
        (left("HTTP://Dead.Example:80"), left("http://other.example"), left("https://other.example")),
        (0, 0, 2)
    );
    assert_eq!(budgets.of(None).unwrap().left(), 2);
}

#[tokio::test(start_paused = true)]
async fn all_spellings_of_an_origin_have_one_budget_and_a_key_has_another() {
    let budgets = Budgets::per_origin(Allowance::new().with_start(4).without_trickle());
    let of = |origin| budgets.of(Some(origin)).unwrap();
    let parsed = |origin| Origin::parse(origin).unwrap();
    for spelling in ["http://api.example.com", "HTTP://API.Example.COM:80/", "http://user:pass@api.example.com"] {
        of(parsed(spelling)).withdraw(1).unwrap().spend();
    }
    assert_eq!(of(parsed("http://api.example.com:80")).left(), 1);
    let others = ["https://api.example.com", "http://api.example.com:8080", "http://api.example.com.", "http://[::1]"];
    for other in
        others.map(parsed).into_iter().chain([Origin::key("http://api.example.com"), Origin::key("api.example.com")])
    {
        assert_eq!(of(other).left(), 4, "{other}");
    }
    of(parsed("http://[::1]:80")).withdraw(1).unwrap().spend();
    assert_eq!(of(parsed("http://[0:0:0:0:0:0:0:1]")).left(), 3);
}

#[tokio::test(start_paused = true)]
async fn origins_beyond_the_limit_share_one_budget() {
    let budgets = Budgets::per_origin(Allowance::new().with_start(1).without_trickle());
    let of = |origin: &str| budgets.of(Origin::parse(origin)).unwrap();
    for n in 0..Budgets::ORIGINS {
        of(&format!("http://host{n}"));
    }
    of("http://one.more").withdraw(1).unwrap().spend();
    assert_eq!(of("http://and.another").left(), 0);
    assert_eq!(budgets.of(None).unwrap().left(), 0);
    assert_eq!(of("http://HOST7:80").left(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_registry_lists_the_layer_with_what_is_left_until_it_is_gone() {
    let find = || {
        let all = registry().snapshot();
        all.into_iter().find(|entry| entry.kind == "retry" && entry.name == "listed here").map(|entry| entry.state)
    };
    let layer = RetryLayer::default().with_name("listed here").with_budget(only(7));
    assert_eq!(layer.name(), "listed here");
    let service = layer.clone().layer(Script::always(503));
    drop(layer);
    service.oneshot(get()).await.unwrap();
    assert_eq!(find(), None);
    let layer = RetryLayer::default().with_budget(only(7)).with_name("listed here");
    let script = Script::always(503);
    layer.layer(script).oneshot(get()).await.unwrap();
    assert_eq!(find(), Some(vec![("budget_left", Value::Count(5))]));
    drop(layer);
    assert_eq!(find(), None);
}

#[test]
fn threads_that_pay_and_take_at_once_lose_nothing() {
    let budget =
        Budget::new(Allowance::new().with_ratio(Ratio::ALL).with_start(0).with_most(100_000).without_trickle());
    let taken = Arc::new(std::sync::atomic::AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..5000_u32 {
                    budget.deposit();
                    let Some(permit) = budget.withdraw(1) else { continue };
                    if n % 2 == 0 {
                        permit.spend();
                        taken.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(budget.left() + taken.load(std::sync::atomic::Ordering::Relaxed), 20_000);
}
