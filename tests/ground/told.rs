//! Writes down what a recorder is told.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use steadfast::classify::{Outcome, Record, Recorder, Ticket, Verdict};

#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    recorded: Arc<Mutex<Vec<(Ticket, Verdict)>>>,
    slow: Option<Duration>,
    settles_early: bool,
}

impl Record for Told {
    fn record(&self, ticket: Ticket, verdict: Verdict) {
        self.recorded.lock().unwrap().push((ticket, verdict));
    }

    fn stalled(&self, ticket: Ticket, pending: Duration) -> bool {
        assert_eq!(ticket, Ticket([7, 9]));
        self.slow.is_some_and(|slow| pending >= slow)
    }

    fn settles_early(&self, ticket: Ticket) -> bool {
        assert_eq!(ticket, Ticket([7, 9]));
        self.settles_early
    }
}

impl Told {
    /// Calls a body stalled that is awaited for so long.
    pub(crate) fn slow_from(slow: Duration) -> Self {
        Self { slow: Some(slow), ..Self::default() }
    }

    pub(crate) fn settled_early() -> Self {
        Self { settles_early: true, ..Self::default() }
    }

    pub(crate) fn recorder(&self) -> Recorder {
        Recorder::new(Arc::new(self.clone()), Ticket([7, 9]))
    }

    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let told = self.recorded.lock().unwrap();
        assert!(told.iter().all(|(ticket, _)| *ticket == Ticket([7, 9])));
        told.iter().map(|(_, verdict)| *verdict).collect()
    }

    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        self.verdicts().iter().map(Verdict::outcome).collect()
    }
}
