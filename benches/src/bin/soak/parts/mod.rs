//! The parts: a new one is a file and a line in [`PARTS`].
mod circuits;
mod clients;
mod idempotency;
mod peak;
mod queue;
mod registry;
mod retry;
mod server;
mod stores;
mod tenants;
mod waiters;
mod webhook;
mod workers;

use crate::subject::Subject;
use std::time::Duration;
use steadfast::error::{BoxError, BoxFuture};

pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Starts the part. The argument is the duration of the load.
    pub(crate) start: fn(Duration) -> BoxFuture<'static, Result<Subject, BoxError>>,
}

macro_rules! parts {
    ($($name:literal, $start:expr, $about:literal;)*) => {
        pub(crate) const PARTS: &[Part] = &[
            $(Part { name: $name, about: $about, start: |load| Box::pin(async move { ($start)(load).await }) },)*
        ];
    };
}

parts! {
    "hyper", clients::hyper, "ClientStack over hyper-util: responses read, half read, unread, cut; callers that leave; redirects";
    "reqwest", clients::reqwest, "the same over reqwest, which follows redirects";
    "origins", clients::origins, "ClientStack: at least 200,000 origins, one call each, some of which fail";
    "retry", retry::start, "retries, hedges and budgets around services that fail, hang and panic";
    "circuits", circuits::start, "50,000 circuits by key, most of which fail, and new keys all the time";
    "idempotency-memory", idempotency::memory, "new keys, duplicates, waiters, callers that leave, panics, a layer for each request";
    "idempotency-sqlite", idempotency::sqlite, "the same";
    "idempotency-postgres", idempotency::postgres, "the same";
    "idempotency-redis", idempotency::redis, "the same";
    "sqlite-full", idempotency::full, "more answers than fit into a file with `with_max_bytes`, until they expire";
    "queue-memory", queue::memory, "a worker: retries, parks, dead letters, redrives, purges, panics";
    "queue-sqlite", queue::sqlite, "the same";
    "queue-postgres", queue::postgres, "the same";
    "workers-memory", workers::memory, "workers that live for less than a second, ten of them started each second";
    "workers-sqlite", workers::sqlite, "the same";
    "tenants-memory", tenants::memory, "20,000 queues, one after the other, each with its own name and worker";
    "tenants-sqlite", tenants::sqlite, "the same";
    "tenants-postgres", tenants::postgres, "the same";
    "webhook", webhook::start, "VerifyLayer and accept() over sockets: forged, slow, one byte at a time, disconnected";
    "registry", registry::start, "at least 40,000 named layers, queues and circuits, made and dropped";
    "waiters", waiters::start, "subscribers and waiters of circuits and queues that leave";
    "peak-records", peak::records, "1,000,000 records in a MemoryStore, until they expire";
    "peak-messages", peak::messages, "1,000,000 messages in a MemoryStore, until they are done";
}
