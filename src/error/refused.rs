use super::{StatusSource, find};
use std::{error::Error, fmt, sync::Arc, time::Duration};

/// This side said no, and nothing was sent: an open circuit, a shed load, a full queue.
///
/// One type for every pattern, so that they stay strangers to each other: retry waits for [`retry_after`](Self::retry_after)
/// or stops, a queue worker parks the message, an outer circuit stays neutral. It is found with [`Refused::find`] in the
/// `source()` chain of any error, and lies in the extensions of an answer that a layer in *respond* mode made.
///
/// With the feature `tonic` its `source()` is a `tonic::Status` (UNAVAILABLE): that is where tonic looks for one, in clients
/// and servers.
#[derive(Debug, Clone)]
pub struct Refused {
    who: Arc<str>,
    why: &'static str,
    retry_after: Option<Duration>,
    status: StatusSource,
}

impl Refused {
    /// `who`: the name of what refused, as it was given; `why`: lower case, a few words.
    pub fn new(who: impl Into<Arc<str>>, why: &'static str) -> Self {
        Self { who: who.into(), why, retry_after: None, status: StatusSource::new() }
    }

    /// When it may be tried again, from now. Without it nobody knows.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The name of what refused.
    pub fn who(&self) -> &str {
        &self.who
    }

    /// The cause, in a few words.
    pub fn why(&self) -> &'static str {
        self.why
    }

    /// When it may be tried again, from the moment of the refusal; `None`: unknown.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The first refusal in an error's chain.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        find(error)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused by {}: {}", self.who, self.why)
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.status.unavailable(self)
    }
}
