use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::{
    queue::{Attempted, Claim, NewMessage, Queue, QueueStore},
    store::memory::MemoryStore,
    testing::queue_contract,
};

#[tokio::test(start_paused = true)]
async fn the_memory_store_keeps_the_laws() {
    queue_contract(&MemoryStore::new()).await.unwrap();
}

/// A part of a buffer of 64 KiB, as what is received is a part of a connection's buffer. `live` counts the buffers that are not
/// freed.
fn received(part: &'static str, live: &Arc<AtomicUsize>) -> Bytes {
    struct Buffer(Vec<u8>, Arc<AtomicUsize>);
    impl AsRef<[u8]> for Buffer {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Buffer {
        fn drop(&mut self) {
            self.1.fetch_sub(1, SeqCst);
        }
    }
    let mut buffer = part.as_bytes().to_vec();
    buffer.resize(64 << 10, 0);
    live.fetch_add(1, SeqCst);
    Bytes::from_owner(Buffer(buffer, live.clone())).slice(..part.len())
}

#[tokio::test(start_paused = true)]
async fn a_stored_message_holds_none_of_the_buffers_that_it_came_in() {
    let (store, live) = (MemoryStore::new(), Arc::default());
    let queue = Queue::new("hooks", store.clone());
    let mut headers = HeaderMap::new();
    let mut secret = HeaderValue::from_maybe_shared(received("s3cret", &live)).unwrap();
    secret.set_sensitive(true);
    headers.append("x-first", HeaderValue::from_maybe_shared(received("one", &live)).unwrap());
    headers.append("x-first", HeaderValue::from_maybe_shared(received("two", &live)).unwrap());
    headers.append("x-secret", secret);
    let body = received("a fan-out", &live);
    let fan_out = ["crm", "mail"].map(|to| NewMessage::new(body.clone()).with_destination(to));
    drop(body);
    let other = NewMessage::new(received("another", &live)).with_headers(headers.clone()).with_dedupe("k");
    let duplicate = NewMessage::new(received("a duplicate", &live)).with_dedupe("k");
    queue.enqueue_all(Vec::from(fan_out).into_iter().chain([other, duplicate]).collect()).await.unwrap();
    assert_eq!(live.load(SeqCst), 3, "of the test's own headers");
    let claim = Claim { limit: 10, lease: Duration::from_secs(60), max_attempts: 3 };
    let claimed = store.claim("hooks", claim).await.unwrap();
    let bodies: Vec<_> = claimed.iter().map(|message| message.body().as_ref()).collect();
    assert_eq!(bodies, [b"a fan-out".as_slice(), b"a fan-out", b"another"]);
    assert_eq!(claimed[0].body().as_ptr(), claimed[1].body().as_ptr(), "one copy");
    assert_eq!(*claimed[2].headers(), headers);
    assert!(claimed[2].headers()["x-secret"].is_sensitive());
}

#[test]
fn a_shortened_error_holds_no_more_than_it_shows() {
    let error = Attempted::shortened("x".repeat(1 << 20));
    assert_eq!(error.len(), Attempted::ERROR);
    assert!(error.capacity() < 2 * Attempted::ERROR, "{} bytes", error.capacity());
}
