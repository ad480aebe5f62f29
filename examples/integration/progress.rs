//! Live progress: a bar and a line per part, or plain lines where nobody looks at a terminal.

use crate::{
    crm::Crm,
    seen::{ATTEMPT, RETRY, Tally},
    sender::Sender,
};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{io::IsTerminal, sync::Arc, time::Duration};
use steadfast::queue::Queue;
use tokio::{sync::oneshot, task::JoinHandle};

pub struct Progress {
    lines: Arc<Lines>,
    stop: oneshot::Sender<()>,
    drawing: JoinHandle<()>,
}

struct Lines {
    effects: ProgressBar,
    parts: [ProgressBar; 4],
    terminal: bool,
    events: usize,
}

impl Progress {
    pub fn start(events: usize, sender: &Arc<Sender>, crm: &Crm, queue: &Queue, tally: &Arc<Tally>) -> Self {
        let all = MultiProgress::new();
        let bar = ProgressStyle::with_template("{bar:40} {pos}/{len} effects").unwrap_or(ProgressStyle::default_bar());
        let line = ProgressStyle::with_template("{prefix:>9} {msg}").unwrap_or(ProgressStyle::default_spinner());
        let effects = all.add(ProgressBar::new(events as u64).with_style(bar));
        let parts = ["sender", "receiver", "CRM", "director"]
            .map(|part| all.add(ProgressBar::new_spinner().with_style(line.clone()).with_prefix(part)));
        let lines = Arc::new(Lines { effects, parts, terminal: std::io::stderr().is_terminal(), events });
        let (stop, stopped) = oneshot::channel();
        let drawing =
            tokio::spawn(draw(lines.clone(), (sender.clone(), crm.clone(), queue.clone(), tally.clone()), stopped));
        Self { lines, stop, drawing }
    }

    /// What the director does now.
    pub fn say(&self, what: String) {
        if !self.lines.terminal {
            println!("{what}");
        }
        self.lines.parts[3].set_message(what);
    }

    pub async fn finish(self) {
        drop(self.stop);
        let _ = self.drawing.await;
    }
}

async fn draw(
    lines: Arc<Lines>,
    (sender, crm, queue, tally): (Arc<Sender>, Crm, Queue, Arc<Tally>),
    mut stopped: oneshot::Receiver<()>,
) {
    let every = Duration::from_millis(if lines.terminal { 100 } else { 2000 });
    loop {
        let last = tokio::time::timeout(every, &mut stopped).await.is_ok();
        let effects = crm.effects().await.map_or(0, |effects| effects.len());
        let deliveries = format!("{} of {} deliveries", sender.deliveries(), sender.planned());
        let state = match queue.stats().await {
            Ok(stats) => format!("{} open, {} done, {} dead", stats.open(), stats.done, stats.dead),
            Err(error) => error.to_string(),
        };
        let (attempts, retries) = (tally.of(ATTEMPT), tally.of(RETRY));
        let receiver = format!("{state}; {attempts} attempts, {retries} retries");
        let requests = format!("{} requests", crm.faults.requests());
        if lines.terminal {
            lines.effects.set_position(effects as u64);
            for (part, message) in lines.parts.iter().zip([deliveries, receiver, requests]) {
                part.set_message(message);
            }
        } else if !last {
            println!("{effects} of {} effects · {deliveries} · {receiver} · {requests}", lines.events);
        }
        if last {
            lines.effects.finish_and_clear();
            lines.parts.iter().for_each(ProgressBar::finish_and_clear);
            return;
        }
    }
}
