use super::{Attempted, MessageId, Reason};
use bytes::Bytes;
use http::HeaderMap;
use std::{fmt, time::SystemTime};

/// A message that could not be done, with all that is known about why.
#[derive(Clone)]
pub struct DeadLetter {
    /// Its name.
    pub id: MessageId,
    /// Why it is dead.
    pub reason: Reason,
    /// When it died, by the store's clock.
    pub died_at: SystemTime,
    /// When it was accepted, by the store's clock.
    pub enqueued_at: SystemTime,
    /// How many attempts there were since it was accepted or last redriven.
    pub attempts: u32,
    /// How many deliveries were provably never sent, and used no attempt, since it was accepted or last redriven.
    pub not_sent: u32,
    /// How many times it was refused before it was sent, and used no attempt, since it was accepted or last redriven.
    pub refused: u32,
    /// How many redrives there were after a certain no.
    pub epoch: u32,
    /// What it is about.
    pub topic: Option<String>,
    /// Whom it was for.
    pub destination: Option<String>,
    /// What was carried along.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// What came of each attempt, and what people did: oldest first, the newest [`Attempted::KEPT`].
    pub history: Vec<Attempted>,
}

impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("id", &self.id)
            .field("reason", &self.reason)
            .field("attempts", &self.attempts)
            .field("not_sent", &self.not_sent)
            .field("refused", &self.refused)
            .field("history", &self.history)
            .finish_non_exhaustive()
    }
}

/// Which dead letters: all conditions that are set hold together.
///
/// ```
/// use steadfast::queue::{Filter, Reason};
///
/// let rejected_orders = Filter::all().reason(Reason::Rejected).topic("orders");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub(crate) ids: Option<Vec<MessageId>>,
    pub(crate) reason: Option<Reason>,
    pub(crate) topic: Option<String>,
    pub(crate) destination: Option<String>,
    pub(crate) died_before: Option<SystemTime>,
    pub(crate) died_after: Option<SystemTime>,
}

impl Filter {
    /// All of them.
    pub fn all() -> Self {
        Self::default()
    }

    /// This one.
    pub fn id(id: MessageId) -> Self {
        Self::ids([id])
    }

    /// These.
    pub fn ids(ids: impl IntoIterator<Item = MessageId>) -> Self {
        Self { ids: Some(ids.into_iter().collect()), ..Self::default() }
    }

    /// Dead for this reason.
    #[must_use]
    pub const fn reason(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// About this.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// For this destination.
    #[must_use]
    pub fn destination(mut self, destination: impl Into<String>) -> Self {
        self.destination = Some(destination.into());
        self
    }

    /// Dead since before this moment.
    #[must_use]
    pub const fn died_before(mut self, moment: SystemTime) -> Self {
        self.died_before = Some(moment);
        self
    }

    /// Dead since this moment or later.
    #[must_use]
    pub const fn died_after(mut self, moment: SystemTime) -> Self {
        self.died_after = Some(moment);
        self
    }

    /// For stores that look at each letter: whether this one is meant.
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(&letter.id))
            && self.reason.is_none_or(|reason| reason == letter.reason)
            && self.topic.as_deref().is_none_or(|topic| letter.topic.as_deref() == Some(topic))
            && self.destination.as_deref().is_none_or(|to| letter.destination.as_deref() == Some(to))
            && self.died_before.is_none_or(|moment| letter.died_at < moment)
            && self.died_after.is_none_or(|moment| letter.died_at >= moment)
    }
}
