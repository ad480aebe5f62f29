use std::{fmt, time::Duration};

/// What a circuit does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum State {
    /// Calls flow and are counted.
    Closed,
    /// Calls are refused until the open period ends.
    Open,
    /// A few calls are let through as probes.
    HalfOpen,
    /// Calls are refused by hand.
    ForcedOpen,
    /// Calls flow by hand and are not counted.
    Disabled,
    /// Calls flow by hand; the circuit goes on as if it refused, and reports what it would do.
    Shadow,
}

impl State {
    pub(super) const ALL: [Self; 6] =
        [Self::Closed, Self::Open, Self::HalfOpen, Self::ForcedOpen, Self::Disabled, Self::Shadow];

    /// The name under which events and metrics carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::Disabled => "disabled",
            Self::Shadow => "shadow",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a circuit is in its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Reason {
    /// It was made so.
    New,
    /// A run of failures opened it.
    ConsecutiveFailures,
    /// The failure rate opened it.
    FailureRate,
    /// The slow rate opened it.
    SlowRate,
    /// Its open period ended.
    OpenExpired,
    /// Too many probes failed.
    ProbeFailed,
    /// Too many probes were slow.
    ProbeSlow,
    /// A probe did not end within its lease.
    LeaseExpired,
    /// The probes were well.
    ProbesSucceeded,
    /// The probes were well, and the share of calls that go through is still growing.
    RampingUp,
    /// Somebody did it by hand.
    Manual,
    /// What was done by hand had an end.
    ManualExpired,
}

impl Reason {
    /// The name under which events and metrics carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureRate => "failure_rate",
            Self::SlowRate => "slow_rate",
            Self::OpenExpired => "open_expired",
            Self::ProbeFailed => "probe_failed",
            Self::ProbeSlow => "probe_slow",
            Self::LeaseExpired => "lease_expired",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::RampingUp => "ramping_up",
            Self::Manual => "manual",
            Self::ManualExpired => "manual_expired",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub(super) from: State,
    pub(super) to: State,
    pub(super) reason: Reason,
    pub(super) shadow: bool,
}

impl Change {
    /// The state before.
    pub const fn from(&self) -> State {
        self.from
    }

    /// The state after.
    pub const fn to(&self) -> State {
        self.to
    }

    /// Why.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// It is what the circuit would have done: it is in [`State::Shadow`], and stays there.
    pub const fn is_shadow(&self) -> bool {
        self.shadow
    }
}

/// What a circuit is at one moment.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct View {
    /// What it does with calls.
    pub state: State,
    /// In [`State::Shadow`]: what it would do. Else the same as `state`.
    pub beneath: State,
    /// Why it is in that state.
    pub reason: Reason,
    /// When a call would be let through again, where that is known. Zero: the next call is a probe.
    #[cfg_attr(feature = "serde", serde(with = "crate::setting::optional_duration"))]
    pub retry_after: Option<Duration>,
    /// Calls in the window; half-open: probes that ended. An open circuit shows the window that opened it.
    pub calls: u64,
    /// Of these, the failed ones.
    pub failed: u64,
    /// Of these, the slow ones.
    pub slow: u64,
    /// The share of failed calls; `None` below the minimum of calls, or while probes are missing.
    pub failure_rate: Option<f64>,
    /// The share of slow calls; `None` likewise.
    pub slow_rate: Option<f64>,
    /// Failures in a row.
    pub run: u32,
    /// How many times in a row it opened.
    pub attempts: u32,
    /// Closed, and ramping up: the share of calls that go through, between 0.1 and 1. Else `None`.
    pub ramp_up: Option<f64>,
    /// Probes on their way.
    pub probes: u32,
    /// Calls that were refused (in shadow: would have been) since the circuit was made or reset.
    pub refused: u64,
    /// Outcomes that came after the state had changed, and moved nothing.
    pub stale: u64,
}

impl View {
    /// Calls in the window that did not fail.
    pub const fn successful(&self) -> u64 {
        self.calls - self.failed
    }
}
