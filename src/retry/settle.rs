use crate::classify::Verdict;
use http::Extensions;
use std::task::{Context, Poll};

/// What retry reads of a response before it decides. A strategy: [`HeadOnly`], or [`ReadAhead`](super::ReadAhead).
///
/// In three steps, because a response that is being read has another type than the one that came in, and than the one that
/// goes out.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot read a `{Res}` ahead",
    note = "`ReadAhead` reads http::Response<B> with B: Body<Data = Bytes> + Unpin and (feature `reqwest`) reqwest::Response"
)]
pub trait Settle<Res>: Send + Sync + 'static {
    /// A response that is being read.
    type Held;
    /// What goes out.
    type Response;

    /// Whether anything is read at all; `false` saves asking whether it may be.
    const READS: bool = true;

    /// Takes the response in.
    fn hold(&self, response: Res) -> Self::Held;

    /// Reads until the outcome is known. `None`: the head's verdict stands.
    fn poll_settle(&self, held: &mut Self::Held, cx: &mut Context<'_>) -> Poll<Option<Verdict>>;

    /// Gives the response out, with all that was read of it.
    fn release(&self, held: Self::Held) -> Self::Response;

    /// The extensions of what is held; `of` knows those of the response that came in.
    fn extensions_mut<'a>(
        &self,
        held: &'a mut Self::Held,
        of: impl FnOnce(&'a mut Res) -> Option<&'a mut Extensions>,
    ) -> Option<&'a mut Extensions>
    where
        Res: 'a;
}

/// Reads nothing, and leaves every response as it is: the default.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeadOnly;

impl<Res> Settle<Res> for HeadOnly {
    type Held = Res;
    type Response = Res;

    const READS: bool = false;

    fn hold(&self, response: Res) -> Res {
        response
    }

    fn poll_settle(&self, _: &mut Res, _: &mut Context<'_>) -> Poll<Option<Verdict>> {
        Poll::Ready(None)
    }

    fn release(&self, held: Res) -> Res {
        held
    }

    fn extensions_mut<'a>(
        &self,
        held: &'a mut Res,
        of: impl FnOnce(&'a mut Res) -> Option<&'a mut Extensions>,
    ) -> Option<&'a mut Extensions>
    where
        Res: 'a,
    {
        of(held)
    }
}
