use http::Method;
use std::time::Duration;

/// What a request gets whose key was claimed before by a run of which nobody knows how it ended: its process died, or was cut
/// off from the store for longer than the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnUnknown {
    /// 409 without `Retry-After`, until the run is heard of again or the claim is released by hand: money is not sent twice.
    #[default]
    Fail,
    /// The handler runs again, with the next [`Claim::attempt`](super::Claim::attempt): right where it can find out what was
    /// done, or where its effects share a transaction with the record.
    Rerun,
}

/// The shortest lease: one below would be renewed all the time.
pub(super) const MIN_LEASE: Duration = Duration::from_millis(30);

/// Settings of a layer, with the defaults that the module docs list.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) lease: Duration,
    pub(super) keep: Duration,
    pub(super) hold: Duration,
    pub(super) request_limit: usize,
    pub(super) response_limit: usize,
    pub(super) on_unknown: OnUnknown,
    pub(super) required: Vec<Method>,
    pub(super) strict_keys: bool,
    pub(super) help: &'static str,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            keep: Duration::from_secs(24 * 3600),
            hold: Duration::from_secs(2),
            request_limit: 1 << 20,
            response_limit: 1 << 20,
            on_unknown: OnUnknown::Fail,
            required: Vec::new(),
            strict_keys: false,
            help: "https://docs.rs/steadfast/latest/steadfast/guide/idempotency/",
        }
    }
}
