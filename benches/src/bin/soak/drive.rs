//! Puts a part under load and takes a sample each second.
use crate::{
    report::{Finding, Returned},
    sample::Sample,
    samples::Samples,
    subject::{Call, Subject},
};
use std::time::Duration;
use steadfast::error::BoxError;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

/// Calls in flight, at most: what would be more is not made.
const IN_FLIGHT: usize = 256;
const WARM_UP: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);
/// A call that still runs this long after the last one was made hangs.
const HUNG: Duration = Duration::from_secs(40);

/// The number of calls, of those that succeeded, and of those that never ended.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) good: u64,
    pub(crate) hung: u64,
}

pub(crate) struct Drive<'a> {
    part: &'static str,
    subject: &'a Subject,
    samples: &'a mut Samples,
    /// The number of the next call.
    next: u64,
    counts: Counts,
    jobs: JoinSet<bool>,
    peak: Sample,
    last: Sample,
}

/// Runs the warm-up, the load and the settling of a part.
pub(crate) async fn run(
    part: &'static str,
    subject: &Subject,
    load: Duration,
    samples: &mut Samples,
) -> Result<Finding, BoxError> {
    let rows = subject.rows().await?;
    let (counts, jobs, peak, last) = (Counts::default(), JoinSet::new(), Sample::default(), Sample::default());
    let mut drive = Drive { part, subject, samples, next: 0, counts, jobs, peak, last };
    // Connections, tables and circuits that are made once belong to the start: it is taken after the same load, in the same calm.
    drive.calls("warm-up", WARM_UP, !subject.warm_under_load).await?;
    let warm = Instant::now();
    while warm.elapsed() < subject.at_least {
        drive.settle("warm-up").await?;
    }
    let start = Sample { rows, ..drive.last };
    (drive.counts, drive.peak) = (Counts::default(), start);
    drive.calls("load", load, false).await?;
    let loaded = drive.counts;
    let settling = Instant::now();
    loop {
        let before = drive.counts;
        let end = drive.settle("settling").await?;
        let peak = drive.peak;
        let calm = Counts {
            calls: drive.counts.calls - before.calls,
            good: drive.counts.good - before.good,
            hung: drive.counts.hung,
        };
        let after = settling.elapsed();
        let returned = Returned::judge(&start, &peak, &end, calm);
        if after >= subject.at_most || after >= subject.at_least && returned.is_ok() {
            return Ok(Finding { part, loaded, start, peak, end, after, returned });
        }
    }
}

impl Drive<'_> {
    /// A second of calm calls.
    async fn settle(&mut self, phase: &'static str) -> Result<Sample, BoxError> {
        self.subject.tidy().await;
        self.calls(phase, SECOND, true).await?;
        Ok(self.last)
    }

    /// Makes calls for so long, and waits for them.
    async fn calls(&mut self, phase: &'static str, lasts: Duration, calm: bool) -> Result<(), BoxError> {
        let rate = if calm { self.subject.calm_rate } else { self.subject.rate };
        let began = Instant::now();
        let mut tick = interval(Duration::from_millis(10));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut made, mut sampled) = (0, began);
        while began.elapsed() < lasts {
            tick.tick().await;
            let due = (began.elapsed().as_secs_f64() * f64::from(rate)) as u64;
            while made < due {
                made += 1;
                self.reap();
                if self.jobs.len() < IN_FLIGHT {
                    let n = self.next;
                    self.next += 1;
                    self.counts.calls += 1;
                    self.jobs.spawn(self.subject.call(Call { n, calm }));
                }
            }
            self.reap();
            if sampled.elapsed() >= SECOND {
                sampled = Instant::now();
                self.sample(phase).await?;
            }
        }
        let ended = timeout(HUNG, async {
            while let Some(ended) = self.jobs.join_next().await {
                self.counts.good += u64::from(ended.unwrap_or(false));
            }
        });
        if ended.await.is_err() {
            self.counts.hung += self.jobs.len() as u64;
            self.jobs = JoinSet::new();
        }
        self.sample(phase).await
    }

    /// A call that panics, as some are made to, is not good.
    fn reap(&mut self) {
        while let Some(ended) = self.jobs.try_join_next() {
            self.counts.good += u64::from(ended.unwrap_or(false));
        }
    }

    async fn sample(&mut self, phase: &'static str) -> Result<(), BoxError> {
        self.last = Sample::take(self.subject).await?;
        self.peak = self.peak.max(&self.last);
        self.samples.write(self.part, phase, self.counts, &self.last)
    }
}
