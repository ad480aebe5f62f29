//! A disk that is full.

use super::{enqueue, up_to};
use std::num::NonZeroU64;
use steadfast::{
    error::StoreError,
    queue::QueueStore,
    store::sqlite::{SqliteConfig, SqliteStore},
};

#[tokio::test]
async fn a_full_disk_is_an_error_loses_nothing_and_passes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let small = SqliteConfig::new().with_max_bytes(NonZeroU64::new(512 * 1024).unwrap());
    let store = SqliteStore::open_with(&path, small).unwrap();
    let large = "CREATE TABLE large(x BLOB); INSERT INTO large VALUES(zeroblob(100000))";
    store.transaction(move |tx| Ok::<_, StoreError>(tx.execute_batch(large)?)).await.unwrap();
    let mut stored = 0;
    let error = loop {
        match enqueue(&store, "q", "x".repeat(8_000)).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1_000, "it never fills up");
    };
    assert_eq!(error.what(), "the disk is full, or the file as large as it may be");
    assert!(enqueue(&store, "q", "x".repeat(8_000)).await.is_err(), "and stays full");
    assert_eq!(store.stats("q").await.unwrap().ready, stored, "what failed is not there, what was answered is");
    // somebody makes room
    store.transaction(|tx| Ok::<_, StoreError>(tx.execute("DELETE FROM large", [])?)).await.unwrap();
    for _ in 0..5 {
        enqueue(&store, "q", "x".repeat(8_000)).await.unwrap();
    }
    assert_eq!(store.claim("q", up_to(1_000)).await.unwrap().len() as u64, stored + 5);
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.stats("q").await.unwrap().claimed, stored + 5);
}

#[tokio::test]
async fn on_a_full_disk_a_large_message_fails_and_its_small_neighbours_are_stored() {
    use super::gate::{Gate, handed_in};
    let dir = tempfile::tempdir().unwrap();
    let small = SqliteConfig::new().with_max_bytes(NonZeroU64::new(512 * 1024).unwrap());
    let store = SqliteStore::open_with(dir.path().join("store.db"), small).unwrap();
    let gate = Gate::close(&store).await;
    let spawn = |body: String| {
        let store = store.clone();
        tokio::spawn(async move { enqueue(&store, "q", body).await })
    };
    let before = spawn("small".into());
    let large = spawn("x".repeat(1 << 20));
    let after = spawn("small".into());
    handed_in().await;
    gate.open().await;
    assert!(large.await.unwrap().is_err());
    before.await.unwrap().unwrap();
    after.await.unwrap().unwrap();
    assert_eq!(store.stats("q").await.unwrap().ready, 2);
}

#[tokio::test]
async fn a_place_that_cannot_hold_a_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = SqliteStore::open(dir.path().join("no/such/folder/store.db")).unwrap_err();
    assert_eq!(error.what(), "the file cannot be opened");
    assert!(SqliteStore::open(":memory:").is_err(), "readers would see another database");
    let text = dir.path().join("text");
    std::fs::write(&text, "this is a text of the user's, and longer than a header".repeat(100)).unwrap();
    assert_eq!(SqliteStore::open(&text).unwrap_err().what(), "the file is damaged, or no database");
}
