use steadfast::{store::memory::MemoryStore, testing::queue_contract};

#[tokio::test(start_paused = true)]
async fn the_memory_store_keeps_the_laws() {
    queue_contract(&MemoryStore::new()).await.unwrap();
}
