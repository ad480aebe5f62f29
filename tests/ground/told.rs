//! Writes down what a recorder is told.

use std::sync::{Arc, Mutex};
use steadfast::classify::{Outcome, Record, Recorder, Ticket, Verdict};

#[derive(Debug, Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<(Ticket, Verdict)>>>);

impl Record for Told {
    fn record(&self, ticket: Ticket, verdict: Verdict) {
        self.0.lock().unwrap().push((ticket, verdict));
    }
}

impl Told {
    pub(crate) fn recorder(&self) -> Recorder {
        Recorder::new(Arc::new(self.clone()), Ticket([7, 9]))
    }

    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let told = self.0.lock().unwrap();
        assert!(told.iter().all(|(ticket, _)| *ticket == Ticket([7, 9])));
        told.iter().map(|(_, verdict)| *verdict).collect()
    }

    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        self.verdicts().iter().map(Verdict::outcome).collect()
    }
}
