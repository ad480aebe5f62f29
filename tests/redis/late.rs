//! Commands that reach the server after their caller has stopped waiting.

use crate::{
    proxy::{Fault, Proxy},
    redis_server::RedisServer,
    support::{App, KEEP, answer, begin, fence, names, store, store_at},
};
use http::StatusCode;
use std::time::Duration;
use steadfast::idempotency::{Begun, Fenced, IdempotencyStore as _};
use tokio::time::{sleep, timeout};

#[tokio::test(flavor = "multi_thread")]
async fn a_begin_that_was_held_up_by_the_network_claims_nothing_after_its_release() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let (slow, direct) = (store_at(proxy.port()).await, store(&server).await);
    slow.begin(begin("loads the script")).await.unwrap();
    proxy.set(Fault::Hang);
    let late = begin("k");
    slow.begin(late).await.unwrap_err();
    let before = server.calls("evalsha");
    assert_eq!(direct.release(fence(&late)).await.unwrap(), Fenced::Lost);
    // another process claims the key and frees it, all before the network is back
    let other = begin("k");
    assert!(matches!(direct.begin(other).await.unwrap(), Begun::Acquired { attempt: 1 }));
    assert_eq!(direct.release(fence(&other)).await.unwrap(), Fenced::Done);
    let asked = server.calls("evalsha");
    proxy.set(Fault::Pass);
    timeout(Duration::from_secs(10), async {
        while server.calls("evalsha") == asked {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the late begin comes");
    assert!(asked > before);
    let next = begin("k");
    assert!(matches!(direct.begin(next).await.unwrap(), Begun::Acquired { attempt: 1 }), "the key is free");
    assert_eq!(direct.complete(fence(&next), answer("paid"), KEEP).await.unwrap(), Fenced::Done);
    assert_eq!(direct.get(next.key).await.unwrap(), Some(answer("paid")));
}

#[tokio::test]
async fn of_many_released_tokens_the_latest_are_remembered_and_expire() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let tokens: Vec<_> = (0..40).map(|_| begin("k")).collect();
    for token in &tokens {
        store.release(fence(token)).await.unwrap();
    }
    let [name] = &names(&server)[..] else { panic!("one key: {:?}", names(&server)) };
    assert_eq!(server.cli(&["STRLEN", name]), (3 + 32 * 16).to_string(), "32 of them");
    let left: u64 = server.cli(&["PTTL", name]).parse().unwrap();
    assert!((170_000..=180_000).contains(&left), "{left}");
    for token in &tokens[8..] {
        assert!(store.begin(*token).await.unwrap_err().is_refused());
    }
    assert!(store.get(tokens[0].key).await.unwrap().is_none());
}

#[tokio::test]
async fn a_full_server_frees_a_key() {
    let server = RedisServer::with(&["--maxmemory-policy", "noeviction"]);
    let store = store(&server).await;
    let claimed = begin("k");
    store.begin(claimed).await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = store.begin(begin("other")).await.unwrap_err();
    assert!(full.is_full() && full.is_refused());
    assert_eq!(store.release(fence(&claimed)).await.unwrap(), Fenced::Done);
    assert_eq!(store.release(fence(&begin("unknown"))).await.unwrap(), Fenced::Lost);
}

/// A shutdown waits for the server only because of the one command that may have been sent.
#[tokio::test]
async fn a_server_that_is_gone_is_not_waited_for_at_a_shutdown() {
    let mut server = RedisServer::start();
    let app = App::over(store(&server).await);
    app.post("before").await;
    server.kill();
    // the first finds the connection broken: it cannot know whether its command was sent
    app.post("first").await;
    let seen = app.post("k").await;
    assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
    server.restart();
    timeout(Duration::from_secs(10), app.layer.drained()).await.expect("what may have been sent is given back");
    assert_eq!(app.post("k").await.status, StatusCode::CREATED);
}
