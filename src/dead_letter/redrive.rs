use super::{Pace, RedriveError, letters::PAGE};
use crate::{
    error::BoxFuture,
    queue::{Filter, MessageId, Queue},
    telemetry::event,
};
use std::{borrow::Cow, future::IntoFuture};
use tokio::time::{Instant, sleep_until};

/// A redrive, to be awaited; made by [`DeadLetters::redrive`](super::DeadLetters::redrive), explained in the
/// [module docs](crate::dead_letter#redrive).
#[derive(Debug, Clone)]
#[must_use = "nothing is redriven before it is awaited"]
pub struct Redrive<'a> {
    queue: &'a Queue,
    filter: Filter,
    by: Cow<'static, str>,
    rate: Option<f64>,
    dry_run: bool,
}

/// What a redrive came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Redriven {
    /// How many the filter meant.
    pub matched: usize,
    /// How many of them are ready again: fewer where somebody else was quicker, none in a dry run.
    pub redriven: usize,
}

impl<'a> Redrive<'a> {
    pub(super) const fn new(queue: &'a Queue, filter: Filter) -> Self {
        Self { queue, filter, by: Cow::Borrowed("unnamed"), rate: None, dry_run: false }
    }

    /// No more than so many a second, evenly spread; all at once unless said.
    pub const fn rate(mut self, per_second: f64) -> Self {
        self.rate = Some(per_second);
        self
    }

    /// Who does it: kept in the history of each message.
    pub fn by(mut self, who: impl Into<Cow<'static, str>>) -> Self {
        self.by = who.into();
        self
    }

    /// Only counts.
    pub const fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    async fn run(self) -> Result<Redriven, RedriveError> {
        let mut so_far = Redriven::default();
        let pace = self.rate.map(Pace::new).transpose().map_err(|invalid| RedriveError::new(so_far, invalid))?;
        let (store, name) = (self.queue.store(), self.queue.name());
        let begun = Instant::now();
        // Whoever was enqueued later is not meant, so that a slow redrive does not run after letters that die meanwhile.
        let until = MessageId::new();
        let mut cursor = None;
        loop {
            let page = store.dead(name, &self.filter, cursor, PAGE).await;
            let page = page.map_err(|error| RedriveError::new(so_far, error))?;
            // each one once: one that dies again has an id that was passed already
            let ids: Vec<_> = page.iter().map(|letter| letter.id).filter(|id| !is_later(*id, until)).collect();
            let Some(last) = ids.last() else { break };
            cursor = Some(*last);
            let mut rest = &ids[..];
            while !rest.is_empty() {
                let many = match &pace {
                    _ if self.dry_run => rest.len(),
                    None => rest.len(),
                    Some(pace) => {
                        sleep_until(pace.due(begun, so_far.matched)).await;
                        pace.allowed(begun.elapsed()).saturating_sub(so_far.matched).clamp(1, rest.len())
                    }
                };
                let (now, later) = rest.split_at(many);
                if !self.dry_run {
                    let redriven = store.redrive(name, now, &self.by).await;
                    so_far.redriven += redriven.map_err(|error| RedriveError::new(so_far, error))?;
                }
                so_far.matched += now.len();
                rest = later;
            }
        }
        event!(
            INFO,
            "dead letters redriven",
            queue = name,
            by = &*self.by,
            matched = so_far.matched,
            redriven = so_far.redriven
        );
        Ok(so_far)
    }
}

/// By the milliseconds that an id begins with: those of one millisecond are in no order.
fn is_later(id: MessageId, than: MessageId) -> bool {
    id.0[..6] > than.0[..6]
}

impl<'a> IntoFuture for Redrive<'a> {
    type Output = Result<Redriven, RedriveError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
