use super::{run::Context, store_call::of_store, trouble::Trouble};
use crate::{
    queue::{Lease, LeaseLost, MessageId, counters::Counters},
    sync::Lock,
    telemetry::event,
    token::Token,
};
use std::{collections::HashMap, sync::Arc};
use tokio::{
    sync::oneshot,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

#[cfg(test)]
mod tests;

const EXTEND: &str = "extending leases";

/// The leases of everything that is running: extended together, one call to the store for all of them.
#[derive(Default)]
pub(super) struct Leases {
    held: Lock<HashMap<Name, (Lease, oneshot::Sender<()>)>>,
}

/// One lease: extended until this is dropped.
pub(super) struct Held {
    leases: Arc<Context>,
    name: Name,
}

/// A store may claim a batch under one token, and a message may be claimed again before its first run has ended.
type Name = (MessageId, Token);

impl Leases {
    /// The receiver is told when the lease is lost.
    pub(super) fn hold(context: &Arc<Context>, lease: Lease) -> (Held, oneshot::Receiver<()>) {
        let (tell, lost) = oneshot::channel();
        let name = (lease.id, lease.token);
        // the sender that it replaces wakes an attempt when it is dropped
        drop(context.leases.held.with(|held| held.insert(name, (lease, tell))));
        (Held { leases: context.clone(), name }, lost)
    }

    /// Extends every third of a lease, for ever: whatever is held is extended before two thirds of it are over, even by a
    /// store that takes a third for it. A store that
    /// does not answer cancels nothing, since nobody else is known to have claimed; it is asked again a third later.
    pub(super) async fn keep(context: Arc<Context>) {
        let lease = context.config.lease;
        let mut trouble = Trouble::default();
        let mut thirds = interval_at(Instant::now() + lease / 3, lease / 3);
        // a third is counted from one call's beginning to the next one's, however long the store takes
        thirds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            thirds.tick().await;
            let held: Vec<Lease> = context.leases.held.with(|held| held.values().map(|(lease, _)| *lease).collect());
            if held.is_empty() {
                continue;
            }
            match timeout(lease / 3, of_store(async { context.queue.store().extend(held.clone(), lease).await })).await
            {
                Ok(Ok(answers)) => {
                    trouble.is_over(context.queue.name(), EXTEND);
                    let lost = held.into_iter().zip(answers).filter(|(_, answer)| *answer == Err(LeaseLost));
                    lost.for_each(|(lease, _)| context.leases.lose(&context, lease));
                }
                Ok(Err(error)) => trouble.report(context.queue.name(), EXTEND, error.to_string()),
                Err(_) => trouble.report(context.queue.name(), EXTEND, "no answer in a third of the lease".to_owned()),
            }
        }
    }

    /// One that is not held any more was settled in the meantime.
    fn lose(&self, context: &Context, lease: Lease) {
        let held = self.held.with(|held| held.remove(&(lease.id, lease.token)));
        if let Some((_, tell)) = held {
            Counters::add(&context.queue.counters().lost);
            event!(
                WARN,
                "lease lost, attempt cancelled",
                queue = context.queue.name(),
                id = lease.id.to_string(),
                attempt = lease.attempt
            );
            let _ = tell.send(());
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // the sender wakes an attempt when it is dropped
        drop(self.leases.leases.held.with(|held| held.remove(&self.name)));
    }
}
