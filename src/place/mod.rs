//! What each foreign place needs so that the layers work in it with no adapter: one file a place, one feature a file.
//!
//! | feature | what it brings |
//! | --- | --- |
//! | `reqwest` | the layers over `reqwest::Client`: its own request and response types are classified, repeated and watched |
//! | `axum` | `axum::body::Body` can be sent again; an extractor for the idempotency claim |
//! | `tonic` | `tonic::body::Body` can be sent again |
//! | `tower` with `retry` | tower's budgets are budgets; the standard policy is a `tower::retry::Policy`, and such a policy has a layer |
//!
//! The features `hyper`, `tonic`, `tower` and `reqwest` also make the errors of these crates known: see
//! [`classify`](crate::classify).
//!
//! A call of `reqwest`'s `RequestBuilder` through a stack, kept in axum's `State`: [`guide::recipes`](crate::guide::recipes). What the
//! compiler says where a place and a layer do not fit: [`guide::troubleshooting`](crate::guide::troubleshooting).

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "reqwest")]
pub mod reqwest;
#[cfg(feature = "tonic")]
mod tonic;
#[cfg(all(feature = "tower", feature = "retry"))]
pub mod tower;
