//! Everything in this process: for tests, for one instance that may forget, and as the yardstick for the other backends.
//!
//! You want it where losing records with the process is acceptable. You do not want it behind a load balancer: each instance
//! would know only its own keys.
//!
//! ```
//! use steadfast::store::memory::MemoryStore;
//!
//! let store = MemoryStore::new();
//! let same = store.clone(); // a handle: both are the one store
//! assert_eq!(store.id(), same.id());
//! ```
//!
//! Records of the idempotency pattern are bounded:
//!
//! | setting | default | counts |
//! | --- | --- | --- |
//! | `with_max_records` | 1,000,000 | running claims and completed records |
//! | `with_max_bytes` | 256 MiB | bodies, headers and trailers, and 256 bytes for each record |
//!
//! Bytes are counted, not weighed: a million records with two headers and a body of 26 bytes took 459 bytes each of the heap.
//!
//! Nothing that is running or has not expired is ever evicted. A full store refuses new keys with a
//! [`StoreError`](crate::error::StoreError) (the layer answers 503); an answer that does not fit any more is recorded as not
//! retained, so that its request is still never run twice. Expired records go as new keys come, two for one, or by `sweep`.
//!
//! Messages of queues are not bounded: what was accepted must not be lost, so bound what is accepted. Bodies and header values are
//! copied when they are enqueued, since a body that was received may be a small slice of a large buffer. The memory of what a sweep or a
//! purge removes is freed (an allocator may keep it for later), and a queue with no message and no dedupe key takes none. Everything that a worker
//! does takes a time that grows with the logarithm of the number of messages; counting them (`stats`) and looking through dead
//! letters take a time that grows with their number.
//!
//! Guarantees. Clones are the same store. Leases and expiry are by tokio's clock, which tests can pause. No call waits: each is
//! done when its future is made, under one lock (for records: that of a shard, in time that does not grow with their number).

mod handle;
#[cfg(feature = "idempotency")]
mod idempotency;
#[cfg(feature = "queue")]
mod queue;

pub use handle::MemoryStore;
