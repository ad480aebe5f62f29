use bytes::Bytes;
use std::sync::Arc;
use steadfast::{
    queue::{NewMessage, Queue},
    store::memory::MemoryStore,
    testing::queue_contract,
};

#[tokio::test(start_paused = true)]
async fn the_memory_store_keeps_the_laws() {
    queue_contract(&MemoryStore::new()).await.unwrap();
}

/// A body that came over a connection is a part of the buffer that it was read into.
#[tokio::test(start_paused = true)]
async fn a_message_keeps_no_buffer_that_its_body_was_a_part_of() {
    struct Buffer {
        bytes: Vec<u8>,
        _there: Arc<()>,
    }
    impl AsRef<[u8]> for Buffer {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    let there = Arc::new(());
    let buffer = Bytes::from_owner(Buffer { bytes: vec![b'x'; 8192], _there: there.clone() });
    let queue = Queue::new("q", MemoryStore::new());
    queue.enqueue(NewMessage::new(buffer.slice(..5))).await.unwrap();
    drop(buffer);
    assert_eq!(Arc::strong_count(&there), 1, "8192 bytes are held for a body of 5");
    assert_eq!(queue.stats().await.unwrap().ready, 1);
}
