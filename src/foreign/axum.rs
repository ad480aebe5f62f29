use axum::extract::OriginalUri;
use http::{Extensions, Uri};

/// The URI as the client sent it: `Router::nest` strips its prefix from the request's own.
pub(crate) fn original_uri(extensions: &Extensions) -> Option<&Uri> {
    extensions.get::<OriginalUri>().map(|uri| &uri.0)
}
