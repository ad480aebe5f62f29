//! The names of everything that can be seen from outside: events, spans and metrics.
//!
//! With the feature `tracing` there are events under the target `steadfast`; with the feature `metrics` there are counters,
//! gauges and histograms through the `metrics` facade. Without them nothing is computed. Every metric carries the label
//! `name`: the name that the layer, circuit or queue was given. No key, body or secret is ever in a label or an event.

mod event;
mod meter;
pub mod names;
#[cfg(feature = "idempotency")]
mod span;

#[allow(unused_imports, reason = "only the patterns have events")]
pub(crate) use event::event;
#[allow(unused_imports, reason = "each pattern uses its own of them")]
pub(crate) use meter::{Stopwatch, count, gauge, observe};
#[cfg(feature = "idempotency")]
pub(crate) use span::in_current_span;
