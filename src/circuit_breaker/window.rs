use super::{count_window::CountWindow, time_window::TimeWindow};
use crate::setting::Invalid;
use std::time::Duration;

/// What the rates are taken of: the last calls, or the calls of the last while; and from how many calls on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Written", into = "Written"))]
pub struct Window {
    kind: Kind,
    minimum_calls: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Calls { size: u32 },
    Time { length: Duration, buckets: u32 },
    Consecutive,
}

impl Window {
    /// Calls of the default window.
    pub const CALLS: u32 = 100;
    /// Calls that have to be in the default window before a rate is taken.
    pub const MINIMUM_CALLS: u32 = 10;
    /// Buckets of a time window.
    pub const BUCKETS: u32 = 10;
    /// The most calls, or buckets, that a window may hold.
    pub const MAX: u32 = 1_000_000;

    /// The last `size` calls. No rate is taken of fewer than `minimum_calls`.
    ///
    /// # Errors
    /// When `size` is 0 or above a million, or `minimum_calls` is 0 or above `size`.
    pub const fn calls(size: u32, minimum_calls: u32) -> Result<Self, Invalid> {
        if size == 0 || size > Self::MAX {
            return Err(Invalid::new("a window holds between one and a million calls"));
        }
        if minimum_calls == 0 || minimum_calls > size {
            return Err(Invalid::new("the minimum of calls lies between 1 and the window's size"));
        }
        Ok(Self { kind: Kind::Calls { size }, minimum_calls })
    }

    /// The calls that ended in the last `length`, in ten buckets: one bucket leaves at a time. No rate is taken of fewer than
    /// `minimum_calls`.
    ///
    /// # Errors
    /// When a bucket would be shorter than a millisecond, or `minimum_calls` is 0.
    pub const fn time(length: Duration, minimum_calls: u32) -> Result<Self, Invalid> {
        if minimum_calls == 0 {
            return Err(Invalid::new("the minimum of calls is at least 1"));
        }
        Self { kind: Kind::Time { length, buckets: Self::BUCKETS }, minimum_calls }.checked()
    }

    /// No window: only a run of failures opens.
    pub const fn consecutive() -> Self {
        Self { kind: Kind::Consecutive, minimum_calls: 1 }
    }

    /// A time window with another number of buckets; others stay what they are.
    ///
    /// # Errors
    /// When there would be none, more than a million, or one shorter than a millisecond.
    pub const fn with_buckets(self, buckets: u32) -> Result<Self, Invalid> {
        match self.kind {
            Kind::Time { length, .. } => {
                Self { kind: Kind::Time { length, buckets }, minimum_calls: self.minimum_calls }.checked()
            }
            _ => Ok(self),
        }
    }

    /// No rate is taken of fewer calls.
    pub const fn minimum_calls(&self) -> u32 {
        self.minimum_calls
    }

    const fn checked(self) -> Result<Self, Invalid> {
        const MILLISECOND: u128 = 1_000_000;
        if let Kind::Time { length, buckets } = self.kind {
            if buckets == 0 || buckets > Self::MAX {
                return Err(Invalid::new("a time window has between one and a million buckets"));
            }
            if length.as_nanos() < MILLISECOND * buckets as u128 {
                return Err(Invalid::new("a bucket of a time window lasts at least a millisecond"));
            }
        }
        Ok(self)
    }
}

/// The last hundred calls, from ten on.
impl Default for Window {
    fn default() -> Self {
        Self { kind: Kind::Calls { size: Self::CALLS }, minimum_calls: Self::MINIMUM_CALLS }
    }
}

/// As it stands in a file: either `calls` or `time`; neither: no window.
#[cfg(feature = "serde")]
#[derive(Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", with = "crate::setting::optional_duration")]
    time: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    buckets: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_calls: Option<u32>,
}

#[cfg(feature = "serde")]
impl TryFrom<Written> for Window {
    type Error = Invalid;

    fn try_from(written: Written) -> Result<Self, Invalid> {
        let minimum = written.minimum_calls;
        match (written.calls, written.time) {
            (Some(size), None) if written.buckets.is_none() => {
                Self::calls(size, minimum.unwrap_or_else(|| size.min(Self::MINIMUM_CALLS)))
            }
            (None, Some(length)) => Self::time(length, minimum.unwrap_or(Self::MINIMUM_CALLS))?
                .with_buckets(written.buckets.unwrap_or(Self::BUCKETS)),
            (None, None) if minimum.is_none() && written.buckets.is_none() => Ok(Self::consecutive()),
            _ => Err(Invalid::new("a window has `calls`, or `time` and perhaps `buckets`")),
        }
    }
}

#[cfg(feature = "serde")]
impl From<Window> for Written {
    fn from(window: Window) -> Self {
        let minimum_calls = Some(window.minimum_calls);
        match window.kind {
            Kind::Calls { size } => Self { calls: Some(size), minimum_calls, ..Self::default() },
            Kind::Time { length, buckets } => {
                Self { time: Some(length), buckets: Some(buckets), minimum_calls, ..Self::default() }
            }
            Kind::Consecutive => Self::default(),
        }
    }
}

/// What is in a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) total: u64,
    pub(super) failed: u64,
    pub(super) slow: u64,
}

impl Counts {
    pub(super) fn add(&mut self, failed: bool, slow: bool) {
        self.total += 1;
        self.failed += u64::from(failed);
        self.slow += u64::from(slow);
    }

    pub(super) fn remove(&mut self, gone: Self) {
        self.total -= gone.total;
        self.failed -= gone.failed;
        self.slow -= gone.slow;
    }
}

/// The samples of a closed circuit. Constant work for each, whatever the size.
#[derive(Debug)]
pub(super) enum Samples {
    Count(CountWindow),
    Time(TimeWindow),
    None,
}

impl Samples {
    pub(super) fn new(window: &Window) -> Self {
        match window.kind {
            Kind::Calls { size } => Self::Count(CountWindow::new(size)),
            Kind::Time { length, buckets } => Self::Time(TimeWindow::new(length, buckets)),
            Kind::Consecutive => Self::None,
        }
    }

    /// The same samples, as far as the other window can hold them: the newest. From calls to time and back nothing can be
    /// carried over.
    pub(super) fn resized(self, window: &Window) -> Self {
        let mut next = Self::new(window);
        match (&self, &mut next) {
            (Self::Count(old), Self::Count(new)) => old.copy_into(new),
            (Self::Time(old), Self::Time(new)) => old.copy_into(new),
            _ => {}
        }
        next
    }

    /// Adds a call, and gives the number under which it can be [amended](Self::amend).
    pub(super) fn add(&mut self, now: u64, failed: bool, slow: bool) -> u64 {
        match self {
            Self::Count(window) => window.add(failed, slow),
            Self::Time(window) => window.add(now, failed, slow),
            Self::None => 0,
        }
    }

    /// Adds so many that went well, of a time in which nothing [leaves](Self::lasts_until).
    pub(super) fn add_good(&mut self, calls: u32) {
        match self {
            Self::Count(window) => window.add_good(calls),
            Self::Time(window) => window.add_good(calls),
            Self::None => {}
        }
    }

    /// Until when nothing leaves but what others take the place of.
    pub(super) const fn lasts_until(&self) -> u64 {
        match self {
            Self::Time(window) => window.lasts_until(),
            Self::Count(_) | Self::None => u64::MAX,
        }
    }

    /// What was in it at the last look.
    pub(super) fn held(&self) -> Counts {
        match self {
            Self::Count(window) => window.counts(),
            Self::Time(window) => window.held(),
            Self::None => Counts::default(),
        }
    }

    /// A call that was added before it ended has failed. One that has left the window stays out of it.
    pub(super) fn amend(&mut self, now: u64, sample: u64) {
        match self {
            Self::Count(window) => window.amend(sample),
            Self::Time(window) => window.amend(now, sample),
            Self::None => {}
        }
    }

    pub(super) fn counts(&mut self, now: u64) -> Counts {
        match self {
            Self::Count(window) => window.counts(),
            Self::Time(window) => window.counts(now),
            Self::None => Counts::default(),
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Count(window) => window.clear(),
            Self::Time(window) => window.clear(),
            Self::None => {}
        }
    }
}
