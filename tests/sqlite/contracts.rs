use steadfast::{
    store::sqlite::SqliteStore,
    testing::{idempotency_contract, queue_contract},
};

#[tokio::test]
async fn it_keeps_the_laws_of_records() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("store.db")).unwrap();
    idempotency_contract(&store).await.unwrap();
}

#[tokio::test]
async fn it_keeps_the_laws_of_queues() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("store.db")).unwrap();
    queue_contract(&store).await.unwrap();
}
