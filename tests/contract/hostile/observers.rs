//! What only looks: a metrics recorder, a tracing subscriber, and the writer that a `Debug` is written to.

use super::world::World;
use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit};
use std::{fmt, sync::Arc};
use tracing::{Event, Subscriber, span, subscriber::Interest};

#[derive(Clone)]
pub(crate) struct Observer(pub(crate) Arc<World>);

impl Observer {
    /// Runs `work` with this as recorder and subscriber of the thread.
    pub(crate) fn watch<T>(self, work: impl FnOnce() -> T) -> T {
        let recorder = self.clone();
        tracing::subscriber::with_default(self, || metrics::with_local_recorder(&recorder, work))
    }
}

impl metrics::Recorder for Observer {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        self.0.called("the registration of a counter");
        Counter::from_arc(Arc::new(self.clone()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        self.0.called("the registration of a gauge");
        Gauge::from_arc(Arc::new(self.clone()))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        self.0.called("the registration of a histogram");
        Histogram::from_arc(Arc::new(self.clone()))
    }
}

impl CounterFn for Observer {
    fn increment(&self, _: u64) {
        self.0.called("a counter");
    }
    fn absolute(&self, _: u64) {
        self.0.called("a counter");
    }
}

impl GaugeFn for Observer {
    fn increment(&self, _: f64) {
        self.0.called("a gauge");
    }
    fn decrement(&self, _: f64) {
        self.0.called("a gauge");
    }
    fn set(&self, _: f64) {
        self.0.called("a gauge");
    }
}

impl HistogramFn for Observer {
    fn record(&self, _: f64) {
        self.0.called("a histogram");
    }
}

impl Subscriber for Observer {
    // of tracing, not of this crate: it is called under a lock of tracing's own
    fn register_callsite(&self, _: &'static tracing::Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        if metadata.target() == "steadfast" {
            self.0.called("a subscriber that is asked");
        }
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        if event.metadata().target() == "steadfast" {
            self.0.called("a subscriber");
        }
    }

    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl fmt::Write for Observer {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        self.0.called("the writer of a Debug");
        Ok(())
    }
}
