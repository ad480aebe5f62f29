use super::dedupe_key::scoped;
use crate::{
    dedupe::DedupeKeys,
    time::{Clock, SystemClock},
    token::{Token, fill},
};
use bytes::Bytes;
use http::HeaderMap;
use std::{
    borrow::Cow,
    fmt,
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The name of a message, unlike any other's in any store: a UUID of version 7 (RFC 9562), so ids sort by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 16]);

impl MessageId {
    /// A new one, by the system clock and its random bits.
    pub fn new() -> Self {
        let millis = SystemClock.unix_millis().to_be_bytes();
        let mut id = [0; 16];
        fill(&mut id[6..]);
        id[..6].copy_from_slice(&millis[2..]);
        id[6] = id[6] & 0x0f | 0x70;
        id[8] = id[8] & 0x3f | 0x80;
        Self(id)
    }
}

impl Default for MessageId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MessageId {
    type Err = crate::setting::Invalid;

    /// The form that `Display` writes, with or without hyphens.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = crate::setting::Invalid::new("a message id is 32 hexadecimal digits");
        let digits: Vec<u32> = text.chars().filter(|c| *c != '-').map_while(|c| c.to_digit(16)).collect();
        let length = text.chars().filter(|c| *c != '-').count();
        if digits.len() != 32 || length != 32 {
            return Err(invalid);
        }
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::try_from(pair[0] << 4 | pair[1]).map_err(|_| invalid)?;
        }
        Ok(Self(id))
    }
}

/// A message to be enqueued.
///
/// ```
/// use std::time::Duration;
/// use steadfast::queue::NewMessage;
///
/// let message = NewMessage::new("{\"order\":7}").with_topic("orders").with_dedupe("order-7").with_delay(Duration::from_secs(60));
/// assert_eq!(message.body(), "{\"order\":7}");
/// ```
#[derive(Clone, Default)]
pub struct NewMessage {
    pub(crate) body: Bytes,
    pub(crate) headers: HeaderMap,
    pub(crate) topic: Option<String>,
    pub(crate) destination: Option<String>,
    pub(crate) dedupe: DedupeKeys,
    pub(crate) dedupe_for: Option<Duration>,
    pub(crate) delay: Duration,
    pub(crate) max_age: Option<Duration>,
}

impl NewMessage {
    /// For how long a dedupe key is known by default: senders repeat for days.
    pub const DEDUPE_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
    /// How old a message becomes by default before it is dead as `expired`.
    pub const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

    /// With this body, ready at once.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    /// Carried along (`traceparent`, the content type, the sender's event name).
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// What it is about: for filters, and for the worker.
    #[must_use]
    pub fn with_topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Whom it is for.
    #[must_use]
    pub fn with_destination(mut self, destination: impl Into<String>) -> Self {
        self.destination = Some(destination.into());
        self
    }

    /// Adds a dedupe key: the message is a duplicate if the queue knows one of its keys from a message with the same destination.
    /// May be called several times.
    #[must_use]
    pub fn with_dedupe(mut self, key: impl Into<String>) -> Self {
        self.dedupe = self.dedupe.and(key);
        self
    }

    /// Adds dedupe keys, those with windows of their own included.
    #[must_use]
    pub fn with_dedupe_keys(mut self, keys: DedupeKeys) -> Self {
        self.dedupe = self.dedupe.and_all(keys);
        self
    }

    /// Sets for how long its dedupe keys are known, also after the message is done. Keys with a window of their own keep it.
    /// Default: 7 days.
    #[must_use]
    pub const fn with_dedupe_for(mut self, window: Duration) -> Self {
        self.dedupe_for = Some(window);
        self
    }

    /// Not before this long from now.
    #[must_use]
    pub const fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// How old it may become, from the end of its delay, before it is dead as `expired`: 7 days unless said.
    #[must_use]
    pub const fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Its body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What it is about.
    pub fn topic(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    /// Whom it is for.
    pub fn destination(&self) -> Option<&str> {
        self.destination.as_deref()
    }

    /// Returns its dedupe keys, as they were given.
    pub fn dedupe(&self) -> &[String] {
        self.dedupe.as_slice()
    }

    /// Returns for how long its dedupe keys are known, except those with a window of their own.
    pub fn dedupe_for(&self) -> Duration {
        self.dedupe_for.unwrap_or(Self::DEDUPE_FOR)
    }

    /// Returns each dedupe key as a store keeps it, within the queue, and for how long: the same key of another destination is
    /// another one.
    pub fn dedupe_keys(&self) -> impl Iterator<Item = (Cow<'_, str>, Duration)> {
        let stored =
            |(key, window)| (scoped(self.destination(), key), Option::<Duration>::unwrap_or(window, self.dedupe_for()));
        self.dedupe.iter().map(stored)
    }

    /// How long it is not ready, from now.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// How old it may become.
    pub fn max_age(&self) -> Duration {
        self.max_age.unwrap_or(Self::MAX_AGE)
    }
}

impl fmt::Debug for NewMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewMessage")
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("topic", &self.topic)
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}

/// What fences `extend` and `settle`: a stale worker's are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Of the message.
    pub id: MessageId,
    /// The store's own name for its row.
    pub row: i64,
    /// The attempt that this claim counted.
    pub attempt: u32,
    /// Of this claim.
    pub token: Token,
}

/// A claimed message. Cheap to clone, so that a retry inside the worker's stack can repeat it.
#[derive(Clone)]
pub struct Message {
    pub(crate) lease: Lease,
    pub(crate) epoch: u32,
    pub(crate) queue: Arc<str>,
    pub(crate) topic: Option<Arc<str>>,
    pub(crate) destination: Option<Arc<str>>,
    pub(crate) headers: Arc<HeaderMap>,
    pub(crate) body: Bytes,
    pub(crate) enqueued_at: SystemTime,
    pub(crate) not_sent: u32,
    pub(crate) refused: u32,
}

impl Message {
    /// For stores: a message as it was claimed.
    pub fn claimed(queue: Arc<str>, lease: Lease, epoch: u32, enqueued_at: SystemTime, message: NewMessage) -> Self {
        Self {
            lease,
            epoch,
            queue,
            topic: message.topic.map(Into::into),
            destination: message.destination.map(Into::into),
            headers: Arc::new(message.headers),
            body: message.body,
            enqueued_at,
            not_sent: 0,
            refused: 0,
        }
    }

    /// Sets the counters of what used no attempt, for stores: see [`not_sent`](Self::not_sent) and [`refused`](Self::refused).
    #[must_use]
    pub const fn with_waits(mut self, not_sent: u32, refused: u32) -> Self {
        self.not_sent = not_sent;
        self.refused = refused;
        self
    }

    /// Its name.
    pub fn id(&self) -> MessageId {
        self.lease.id
    }

    /// What fences this claim.
    pub fn lease(&self) -> Lease {
        self.lease
    }

    /// 1 for the first; a crash counts.
    pub fn attempt(&self) -> u32 {
        self.lease.attempt
    }

    /// Returns how many deliveries of the message were provably never sent, before this claim and since the last redrive. They
    /// use no attempt; the next wait after one grows with their number.
    pub fn not_sent(&self) -> u32 {
        self.not_sent
    }

    /// Returns how many times this process or another one refused the message (an open circuit, shed load), before this claim
    /// and since the last redrive. Refusals use no attempt.
    pub fn refused(&self) -> u32 {
        self.refused
    }

    /// 0, and one more for each redrive after the other side had said no for certain.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The name of its queue.
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// What it is about.
    pub fn topic(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    /// Whom it is for.
    pub fn destination(&self) -> Option<&str> {
        self.destination.as_deref()
    }

    /// What was carried along.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Its body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// When it was accepted, by the store's clock.
    pub fn enqueued_at(&self) -> SystemTime {
        self.enqueued_at
    }

    /// The `Idempotency-Key` for calls on its behalf, the same in every attempt: made of id and epoch.
    pub fn idempotency_key(&self) -> String {
        format!("{}-{}", self.lease.id, self.epoch)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.lease.id)
            .field("queue", &self.queue)
            .field("attempt", &self.lease.attempt)
            .field("topic", &self.topic)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}
