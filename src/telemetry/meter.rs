//! The `metrics` facade, or nothing. A recorder runs on the thread of the call that it counts, often in a drop: its panic ends here.
#![allow(dead_code, reason = "each pattern uses its own of them")]

#[cfg(feature = "metrics")]
use crate::panic::unharmed;
use std::sync::Arc;

/// Adds to a counter. `label`: one more label besides `name`.
#[inline]
pub(crate) fn count(metric: &'static str, name: &Arc<str>, label: (&'static str, &'static str)) {
    #[cfg(feature = "metrics")]
    unharmed(|| metrics::counter!(metric, "name" => name.clone(), label.0 => label.1).increment(1));
    #[cfg(not(feature = "metrics"))]
    let _ = (metric, name, label);
}

/// Sets a gauge.
#[inline]
pub(crate) fn gauge(metric: &'static str, name: &Arc<str>, label: (&'static str, &'static str), value: f64) {
    #[cfg(feature = "metrics")]
    unharmed(|| metrics::gauge!(metric, "name" => name.clone(), label.0 => label.1).set(value));
    #[cfg(not(feature = "metrics"))]
    let _ = (metric, name, label, value);
}

/// How long something takes, for a histogram. Without the feature the clock is not read.
pub(crate) struct Stopwatch {
    #[cfg(feature = "metrics")]
    since: tokio::time::Instant,
}

impl Stopwatch {
    #[inline]
    pub(crate) fn start() -> Self {
        Self {
            #[cfg(feature = "metrics")]
            since: tokio::time::Instant::now(),
        }
    }

    #[inline]
    #[cfg_attr(not(feature = "metrics"), expect(clippy::unused_self, reason = "there is nothing to tell"))]
    pub(crate) fn seconds(&self) -> f64 {
        #[cfg(feature = "metrics")]
        return self.since.elapsed().as_secs_f64();
        #[cfg(not(feature = "metrics"))]
        0.0
    }
}

/// Adds a value to a histogram.
#[inline]
pub(crate) fn observe(metric: &'static str, name: &Arc<str>, value: f64) {
    #[cfg(feature = "metrics")]
    unharmed(|| metrics::histogram!(metric, "name" => name.clone()).record(value));
    #[cfg(not(feature = "metrics"))]
    let _ = (metric, name, value);
}
