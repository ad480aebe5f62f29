use http::Extensions;

/// In the extensions of a request: the body was read whole under this limit, by a layer that verified who sent it.
///
/// The layer that verifies decides how much a sender may send. Layers further in that have a limit of their own (`accept()`,
/// `IdempotencyLayer`) use the larger of the two, so that a delivery that was verified is not refused for its size a moment
/// later. `VerifyLayer` inserts it; a layer of your own that verifies a whole body can do the same.
///
/// ```
/// use http::Request;
/// use steadfast::body::VerifiedLimit;
///
/// let request = Request::post("/hooks").extension(VerifiedLimit::new(25 << 20)).body(())?;
/// assert_eq!(VerifiedLimit::or(1 << 20, request.extensions()), 25 << 20);
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedLimit(usize);

impl VerifiedLimit {
    /// Creates a limit of `bytes`.
    pub const fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// Returns the limit, in bytes.
    pub const fn bytes(self) -> usize {
        self.0
    }

    /// Returns the larger of `own`, in bytes, and the limit in `extensions`, if there is one.
    pub fn or(own: usize, extensions: &Extensions) -> usize {
        extensions.get::<Self>().map_or(own, |verified| own.max(verified.0))
    }
}
