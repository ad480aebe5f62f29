use std::time::Duration;

/// A thousand years: far enough for "for ever", near enough that a date so far from now is one.
const FAR: i64 = 1_000 * 366 * 24 * 3_600 * 1_000;

/// Whole milliseconds, rounded up: nothing lapses before its time.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).map_or(FAR, |millis| millis.min(FAR))
}
