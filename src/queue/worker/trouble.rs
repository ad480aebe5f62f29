use crate::telemetry::event;

/// A step of a worker that goes on failing: an event for each change, not one for each failure.
#[derive(Default)]
pub(super) struct Trouble {
    last: Option<String>,
}

impl Trouble {
    pub(super) fn tell(&mut self, queue: &str, step: &str, error: String) {
        if self.last.as_deref() != Some(&error) {
            event!(
                WARN,
                "a step of a worker failed: it is repeated after a growing pause",
                queue = queue,
                step = step,
                error = &*error
            );
            self.last = Some(error);
        }
    }

    pub(super) fn is_over(&mut self, queue: &str, step: &str) {
        if self.last.take().is_some() {
            event!(INFO, "a step of a worker no longer fails", queue = queue, step = step);
        }
    }
}
