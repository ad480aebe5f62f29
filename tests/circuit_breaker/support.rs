//! What several of the tests use.

use std::{io, num::NonZeroU32, time::Duration};
use steadfast::{
    backoff::Jitter,
    circuit_breaker::{Config, Window},
    setting::Ratio,
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// Opens after `run` failures in a row, for exactly ten seconds, and closes after one good probe.
pub(crate) fn after_a_run_of(run: u32) -> Config {
    Config::default()
        .with_consecutive_failures(n(run))
        .without_failure_rate()
        .with_window(Window::consecutive())
        .with_half_open_permits(n(1))
        .with_open_for(10 * SECOND)
        .with_max_open_for(10 * SECOND)
        .with_jitter(Jitter::None)
}

/// Opens at half of the last `size` calls, from `minimum` on, for exactly ten seconds.
pub(crate) fn at_half_of(size: u32, minimum: u32) -> Config {
    Config::default()
        .without_consecutive_failures()
        .with_failure_rate(Ratio::HALF)
        .with_window(Window::calls(size, minimum).unwrap())
        .with_open_for(10 * SECOND)
        .with_max_open_for(10 * SECOND)
        .with_jitter(Jitter::None)
}

pub(crate) fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}
