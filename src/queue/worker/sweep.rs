//! Removes done messages and expired dedupe keys from the store.

use super::{run::Context, store_call::of_store, trouble::Trouble};
use crate::error::StoreError;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// How often, and how much in one commit.
const EVERY: Duration = Duration::from_secs(60);
const MOST: usize = 1000;
/// For how long a worker that stops goes on removing, if its drain limit leaves so much.
const AT_STOP: Duration = Duration::from_secs(1);

/// At once, since some workers live for less than the first interval, and then for ever.
pub(super) async fn keep(context: Arc<Context>) {
    let mut random = context.random.stream();
    let mut trouble = Trouble::default();
    loop {
        match all(&context).await {
            Ok(()) => trouble.is_over(context.queue.name(), SWEEP),
            Err(error) => trouble.report(context.queue.name(), SWEEP, error.to_string()),
        }
        // several workers on one store do not all come at once
        sleep(EVERY.mul_f64(0.5 + random.f64())).await;
    }
}

const SWEEP: &str = "sweep";

/// Removes what this worker has done, if `keep_done` is short.
pub(super) async fn at_stop(context: &Context, deadline: Instant) {
    let by = deadline.min(Instant::now() + AT_STOP);
    if let Ok(Err(error)) = timeout_at(by, all(context)).await {
        Trouble::default().report(context.queue.name(), SWEEP, error.to_string());
    }
}

async fn all(context: &Context) -> Result<(), StoreError> {
    let queue = &context.queue;
    let batch = async || queue.store().sweep(queue.name(), context.config.keep_done, MOST).await;
    while of_store(batch()).await? >= MOST {}
    Ok(())
}
