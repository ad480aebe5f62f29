//! What lies in Redis, seen from there.

use crate::{
    redis_server::RedisServer,
    support::{KEEP, answer, begin, fence, names, store},
};
use std::time::Duration;
use steadfast::idempotency::{Begun, Fenced, IdempotencyStore as _, Recorded};

#[tokio::test]
async fn a_claim_never_expires_and_a_record_does_and_does_not_slide() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let first = begin("k");
    store.begin(first).await.unwrap();
    let [name] = &names(&server)[..] else { panic!("one record is one key") };
    assert_eq!(server.cli(&["PTTL", name]), "-1");
    store.renew(fence(&first), Duration::from_millis(1)).await.unwrap();
    assert_eq!(server.cli(&["PTTL", name]), "-1");
    store.complete(fence(&first), answer("x"), KEEP).await.unwrap();
    let kept: u128 = server.cli(&["PTTL", name]).parse().unwrap();
    assert!((KEEP.as_millis() - 5_000..=KEEP.as_millis()).contains(&kept), "{kept}");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(matches!(store.begin(begin("k")).await.unwrap(), Begun::Completed(_)));
    let after: u128 = server.cli(&["PTTL", name]).parse().unwrap();
    assert!(after < kept, "a replay does not move it");
}

#[tokio::test]
async fn the_leases_are_by_the_servers_clock() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let first = begin("k");
    store.begin(first).await.unwrap();
    let Begun::InFlight { lease_left } = store.begin(begin("k")).await.unwrap() else { panic!("it holds") };
    assert!(lease_left <= first.lease && lease_left > first.lease.mul_f64(0.8), "{lease_left:?}");
    // as if the server's clock had gone on by the lease: the time that is compared is the one it wrote
    let name = &names(&server)[0];
    server.cli(&["SETRANGE", name, "62", "000000000000001"]);
    let Begun::Lapsed { stale, attempt: 1 } = store.begin(begin("k")).await.unwrap() else { panic!("it lapsed") };
    assert_eq!(stale, first.token);
}

#[tokio::test]
async fn a_record_is_small() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let first = begin("k");
    store.begin(first).await.unwrap();
    let name = names(&server).remove(0);
    let size = || server.cli(&["MEMORY", "USAGE", &name]).parse::<usize>().unwrap();
    let claim = size();
    store.complete(fence(&first), answer(vec![b'x'; 1000]), KEEP).await.unwrap();
    assert!(claim <= 256, "{claim} bytes for a claim");
    assert!(size() <= 1000 + 400, "{} bytes for an answer of 1000", size());
}

#[tokio::test]
async fn settings_at_the_ends_of_their_range_are_taken() {
    let server = RedisServer::start();
    let store = store(&server).await;
    for (key, time) in [("least", Duration::ZERO), ("most", Duration::MAX)] {
        let first = steadfast::idempotency::Begin { lease: time, ..begin(key) };
        assert!(matches!(store.begin(first).await.unwrap(), Begun::Acquired { attempt: 1 }));
        assert_eq!(store.renew(fence(&first), time).await.unwrap(), Fenced::Done);
        assert_eq!(store.complete(fence(&first), Recorded::NotRetained, time).await.unwrap(), Fenced::Done);
    }
}

#[tokio::test]
async fn large_and_binary_answers_come_back_as_they_were() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let body: Vec<u8> = (0..=u8::MAX).cycle().take(12 << 20).collect();
    let first = begin("k");
    store.begin(first).await.unwrap();
    assert_eq!(store.complete(fence(&first), answer(body.clone()), KEEP).await.unwrap(), Fenced::Done);
    assert_eq!(store.get(first.key).await.unwrap(), Some(answer(body.clone())));
    let Begun::Completed(found) = store.begin(begin("k")).await.unwrap() else { panic!("it is complete") };
    assert_eq!(found, answer(body));
    // a caller with another request is told so, and not sent twelve megabytes for it
    let before: u64 = sent(&server);
    let mut other = begin("k");
    other.fingerprint.hash = [8; 32];
    assert!(matches!(store.begin(other).await.unwrap(), Begun::Mismatch));
    assert!(sent(&server) - before < 100_000);
}

/// Bytes that the server sent to all its clients.
fn sent(server: &RedisServer) -> u64 {
    let stats = server.cli(&["INFO", "stats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:"));
    line.unwrap().trim_end().parse().unwrap()
}
