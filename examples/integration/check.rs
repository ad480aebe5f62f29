//! What came of it, as a table; and whether the promise was kept.

use crate::{
    crm::Effect,
    events::{Event, digest},
    sender::Sent,
};
use std::{collections::HashMap, fmt, sync::Arc, time::Duration};
use steadfast::queue::{DeadLetter, Reason, Stats};

pub struct Outcome {
    pub events: Arc<Vec<Event>>,
    pub sent: Sent,
    pub kills: usize,
    pub kills_with_work_in_flight: usize,
    pub requests: u64,
    pub faults: Vec<(&'static str, usize)>,
    pub attempts: u64,
    pub retries: u64,
    pub circuit_opened: u64,
    pub effects: Vec<Effect>,
    pub dead: Vec<DeadLetter>,
    pub redriven: usize,
    pub left: Stats,
    pub took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |what: &str, n: u64| writeln!(f, "{what:<28}{n:>8}");
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        row("sent (deliveries)", count(self.sent.deliveries))?;
        row("accepted (distinct events)", count(self.sent.accepted.len()))?;
        row("duplicates", count(self.sent.duplicates))?;
        row("forged refused", count(self.sent.forged_refused))?;
        row("cut short", count(self.sent.cut))?;
        row("kills", count(self.kills))?;
        row("requests to the CRM", self.requests)?;
        row("attempts of the worker", self.attempts)?;
        row("retries", self.retries)?;
        row("circuit opened", self.circuit_opened)?;
        for (fault, n) in &self.faults {
            row(&format!("CRM {fault}"), count(*n))?;
        }
        row("effects", count(self.effects.len()))?;
        row("dead", count(self.dead.len()))?;
        row("redriven", count(self.redriven))?;
        writeln!(f, "{:<28}{:>7.1}s", "took", self.took.as_secs_f64())
    }
}

/// Prints what is broken; `true`: nothing is.
pub fn judge(outcome: &Outcome) -> bool {
    let broken = broken(outcome);
    for what in &broken {
        println!("BROKEN: {what}");
    }
    if broken.is_empty() {
        println!("kept: everything that was accepted had exactly one effect");
    }
    broken.is_empty()
}

fn broken(outcome: &Outcome) -> Vec<String> {
    let mut broken = Vec::new();
    let mut check = |holds: bool, otherwise: String| {
        if !holds {
            broken.push(otherwise);
        }
    };
    let (events, sent) = (&outcome.events, &outcome.sent);
    check(
        sent.accepted.len() == events.len(),
        format!("{} of {} valid events were accepted", sent.accepted.len(), events.len()),
    );
    check(sent.duplicates > 0, "no duplicate was met".into());
    check(sent.forged_refused > 0, "no forgery was met".into());
    check(sent.cut > 0, "no delivery was cut short".into());
    check(sent.wrong.is_empty(), format!("answers that must not be: {:?}", sent.wrong));

    // one effect for each event, and none for anything else
    let mut effects: HashMap<(&str, i64), usize> = HashMap::new();
    for effect in &outcome.effects {
        *effects.entry((&effect.delivery, effect.digest)).or_default() += 1;
    }
    let mut of_event: HashMap<i64, usize> = HashMap::new();
    for ((_, digest), n) in effects {
        *of_event.entry(digest).or_default() += n;
    }
    for event in events.iter() {
        let n = of_event.remove(&digest(&event.body)).unwrap_or(0);
        check(n == 1, format!("event {} ({}) had {n} effects", event.number, event.name));
    }
    check(of_event.is_empty(), format!("{} effects of what was never sent so", of_event.len()));

    check(
        outcome.kills_with_work_in_flight == outcome.kills,
        format!("{} of {} kills had work in flight", outcome.kills_with_work_in_flight, outcome.kills),
    );
    for (fault, n) in &outcome.faults {
        check(*n > 0, format!("the CRM was never {fault}"));
    }
    check(outcome.circuit_opened > 0, "the circuit never opened although the CRM was down".into());
    check(outcome.retries > 0, "nothing was ever retried".into());

    let refused = events.iter().filter(|event| event.is_refused()).count();
    check(outcome.dead.len() == refused, format!("{} dead letters instead of {refused}", outcome.dead.len()));
    for letter in &outcome.dead {
        let told = letter.history.iter().any(|attempted| attempted.status == Some(422));
        check(letter.reason == Reason::Rejected && told, format!("a dead letter without its cause: {letter:?}"));
    }
    check(outcome.redriven == outcome.dead.len(), format!("{} letters were redriven", outcome.redriven));
    check(outcome.left.dead == 0 && outcome.left.open() == 0, format!("left in the queue: {:?}", outcome.left));
    broken
}
