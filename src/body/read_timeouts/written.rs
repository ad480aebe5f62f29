//! How the timeouts are written in files.

use super::ReadTimeouts;
use crate::setting::Invalid;
use std::{num::NonZeroU32, time::Duration};

/// The form in files.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Written {
    #[serde(with = "crate::setting::duration")]
    idle: Duration,
    #[serde(with = "crate::setting::duration")]
    total: Duration,
    bytes_per_second: NonZeroU32,
}

impl Default for Written {
    fn default() -> Self {
        ReadTimeouts::default().into()
    }
}

impl From<ReadTimeouts> for Written {
    fn from(timeouts: ReadTimeouts) -> Self {
        Self { idle: timeouts.idle, total: timeouts.total, bytes_per_second: timeouts.rate }
    }
}

impl TryFrom<Written> for ReadTimeouts {
    type Error = Invalid;

    fn try_from(written: Written) -> Result<Self, Invalid> {
        Ok(Self::new(written.idle, written.total)?.with_rate(written.bytes_per_second))
    }
}
