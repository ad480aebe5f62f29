//! Another server takes over.

use crate::{
    proxy::{Fault, Proxy},
    redis_server::RedisServer,
    support::{App, KEEP, answer, begin, fence, store, store_at},
};
use http::StatusCode;
use steadfast::idempotency::{Begun, Fenced, IdempotencyStore as _};

/// A replica of the server at `primary` that has all of it.
fn replica_of(primary: u16) -> RedisServer {
    let replica = RedisServer::start();
    replica.cli(&["REPLICAOF", "127.0.0.1", &primary.to_string()]);
    replica.cli_until(&["INFO", "replication"], "master_link_status:up");
    replica
}

#[tokio::test]
async fn a_claim_that_was_replicated_survives_a_failover() {
    let mut primary = RedisServer::start();
    let replica = replica_of(primary.port());
    let proxy = Proxy::to(primary.port()).await;
    let app = App::over(store_at(proxy.port()).await);
    app.post("k").await;
    primary.cli(&["WAIT", "1", "5000"]);
    primary.kill();
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    proxy.point_to(replica.port());
    let again = app.post("k").await;
    assert_eq!((again.text.as_str(), again.replayed(), app.runs()), ("run 1", true, 1));
}

/// Replication is asynchronous: a claim that had not arrived is gone, and the same key runs again. What stays true: the token
/// of the run before fits nowhere any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_loses_the_claim_that_was_not_replicated_and_its_token_fits_nowhere() {
    let mut primary = RedisServer::start();
    let replicating = Proxy::to(primary.port()).await;
    let replica = replica_of(replicating.port());
    replicating.set(Fault::Hang);
    let before = store(&primary).await;
    let first = begin("k");
    assert!(matches!(before.begin(first).await.unwrap(), Begun::Acquired { attempt: 1 }));
    primary.kill();
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    let after = store(&replica).await;
    let second = begin("k");
    assert!(
        matches!(after.begin(second).await.unwrap(), Begun::Acquired { attempt: 1 }),
        "nothing is known of the first"
    );
    assert_eq!(after.complete(fence(&first), answer("first"), KEEP).await.unwrap(), Fenced::Lost);
    assert_eq!(after.release(fence(&first)).await.unwrap(), Fenced::Lost);
    assert_eq!(after.complete(fence(&second), answer("second"), KEEP).await.unwrap(), Fenced::Done);
    assert_eq!(after.get(first.key).await.unwrap(), Some(answer("second")));
}

#[tokio::test]
async fn a_read_only_replica_claims_nothing_and_replays_what_it_has() {
    let primary = RedisServer::start();
    let there = App::over(store(&primary).await);
    there.post("done").await;
    let replica = replica_of(primary.port());
    let store = store(&replica).await;
    assert_eq!(store.begin(begin("k")).await.unwrap_err().what(), "this redis is a read-only replica");
    let app = App::over(store);
    assert_eq!(app.post("k").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(app.post("done").await.replayed());
    assert_eq!(app.runs(), 0);
}

/// As behind an address that follows the primary: the old one still answers on the connections that it has.
#[tokio::test]
async fn a_server_that_became_a_replica_is_left_for_the_one_behind_its_address() {
    let old = RedisServer::start();
    let new = replica_of(old.port());
    let proxy = Proxy::to(old.port()).await;
    let app = App::over(store_at(proxy.port()).await);
    app.post("before").await;
    old.cli(&["WAIT", "1", "5000"]);
    new.cli(&["REPLICAOF", "NO", "ONE"]);
    old.cli(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]);
    proxy.point_to(new.port());
    assert_eq!(app.post("k").await.status, StatusCode::CREATED, "the second try of begin is on the new one");
    assert!(app.post("before").await.replayed());
    assert_eq!(app.runs(), 2);
}
