use steadfast::{store::memory::MemoryStore, testing::idempotency_contract};

#[tokio::test(start_paused = true)]
async fn keeps_the_laws_of_a_store() {
    idempotency_contract(&MemoryStore::new()).await.unwrap();
}
