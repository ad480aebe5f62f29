//! What the child's layers tell through `tracing`, passed on to the parent as lines: one that was written survives a kill.

use std::{
    fmt::Debug,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, filter::Targets, layer::Context, prelude::*};

/// What is counted: an attempt of the worker, one that was not the message's first, a circuit that opened.
pub const ATTEMPT: &str = "attempt ended";
pub const RETRY: &str = "attempt ended that was a retry";
pub const OPENED: &str = "circuit changed to open";
const COUNTED: [&str; 3] = [ATTEMPT, RETRY, OPENED];

#[derive(Debug, Default)]
pub struct Tally([AtomicU64; COUNTED.len()]);

impl Tally {
    pub fn count(&self, line: &str) {
        if let Some(i) = COUNTED.iter().position(|counted| *counted == line) {
            self.0[i].fetch_add(1, Relaxed);
        }
    }

    pub fn of(&self, what: &str) -> u64 {
        COUNTED.iter().zip(&self.0).filter(|(counted, _)| **counted == what).map(|(_, n)| n.load(Relaxed)).sum()
    }
}

/// From now on every event of the library is a line on standard output.
pub fn tell_parent() {
    let library = Targets::new().with_target("steadfast", tracing::Level::DEBUG);
    tracing_subscriber::registry().with(Lines.with_filter(library)).init();
}

struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        match line.to {
            None if line.is_retry && line.message == ATTEMPT => println!("{ATTEMPT}\n{RETRY}"),
            None => println!("{}", line.message),
            Some(to) => println!("{} to {to}", line.message),
        }
    }
}

#[derive(Default)]
struct Line {
    message: String,
    to: Option<String>,
    is_retry: bool,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "attempt" => self.is_retry = format!("{value:?}") != "1",
            "to" => self.to = Some(format!("{value:?}").trim_matches('"').to_owned()),
            _ => {}
        }
    }
}
