use super::latency::Latency;
use std::time::Duration;

/// How long a first attempt is waited for.
#[derive(Debug)]
pub(super) struct Delay {
    at_first: Duration,
    /// `None`: it stays at that.
    latency: Option<Latency>,
}

impl Delay {
    pub(super) const fn fixed(after: Duration) -> Self {
        Self { at_first: after, latency: None }
    }

    pub(super) fn p95(at_first: Duration) -> Self {
        Self { at_first, latency: Some(Latency::new()) }
    }

    pub(super) fn now(&self) -> Duration {
        self.latency.as_ref().and_then(Latency::p95).unwrap_or(self.at_first)
    }

    pub(super) const fn learns(&self) -> bool {
        self.latency.is_some()
    }

    /// A first attempt took this long, or was overtaken after it.
    pub(super) fn record(&self, took: Duration) {
        if let Some(latency) = &self.latency {
            latency.record(took);
        }
    }
}
