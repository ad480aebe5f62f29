//! Instances of the user's service: made ready before anything is claimed for them.

use super::run::Context;
use crate::{
    classify::of_error,
    error::BoxError,
    panic::{Contained, Panic, caught},
    queue::Message,
};
use std::{future::poll_fn, task::Poll, time::Duration};
use tokio::{task::JoinSet, time::timeout};
use tower_service::Service;

/// An instance. A panic of its drop is ignored.
pub(super) type Instance<S> = Contained<S>;

/// Instances that one claim is made for, at most: a service that is always ready would be cloned once for each message of the concurrency.
const MOST: usize = 256;

/// Why no instance is ready.
pub(super) struct Unready {
    pub(super) error: String,
    /// When to ask again, at the earliest.
    pub(super) hint: Duration,
}

impl Unready {
    /// Reads the service's error, whose methods may panic like the service itself.
    fn of(error: impl Into<BoxError>) -> Self {
        let read = caught(|| {
            let mut error = Contained::new(error.into());
            error.with(|error| {
                let hint = of_error(error).hint().and_then(crate::backoff::Hint::after);
                Self { error: error.to_string(), hint: hint.unwrap_or_default() }
            })
        });
        read.and_then(|read| read).unwrap_or_else(|panic| Self::panicked(&panic))
    }

    fn panicked(panic: &Panic) -> Self {
        Self { error: format!("panicked: {panic}"), hint: Duration::ZERO }
    }
}

/// As many instances as are ready at once and have a free place; waits for the first.
pub(super) async fn ready<S>(
    context: &Context,
    service: &mut Instance<S>,
    jobs: &mut JoinSet<()>,
) -> Result<Vec<Instance<S>>, Unready>
where
    S: Service<Message> + Clone,
    S::Error: Into<BoxError>,
{
    while jobs.try_join_next().is_some() {}
    while jobs.len() >= context.config.concurrency {
        jobs.join_next().await;
    }
    let mut first = clone(service)?;
    poll_fn(|cx| match first.with(|first| first.poll_ready(cx)) {
        Ok(polled) => polled.map_err(Unready::of),
        Err(panic) => Poll::Ready(Err(Unready::panicked(&panic))),
    })
    .await?;
    let mut ready = vec![first];
    let free = (context.config.concurrency - jobs.len()).min(MOST);
    while ready.len() < free {
        let Ok(mut next) = clone(service) else { break };
        match poll_fn(|cx| Poll::Ready(next.with(|next| next.poll_ready(cx).map_err(Contained::new)))).await {
            Ok(Poll::Ready(Ok(()))) => ready.push(next),
            // an error comes again when it is the first that is asked
            _ => break,
        }
    }
    Ok(ready)
}

fn clone<S: Clone>(service: &mut Instance<S>) -> Result<Instance<S>, Unready> {
    service.with(|service| service.clone()).map(Contained::new).map_err(|panic| Unready::panicked(&panic))
}

/// Returns the instances that are ready after a claim during which none was held. Bounded by a third of the lease, since nothing
/// extends the lease of a message that has not begun; empty if the service is not ready by then.
pub(super) async fn ready_again<S>(
    context: &Context,
    service: &mut Instance<S>,
    jobs: &mut JoinSet<()>,
) -> Vec<Instance<S>>
where
    S: Service<Message> + Clone,
    S::Error: Into<BoxError>,
{
    let ready = timeout(context.config.lease / 3, ready(context, service, jobs)).await;
    ready.ok().and_then(Result::ok).unwrap_or_default()
}
