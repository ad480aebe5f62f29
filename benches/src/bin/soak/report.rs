//! Judges whether a part has returned to its start, and prints the table.
use crate::{drive::Counts, sample::Sample};
use std::{fmt, time::Duration};

const MIB: i64 = 1 << 20;
/// Tolerated growth in bytes, and as a share of the bytes that the load added: tables keep some of their capacity.
const LIVE: i64 = MIB / 2;
const LIVE_SHARE: f64 = 0.01;
/// Timers, connections and records of the calm calls that go on.
const FEW: i64 = 8;
/// Each of the registry's 32 parts is swept by one of 32 entries that are added, so some dropped entries always have a place.
const LISTED: i64 = 64;
const ROWS: i64 = 256;

/// The reasons why a part has not returned to its start; empty if it has.
pub(crate) struct Returned(Vec<String>);

impl Returned {
    pub(crate) fn judge(start: &Sample, peak: &Sample, end: &Sample, calm: Counts) -> Self {
        let mut left = Vec::new();
        let live = LIVE + ((peak.live - start.live) as f64 * LIVE_SHARE) as i64;
        if end.live - start.live > live {
            left.push(format!("{:+.1} MiB", mib(end.live - start.live)));
        }
        let counted = [
            ("tasks", end.tasks - start.tasks, FEW),
            ("descriptors", end.descriptors - start.descriptors, FEW),
            ("registry entries", end.registry - start.registry, LISTED),
            ("rows", end.rows - start.rows, ROWS),
        ];
        for (what, more, tolerated) in counted {
            if more > tolerated {
                left.push(format!("{more:+} {what}"));
            }
        }
        if calm.good < calm.calls {
            left.push(format!("{} of {} calls fail", calm.calls - calm.good, calm.calls));
        }
        if calm.hung > 0 {
            left.push(format!("{} calls hang", calm.hung));
        }
        Self(left)
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_ok() { f.write_str("returned") } else { write!(f, "**not returned: {}**", self.0.join(", ")) }
    }
}

/// The result of a part.
pub(crate) struct Finding {
    pub(crate) part: &'static str,
    pub(crate) loaded: Counts,
    pub(crate) start: Sample,
    pub(crate) peak: Sample,
    pub(crate) end: Sample,
    /// How long after the load.
    pub(crate) after: Duration,
    pub(crate) returned: Returned,
}

pub(crate) fn print_head() {
    println!("| part | calls | live MiB | RSS MiB | tasks | descriptors | registry | rows | after | verdict |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let three = |of: fn(&Sample) -> i64| format!("{} / {} / {}", of(&self.start), of(&self.peak), of(&self.end));
        let bytes = |of: fn(&Sample) -> i64| {
            let [start, peak, end] = [&self.start, &self.peak, &self.end].map(|sample| mib(of(sample)));
            format!("{start:.1} / {peak:.1} / {end:.1}")
        };
        write!(
            f,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} s | {} |",
            self.part,
            self.loaded.calls,
            bytes(|sample| sample.live),
            bytes(|sample| sample.rss),
            three(|sample| sample.tasks),
            three(|sample| sample.descriptors),
            three(|sample| sample.registry),
            three(|sample| sample.rows),
            self.after.as_secs(),
            self.returned,
        )
    }
}

fn mib(bytes: i64) -> f64 {
    bytes as f64 / MIB as f64
}
