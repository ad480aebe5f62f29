use super::Stop;
use http::Extensions;

/// How many attempts a call took and why there was no further one: in the extensions of the response that came out.
///
/// Absent where there is nothing to tell: after a single attempt that succeeded, or that another attempt would not have
/// helped. Errors carry none; a deadline's [`Elapsed`](crate::timeout::Elapsed) has a number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    made: u32,
    stop: Stop,
}

impl Attempts {
    pub(super) const fn new(made: u32, stop: Stop) -> Self {
        Self { made, stop }
    }

    /// What lies in the extensions of a response.
    ///
    /// ```
    /// use steadfast::retry::Attempts;
    ///
    /// assert_eq!(Attempts::of(http::Response::new(()).extensions()), None);
    /// ```
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().copied()
    }

    /// How many attempts there were, the first one included.
    pub const fn made(self) -> u32 {
        self.made
    }

    /// Why there was no further one.
    pub const fn stop(self) -> Stop {
        self.stop
    }

    /// Puts it into the response. A layer that made one attempt leaves the word of one that made more.
    pub(super) fn tell(self, extensions: &mut Extensions) {
        if self.made > 1 {
            extensions.insert(self);
        } else {
            extensions.get_or_insert(self);
        }
    }

    /// Whether a response tells more with it than without.
    pub(super) const fn is_worth_telling(self) -> bool {
        self.made > 1 || !matches!(self.stop, Stop::Succeeded | Stop::Final)
    }
}
