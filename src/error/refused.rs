use super::{Facts, find};
use std::{error::Error, fmt, sync::Arc, time::Duration};

/// This process refused the request, and nothing was sent: an open circuit, a shed load, a full queue.
///
/// One type for every pattern, so that patterns need not know each other: retry waits for [`retry_after`](Self::retry_after)
/// or stops, a queue worker parks the message, an outer circuit stays neutral. It is found with [`Refused::find`] in the
/// `source()` chain of any error, and lies in the extensions of a response that a layer in *respond* mode made.
///
/// Its `source()` is a `Refused` with the same facts, so that it is also found in an error type that forwards to it: with
/// `#[error(transparent)]`, or boxed by anyhow, an error hides itself and shows its source. The source of that one is, with the
/// feature `tonic`, a `tonic::Status` (UNAVAILABLE): the place where tonic looks for one, in clients and servers.
#[derive(Clone)]
pub struct Refused {
    who: Arc<str>,
    why: &'static str,
    retry_after: Option<Duration>,
    below: Facts<Self>,
}

impl Refused {
    /// `who`: the name of what refused, as it was given; `why`: lower case, a few words.
    pub fn new(who: impl Into<Arc<str>>, why: &'static str) -> Self {
        Self { who: who.into(), why, retry_after: None, below: Facts::new() }
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
        if self.below.is_copy() {
            return f.write_str("no request was sent");
        }
        write!(f, "refused by {}: {}", self.who, self.why)
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused")
            .field("who", &self.who)
            .field("why", &self.why)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let copy = |status| Self { below: Facts::copy(status), ..self.clone() };
        self.below.source(copy, |status| status.unavailable(&format_args!("refused by {}: {}", self.who, self.why)))
    }
}
