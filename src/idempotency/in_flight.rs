use std::time::Duration;

/// What a request gets whose key is at work, for the same request. (For another one it is 422 at once.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum InFlight {
    /// 409 with `Retry-After`, at once.
    #[default]
    Refuse,
    /// The answer that the first one gets, as a replay; 409 with `Retry-After` where that takes longer.
    ///
    /// Where the first one runs in this process under this layer, its answer is waited for without a look at the store. Otherwise
    /// the store is asked, first after some 50 ms, then less and less often, down to once a second. If the first one gives the key
    /// back ([`NotExecuted`](super::NotExecuted)), one of those who wait runs. Who leaves while it waits has claimed nothing.
    Wait {
        /// The longest wait, from when the key was first found at work.
        #[cfg_attr(feature = "serde", serde(with = "crate::setting::duration"))]
        at_most: Duration,
    },
}
