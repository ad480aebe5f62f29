use http::Request;

/// In the extensions of an `http::Request`: this call is not to be repeated, whatever it comes to.
///
/// ```
/// use steadfast::retry::NoRetry;
///
/// let request = NoRetry::on(http::Request::get("https://example.com/report").body(())?);
/// assert!(request.extensions().get::<NoRetry>().is_some());
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NoRetry;

impl NoRetry {
    /// The same request, marked.
    #[must_use]
    pub fn on<B>(mut request: Request<B>) -> Request<B> {
        request.extensions_mut().insert(Self);
        request
    }
}
