//! Prefixes, names, and what must not be in any of them.

use crate::{
    redis_server::{RedisServer, url},
    support::{App, begin, store},
};
use std::error::Error;
use steadfast::{
    idempotency::{Begun, IdempotencyStore as _},
    registry::{Registry, Value},
    store::redis::RedisStore,
};

#[tokio::test]
async fn another_prefix_is_another_store() {
    let server = RedisServer::start();
    let one = store(&server).await;
    let other = one.clone().with_prefix("other:");
    assert_ne!(one.id(), other.id());
    for store in [&one, &other] {
        assert!(matches!(store.begin(begin("k")).await.unwrap(), Begun::Acquired { .. }));
    }
    let mut names: Vec<_> =
        server.cli(&["KEYS", "*"]).lines().map(|name| name.split_once(':').unwrap().0.to_owned()).collect();
    names.sort();
    assert_eq!(names, ["other", "steadfast"]);
}

/// The error with all that is below it, as `Display` and as `Debug` have it.
fn whole(error: &dyn Error) -> String {
    let below = error.source().map(whole).unwrap_or_default();
    format!("{error} {error:?} {below}")
}

#[tokio::test]
async fn no_password_is_in_an_error_a_name_or_a_debug() {
    let server = RedisServer::with(&["--requirepass", "right-s3cret"]);
    let port = server.port();
    let refused = RedisStore::connect(format!("redis://:wrong-s3cret@127.0.0.1:{port}")).await.unwrap_err();
    assert_eq!(refused.what(), "redis does not permit it");
    let none = RedisStore::connect(url(port)).await.unwrap_err();
    assert_eq!(none.what(), "redis does not permit it", "it is told when it is made, and not by the first request");
    let nobody = RedisStore::connect("redis://:s3cret@127.0.0.1:1").await.unwrap_err();
    assert_eq!(nobody.what(), "redis cannot be reached");
    let unusable = RedisStore::connect("redis://u:s3cret@127.0.0.1:99999").await.unwrap_err();
    assert_eq!(unusable.what(), "the address of redis cannot be used");
    for error in [refused, none, nobody, unusable] {
        let whole = whole(&error);
        assert!(!whole.contains("s3cret"), "{whole}");
    }

    let registry = Registry::new();
    let store = RedisStore::connect(format!("redis://:right-s3cret@127.0.0.1:{port}")).await.unwrap();
    let store = store.with_registry(&registry);
    let shown = format!("{store:?} {:?}", registry.snapshot());
    assert!(shown.contains(&format!("127.0.0.1:{port}")) && !shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn the_registry_shows_what_it_was_asked_and_what_failed() {
    let mut server = RedisServer::start();
    let registry = Registry::new();
    let store = store(&server).await.with_name("payments").with_registry(&registry);
    let app = App::over(store);
    app.post("a").await;
    let count = |of: &str| {
        let snapshot = registry.snapshot().remove(0);
        assert_eq!((snapshot.kind, &*snapshot.name), ("store", "payments"));
        let (_, value) = snapshot.state.into_iter().find(|(name, _)| *name == of).unwrap();
        let Value::Count(count) = value else { panic!("{value:?}") };
        count
    };
    // two calls, and two scripts that had to be sent
    assert_eq!((count("commands"), count("failed"), count("replaced")), (4, 0, 0));
    server.kill();
    app.post("b").await;
    assert!(count("failed") >= 2);
}

#[tokio::test]
async fn a_server_that_evicts_is_told_of() {
    for (policy, evicts) in [("noeviction", false), ("volatile-lru", true), ("allkeys-lfu", true)] {
        let server = RedisServer::with(&["--maxmemory-policy", policy]);
        let registry = Registry::new();
        let _store = store(&server).await.with_name("named").with_registry(&registry);
        let state = registry.snapshot().pop().unwrap().state;
        assert!(state.contains(&("evicts", evicts.into())), "{policy}: {state:?}");
    }
}
