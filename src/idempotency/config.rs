use super::{InFlight, OnUnknown};
use http::Method;
use std::{sync::Arc, time::Duration};

#[cfg(feature = "serde")]
mod written;

/// The settings of an [`IdempotencyLayer`](super::IdempotencyLayer), but for store, scope, name and seal. The defaults and their
/// reasons stand in a table in the [module docs](crate::idempotency#defaults).
///
/// With the feature `serde` it is read from files: durations as `"250ms"`, methods by name, unknown keys refused, and what is
/// not there has its default. [`OnUnknown::Ask`] is code, so it is set on the layer.
///
/// ```
/// use std::time::Duration;
/// use steadfast::{idempotency::{Config, IdempotencyLayer, InFlight, Scope}, store::memory::MemoryStore};
///
/// let config = Config::default()
///     .with_in_flight(InFlight::Wait { at_most: Duration::from_secs(5) })
///     .with_keep(Duration::from_secs(7 * 24 * 3600));
/// let layer = IdempotencyLayer::new(MemoryStore::new(), Scope::shared()).with_config(config);
/// ```
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Config {
    #[cfg_attr(feature = "serde", serde(with = "crate::setting::duration"))]
    lease: Duration,
    #[cfg_attr(feature = "serde", serde(with = "crate::setting::duration"))]
    pub(super) renew_for: Duration,
    #[cfg_attr(feature = "serde", serde(with = "crate::setting::duration"))]
    pub(super) keep: Duration,
    #[cfg_attr(feature = "serde", serde(with = "crate::setting::duration"))]
    pub(super) hold: Duration,
    pub(super) request_limit: usize,
    pub(super) response_limit: usize,
    pub(super) in_flight: InFlight,
    pub(super) max_waiting: usize,
    pub(super) on_unknown: OnUnknown,
    pub(super) fail_open: bool,
    #[cfg_attr(feature = "serde", serde(with = "written::methods"))]
    pub(super) required: Vec<Method>,
    pub(super) strict_keys: bool,
    #[cfg_attr(feature = "serde", serde(with = "written::text"))]
    pub(super) help: Arc<str>,
}

/// The shortest lease: one below would be renewed all the time.
const MIN_LEASE: Duration = Duration::from_millis(30);

impl Config {
    /// How long a claim holds that is not renewed.
    pub const LEASE: Duration = Duration::from_secs(30);
    /// For how long a claim is renewed.
    pub const RENEW_FOR: Duration = Duration::from_secs(3600);
    /// How long an answer is kept.
    pub const KEEP: Duration = Duration::from_secs(24 * 3600);
    /// How long a caller is made to wait for one answer of the store.
    pub const HOLD: Duration = Duration::from_secs(2);
    /// The longest request body, in bytes.
    pub const REQUEST_LIMIT: usize = 1 << 20;
    /// The longest body of an answer that is kept, in bytes.
    pub const RESPONSE_LIMIT: usize = 1 << 20;
    /// How many requests wait at once for the answer of another.
    pub const MAX_WAITING: usize = 1000;

    /// How long a claim holds after the process died; at least 30 ms. It is renewed at a third for as long as the handler runs.
    #[must_use]
    pub const fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// For how long a claim is renewed in all, from its beginning on. A handler that runs longer loses it a lease later: from then
    /// on its key is of unknown outcome, until it ends. One below the lease is the lease.
    #[must_use]
    pub const fn with_renew_for(mut self, renew_for: Duration) -> Self {
        self.renew_for = renew_for;
        self
    }

    /// How long an answer is kept, from its completion.
    #[must_use]
    pub const fn with_keep(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }

    /// The longest that a caller is made to wait for one answer of the store. It is then answered 503 if the key was not claimed
    /// yet, and gets its answer, ahead of the record, if the handler has run.
    #[must_use]
    pub const fn with_hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// The longest request body, in bytes. A longer one is answered with 413.
    #[must_use]
    pub const fn with_request_limit(mut self, bytes: usize) -> Self {
        self.request_limit = bytes;
        self
    }

    /// The longest answer that is kept, in bytes of its body; headers and trailers have a limit of their own,
    /// [`StoredResponse::FIELD_LIMIT`](super::StoredResponse::FIELD_LIMIT). A longer one reaches its caller and is recorded as not
    /// retained: a repeat is answered with 409.
    #[must_use]
    pub const fn with_response_limit(mut self, bytes: usize) -> Self {
        self.response_limit = bytes;
        self
    }

    /// What a request gets whose key is at work.
    #[must_use]
    pub const fn with_in_flight(mut self, in_flight: InFlight) -> Self {
        self.in_flight = in_flight;
        self
    }

    /// How many requests of a layer wait at once, with [`InFlight::Wait`]; the next is answered as with [`InFlight::Refuse`]. Each
    /// of them holds its body in memory.
    #[must_use]
    pub const fn with_max_waiting(mut self, most: usize) -> Self {
        self.max_waiting = most;
        self
    }

    /// What becomes of a key whose run ended nobody knows how.
    #[must_use]
    pub fn with_on_unknown(mut self, on_unknown: OnUnknown) -> Self {
        self.on_unknown = on_unknown;
        self
    }

    /// With `true`, a request that comes while the store does not answer runs without a claim, and is run again when it comes
    /// again. For what may happen twice, but not be refused. Its [`Claim`](super::Claim) says so:
    /// [`is_open`](super::Claim::is_open).
    #[must_use]
    pub const fn with_fail_open(mut self, fail_open: bool) -> Self {
        self.fail_open = fail_open;
        self
    }

    /// Requests of these methods without a key are answered with 400. Safe methods (RFC 9110, 9.2.1) never need one.
    #[must_use]
    pub fn with_required(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.required = methods.into_iter().collect();
        self
    }

    /// With `true`, only keys in the quoted form that the draft asks for; others are answered with 400.
    #[must_use]
    pub const fn with_strict_keys(mut self, strict: bool) -> Self {
        self.strict_keys = strict;
        self
    }

    /// The page about keys in your documentation: refusals point to it (`Link`, `rel="describedby"`).
    #[must_use]
    pub fn with_help(mut self, uri: impl Into<Arc<str>>) -> Self {
        self.help = uri.into();
        self
    }

    pub(super) fn lease(&self) -> Duration {
        self.lease.max(MIN_LEASE)
    }

    /// Somebody may want to know which keys are at work in this process.
    pub(super) fn tracks_runs(&self) -> bool {
        matches!(self.in_flight, InFlight::Wait { .. }) || matches!(self.on_unknown, OnUnknown::Ask(_))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease: Self::LEASE,
            renew_for: Self::RENEW_FOR,
            keep: Self::KEEP,
            hold: Self::HOLD,
            request_limit: Self::REQUEST_LIMIT,
            response_limit: Self::RESPONSE_LIMIT,
            in_flight: InFlight::Refuse,
            max_waiting: Self::MAX_WAITING,
            on_unknown: OnUnknown::Fail,
            fail_open: false,
            required: Vec::new(),
            strict_keys: false,
            help: "https://docs.rs/steadfast/latest/steadfast/guide/idempotency/".into(),
        }
    }
}
