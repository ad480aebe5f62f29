use super::Stop;
use crate::classify::{Repeatable, Verdict};
use std::time::Duration;

/// Says whether a call is tried again, and when. Pure: it holds no timer, reads no clock and sees no request or response.
///
/// The law: `decide` is asked once after every attempt that was no success, and its answer is final only in one direction.
/// A [`Decision::Stop`] always stops. A [`Decision::Again`] is carried out unless the layer finds that it cannot be: the
/// deadline leaves no room, the budget is empty, the request cannot be made again, or a retry layer above does it already.
///
/// ```
/// use std::time::Duration;
/// use steadfast::{
///     classify::{Failure, Outcome},
///     retry::{Decision, Finished, Policy, Stop},
/// };
///
/// /// Only what was never sent, after a second, five times.
/// struct Connects;
/// impl Policy for Connects {
///     fn max_retries(&self) -> u32 {
///         5
///     }
///     fn decide(&self, finished: &Finished, _: &mut fastrand::Rng) -> Decision {
///         match finished.verdict().outcome() {
///             Outcome::Failure(Failure::NotSent) => Decision::Again(Duration::from_secs(1)),
///             _ => Decision::Stop(Stop::Final),
///         }
///     }
/// }
/// let boxed: Box<dyn Policy> = Box::new(Connects);
/// assert_eq!(boxed.max_retries(), 5);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say whether a call is tried again",
    note = "use `StandardPolicy`, or implement `retry::Policy`"
)]
pub trait Policy: Send + Sync + 'static {
    /// How many attempts may follow the first. Asked before the call (0: the request is not copied at all) and again after
    /// each attempt; once a call has come to this number, nothing is kept for a further one.
    fn max_retries(&self) -> u32;

    /// Again or stop, after an attempt that was no success. `random`: the call's own stream of chance.
    fn decide(&self, finished: &Finished, random: &mut fastrand::Rng) -> Decision;
}

const _: Option<&dyn Policy> = None;

impl<P: Policy + ?Sized> Policy for Box<P> {
    fn max_retries(&self) -> u32 {
        (**self).max_retries()
    }

    fn decide(&self, finished: &Finished, random: &mut fastrand::Rng) -> Decision {
        (**self).decide(finished, random)
    }
}

/// What a [`Policy`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// Another attempt, after this long.
    Again(Duration),
    /// The outcome goes to the caller as it is.
    Stop(Stop),
}

/// An attempt that came to an end, for a [`Policy`] to decide on.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    pub(super) verdict: Verdict,
    pub(super) attempt: u32,
    pub(super) repeatable: Repeatable,
    pub(super) max_retries: Option<u32>,
    pub(super) repeated_once: bool,
    pub(super) previous_delay: Duration,
}

impl Finished {
    /// The first attempt of a call, which came to `verdict`: to try a policy out.
    pub const fn first(verdict: Verdict, repeatable: Repeatable) -> Self {
        Self {
            verdict,
            attempt: 1,
            repeatable,
            max_retries: None,
            repeated_once: false,
            previous_delay: Duration::ZERO,
        }
    }

    /// Another number; 1 is the first call, and 0 counts as 1.
    #[must_use]
    pub const fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = if attempt == 0 { 1 } else { attempt };
        self
    }

    /// What it came to.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Its number; 1 is the first call.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether the request may be sent again after it may have been received.
    pub const fn repeatable(&self) -> Repeatable {
        self.repeatable
    }

    /// How many attempts may follow the first by the word of the request, in place of the policy's own number. The layer makes
    /// no more than that, whatever the policy says.
    pub const fn max_retries(&self) -> Option<u32> {
        self.max_retries
    }

    /// Whether the call was already repeated for a cause that is good for one repeat: a verdict that
    /// [is only once](Verdict::is_only_once), or a request that is not repeatable and was never sent.
    pub const fn repeated_once(&self) -> bool {
        self.repeated_once
    }

    /// The wait before this attempt; zero before the first.
    pub const fn previous_delay(&self) -> Duration {
        self.previous_delay
    }
}
