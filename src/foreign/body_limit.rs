use http::Request;

/// Has the extractors of a framework further in take bodies of up to `limit` bytes. Those of axum stop at 2 MB by default.
pub(crate) fn extract_up_to<B>(limit: usize, request: &mut Request<B>) {
    #[cfg(feature = "axum")]
    axum::extract::DefaultBodyLimit::max(limit).apply(request);
    #[cfg(not(feature = "axum"))]
    let _ = (limit, request);
}
