use super::Replay;
use crate::body::Caps;

/// Repeats any `Clone` request.
#[derive(Debug, Clone, Copy, Default)]
pub struct CloneRequest;

impl<Req: Clone> Replay<Req> for CloneRequest {
    /// `None` once the last one was made.
    type Handle = Option<Req>;

    fn tee(&self, request: Req, _: &Caps) -> (Req, Option<Self::Handle>) {
        let copy = request.clone();
        (request, Some(Some(copy)))
    }

    fn again(&self, copy: &mut Self::Handle, last: bool) -> Option<Req> {
        if last { copy.take() } else { copy.clone() }
    }
}
