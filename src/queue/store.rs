use super::{Attempted, DeadLetter, Filter, Lease, Message, MessageId, NewMessage, Reason};
use crate::{
    classify::{Failure, Outcome},
    error::{BoxFuture, StoreError},
    token::StoreId,
};
use std::time::Duration;

/// What became of a message that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// It is stored, durably if the store is.
    New(MessageId),
    /// One of its dedupe keys is known: nothing was stored. The id is that of the message that brought the key.
    Duplicate(MessageId),
}

impl Enqueued {
    /// Of the message, or of the one that it is a duplicate of.
    pub const fn id(self) -> MessageId {
        match self {
            Self::New(id) | Self::Duplicate(id) => id,
        }
    }
}

/// How to claim.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// At most so many messages.
    pub limit: usize,
    /// For how long, without being extended.
    pub lease: Duration,
    /// A message whose lease lapsed in this attempt or a later one is not claimed again: it is dead as `crashed`.
    pub max_attempts: u32,
}

/// What a claimed message comes to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Settle {
    /// Done.
    Done,
    /// Again after this long; the attempt stays counted.
    Retry {
        /// From now.
        after: Duration,
        /// For the history.
        attempted: Attempted,
    },
    /// Again after this long; the attempt is handed back. Raises the message's counter of the outcome in `attempted`
    /// ([`Message::not_sent`], [`Message::refused`]), if it has one.
    Park {
        /// From now.
        after: Duration,
        /// For the history; one parked right after another takes its place there.
        attempted: Attempted,
    },
    /// It was not begun: ready at once, the attempt is handed back, the history knows nothing of it.
    Release,
    /// It will not be tried again unless a person says so.
    Dead {
        /// Why.
        reason: Reason,
        /// For the history.
        attempted: Attempted,
    },
}

impl Settle {
    /// Returns by how much this raises the message's counters `not_sent` and `refused`, in this order.
    pub fn raises(&self) -> (u32, u32) {
        let Self::Park { attempted, .. } = self else { return (0, 0) };
        let of = |outcome: Outcome| u32::from(attempted.outcome == outcome.as_str());
        (of(Outcome::Failure(Failure::NotSent)), of(Outcome::Refused))
    }
}

/// Refused: the message is not, or no longer, this claim's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseLost;

impl std::fmt::Display for LeaseLost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the lease was lost: the message belongs to a later claim, or is settled")
    }
}

impl std::error::Error for LeaseLost {}

/// How many messages of a queue are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Stats {
    /// Could be claimed now; a lapsed claim counts here.
    pub ready: u64,
    /// Wait for their time: delayed, or to be tried again.
    pub scheduled: u64,
    /// Wait because this side refused or the other asked for patience.
    pub parked: u64,
    /// Claimed, and the lease holds.
    pub claimed: u64,
    /// Done, and still kept.
    pub done: u64,
    /// Dead letters.
    pub dead: u64,
}

impl Stats {
    /// What is accepted and has not ended.
    pub const fn open(&self) -> u64 {
        self.ready + self.scheduled + self.parked + self.claimed
    }
}

/// Where messages live. Object-safe: the queue holds an `Arc<dyn QueueStore>`.
///
/// The laws, checked by the contract suite in [`testing`](crate::testing) (feature `testing`):
///
/// * a durable store answers `enqueue`, `settle`, `redrive` and `purge` only once they would survive the machine;
/// * `claim` counts the attempt, so that a crash counts; leases are by the store's clock;
/// * `extend` and `settle` are refused with [`LeaseLost`] unless row, attempt and token match a running claim. A lease that
///   has lapsed and that nobody claimed since still matches;
/// * a message ends as done or dead and in no other way; dead ones keep their history;
/// * no wait outlasts the greatest age: what is parked, or to be tried again, is dead as `expired` by the first claim after it;
/// * a batch is one commit;
/// * any [`Duration`] is survived, `Duration::MAX` as well: what is further away than a store can say is as far as it can.
pub trait QueueStore: Send + Sync + 'static {
    /// Which store this is.
    fn id(&self) -> StoreId;

    /// Stores messages, all or none; one answer each, in order. Of two with the same dedupe key in one batch the second is a
    /// duplicate. Keys are compared as [`NewMessage::dedupe_keys`] returns them, within the queue; each has its own window.
    fn enqueue<'a>(
        &'a self,
        queue: &'a str,
        batch: Vec<NewMessage>,
    ) -> BoxFuture<'a, Result<Vec<Enqueued>, StoreError>>;

    /// Claims messages that are ready, or whose lease has lapsed: those that have waited longest first. What has become too
    /// old on the way is dead as `expired`, what has lapsed too often as `crashed`; neither is claimed.
    fn claim<'a>(&'a self, queue: &'a str, claim: Claim) -> BoxFuture<'a, Result<Vec<Message>, StoreError>>;

    /// Lets claims hold for `lease` from now; one answer each, in order.
    fn extend(
        &self,
        leases: Vec<Lease>,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Vec<Result<(), LeaseLost>>, StoreError>>;

    /// Says what claimed messages came to; one answer each, in order.
    fn settle(&self, settled: Vec<(Lease, Settle)>) -> BoxFuture<'_, Result<Vec<Result<(), LeaseLost>>, StoreError>>;

    /// Dead letters that the filter means, oldest id first, from after `cursor`, at most `limit`.
    fn dead<'a>(
        &'a self,
        queue: &'a str,
        filter: &'a Filter,
        cursor: Option<MessageId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, StoreError>>;

    /// Makes dead letters ready again, now, with no attempt used, counters at zero and a new age; the epoch rises where the reason
    /// [is certain](Reason::is_certain). History is kept, and says `by` whom. Answers how many of them were dead.
    fn redrive<'a>(
        &'a self,
        queue: &'a str,
        ids: &'a [MessageId],
        by: &'a str,
    ) -> BoxFuture<'a, Result<usize, StoreError>>;

    /// Removes dead letters for good, with those dedupe keys that they brought and no later message has, in one commit: a delivery
    /// that is repeated then is new. Returns how many of them were dead.
    fn purge<'a>(&'a self, queue: &'a str, ids: &'a [MessageId]) -> BoxFuture<'a, Result<usize, StoreError>>;

    /// Removes what has been done for longer than `keep_done`, and dedupe keys whose window is over: at most `most` of each. The
    /// keys of a message that is removed stay until their window is over. Returns how many messages and keys there were.
    fn sweep<'a>(
        &'a self,
        queue: &'a str,
        keep_done: Duration,
        most: usize,
    ) -> BoxFuture<'a, Result<usize, StoreError>>;

    /// How many messages are in which state.
    fn stats<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<Stats, StoreError>>;

    /// Until there may be something to claim: an enqueue of this process, the time of a message that waits, or the store's
    /// own interval for what other processes do. May wake for nothing, and wakes all who wait; what was enqueued between a
    /// claim that found nothing and this call is not missed.
    fn wait<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, ()>;
}

const _: Option<&dyn QueueStore> = None;
