use http::{Extensions, Uri};

/// The URI as the client sent it, where a router has changed the request's own and says so (axum's `Router::nest`).
pub(crate) fn original_uri(extensions: &Extensions) -> Option<&Uri> {
    #[cfg(feature = "axum")]
    return extensions.get::<axum::extract::OriginalUri>().map(|uri| &uri.0);
    #[cfg(not(feature = "axum"))]
    {
        let _ = extensions;
        None
    }
}
