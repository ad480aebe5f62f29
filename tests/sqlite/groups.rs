//! Many share a commit, and each hears of it.

use super::{
    enqueue,
    gate::{Gate, handed_in},
    up_to, with_table,
};
use std::{collections::BTreeSet, time::Duration};
use steadfast::{
    queue::QueueStore,
    registry::{Registry, Value},
    store::sqlite::SqliteStore,
};
use tokio::{task::JoinSet, time::timeout};

fn shown(registry: &Registry, what: &str) -> u64 {
    let snapshot = registry.snapshot();
    let value = snapshot[0].state.iter().find(|(name, _)| *name == what).map(|(_, value)| value);
    let Some(Value::Count(n)) = value else { panic!("no count: {value:?}") };
    *n
}

#[tokio::test(flavor = "multi_thread")]
async fn of_256_tasks_each_message_is_stored_once_and_commits_are_shared() {
    let registry = Registry::new();
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("store.db")).unwrap().with_registry(&registry);
    let mut tasks = JoinSet::new();
    for task in 0..256 {
        let store = store.clone();
        tasks.spawn(async move {
            for n in 0..8 {
                enqueue(&store, "q", format!("{task}-{n}")).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let claimed = store.claim("q", up_to(10_000)).await.unwrap();
    let bodies: BTreeSet<_> = claimed.iter().map(|message| message.body().clone()).collect();
    assert_eq!((claimed.len(), bodies.len()), (2_048, 2_048));
    let (jobs, commits) = (shown(&registry, "jobs"), shown(&registry, "commits"));
    assert_eq!(jobs, 2_049);
    assert!(commits <= jobs / 4, "{jobs} jobs in {commits} commits");
}

#[tokio::test]
async fn what_arrives_meanwhile_shares_one_commit_and_the_registry_shows_who_waits() {
    let registry = Registry::new();
    let (_dir, store) = with_table().await;
    let store = store.with_registry(&registry);
    let gate = Gate::close(&store).await;
    let mut tasks = JoinSet::new();
    for n in 0..100 {
        let store = store.clone();
        tasks.spawn(async move { enqueue(&store, "q", n.to_string()).await.unwrap() });
    }
    handed_in().await;
    assert_eq!(shown(&registry, "waiting"), 100);
    while shown(&registry, "writer_busy_ms") == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let before = shown(&registry, "commits");
    gate.open().await;
    while tasks.join_next().await.is_some() {}
    assert_eq!(shown(&registry, "commits") - before, 2, "the gate's, and one for the hundred");
    assert_eq!(shown(&registry, "waiting"), 0);
}

#[tokio::test]
async fn the_last_handle_leaves_what_was_handed_in_and_a_closed_file() {
    let (dir, store) = with_table().await;
    let gate = Gate::close(&store).await;
    let last = store.clone();
    let task = tokio::spawn(async move { enqueue(&last, "q", "last".into()).await });
    handed_in().await;
    drop(store);
    gate.open().await;
    task.await.unwrap().unwrap();
    let log = dir.path().join("store.db-wal");
    let closed = async {
        while log.exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(5), closed).await.expect("the file is closed, and its log with it");
    let store = SqliteStore::open(dir.path().join("store.db")).unwrap();
    assert_eq!(store.stats("q").await.unwrap().ready, 1);
}
