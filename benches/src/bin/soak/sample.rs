//! Samples of the memory, tasks, descriptors, registry entries and rows that the process holds.
use crate::{alloc, subject::Subject};
use std::fs;
use steadfast::{error::BoxError, registry::registry};
use tokio::runtime::Handle;

/// The columns of a sample, in the order of [`Sample::values`].
pub(crate) const COLUMNS: [&str; 6] = ["live", "rss", "tasks", "descriptors", "registry", "rows"];

#[derive(Clone, Copy, Default)]
pub(crate) struct Sample {
    /// Bytes that were allocated and not freed.
    pub(crate) live: i64,
    /// Bytes of memory that the kernel counts for the process.
    pub(crate) rss: i64,
    /// Tasks of tokio's that have not ended.
    pub(crate) tasks: i64,
    pub(crate) descriptors: i64,
    /// Entries of the process's registry, those included that were dropped and still have a place there.
    pub(crate) registry: i64,
    /// Rows in all tables of the stores, or keys in Redis.
    pub(crate) rows: i64,
}

impl Sample {
    pub(crate) async fn take(subject: &Subject) -> Result<Self, BoxError> {
        let mut sample = Self {
            live: alloc::live(),
            rss: rss()?,
            tasks: Handle::current().metrics().num_alive_tasks() as i64,
            descriptors: fs::read_dir("/proc/self/fd")?.count() as i64 - 1,
            registry: listed(),
            rows: 0,
        };
        sample.rows = subject.rows().await?;
        Ok(sample)
    }

    pub(crate) fn values(&self) -> [i64; 6] {
        [self.live, self.rss, self.tasks, self.descriptors, self.registry, self.rows]
    }

    /// The larger one of each value.
    pub(crate) fn max(&self, other: &Self) -> Self {
        let (a, b) = (self.values(), other.values());
        let [live, rss, tasks, descriptors, registry, rows] = std::array::from_fn(|i| a[i].max(b[i]));
        Self { live, rss, tasks, descriptors, registry, rows }
    }
}

fn rss() -> Result<i64, BoxError> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: i64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

/// By `Debug`, since a snapshot removes the entries that were dropped.
fn listed() -> i64 {
    let text = format!("{:?}", registry());
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(-1)
}
