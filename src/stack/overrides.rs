use crate::{
    classify::{ByError, Http},
    timeout::{InRequest, PerCall},
};
use std::{fmt, marker::PhantomData, time::Duration};

/// The times that a client and a request ask for. With [`Http`] a request is one that can carry a time.
pub struct Overrides<C> {
    /// That of the client.
    pub(super) timeout: Option<Duration>,
    classify: PhantomData<fn() -> C>,
}

impl<C> Overrides<C> {
    pub(super) const fn new() -> Self {
        Self { timeout: None, classify: PhantomData }
    }
}

impl<Req> PerCall<Req> for Overrides<Http>
where
    InRequest: PerCall<Req>,
{
    #[inline]
    fn time_for(&self, request: &Req) -> Option<Duration> {
        match (self.timeout, InRequest.time_for(request)) {
            (Some(client), Some(request)) => Some(client.min(request)),
            (client, request) => client.or(request),
        }
    }

    #[inline]
    fn at_most(&self, request: &Req) -> Option<Duration> {
        InRequest.at_most(request)
    }
}

/// A request that is not HTTP carries no time.
impl<Req, E, F> PerCall<Req> for Overrides<ByError<E, F>> {
    #[inline]
    fn time_for(&self, _: &Req) -> Option<Duration> {
        self.timeout
    }
}

impl<C> Clone for Overrides<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Overrides<C> {}

impl<C> fmt::Debug for Overrides<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overrides").field("timeout", &self.timeout).finish()
    }
}
