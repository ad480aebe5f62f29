/// The handler ran, and its caller got what it came to.
pub(crate) const FIRST: &str = "first";
/// A kept answer was given again.
pub(crate) const REPLAY: &str = "replay";
/// The key was at work, or of unknown outcome.
pub(crate) const CONFLICT: &str = "conflict";
/// The key was in use for another request.
pub(crate) const MISMATCH: &str = "mismatch";
/// Key or body were not as they have to be.
pub(crate) const REFUSED: &str = "refused";
/// The store did not say what it has.
pub(crate) const STORE_ERROR: &str = "store_error";
/// The handler ran, and its claim was another's when it ended.
pub(crate) const LEASE_LOST: &str = "lease_lost";
/// It was done, and its answer was not kept.
pub(crate) const NOT_RETAINED: &str = "not_retained";
