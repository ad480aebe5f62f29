mod github;
pub(super) mod hex;

pub use github::GitHub;

use super::{Unverified, Verified, VerifyLayer};
use http::{HeaderMap, request::Parts};
use std::{fmt::Debug, time::SystemTime};

/// How a sender signs its deliveries.
///
/// The laws: `body` is checked byte for byte as it came, of any encoding; secrets are compared in constant time
/// ([`Secret::verify`](super::Secret::verify)); whatever a header holds is an [`Unverified`] and never a panic.
///
/// ```
/// use http::request::Parts;
/// use std::time::SystemTime;
/// use steadfast::webhook::{Scheme, Secret, Unverified, Verified};
///
/// /// The tag itself, in a header.
/// #[derive(Debug)]
/// struct Plain(Secret);
///
/// impl Scheme for Plain {
///     fn name(&self) -> &'static str {
///         "plain"
///     }
///     fn verify(&self, head: &Parts, body: &[u8], _: SystemTime) -> Result<Verified, Unverified> {
///         let tag = head.headers.get("x-tag").ok_or(Unverified::Missing)?;
///         if self.0.verify(&[body], tag.as_bytes()) { Ok(Verified::new("plain", 0)) } else { Err(Unverified::Mismatch) }
///     }
/// }
/// ```
pub trait Scheme: Debug + Send + Sync + 'static {
    /// Its name, in one word.
    fn name(&self) -> &'static str;

    /// Whether this is the sender's: by the head of the request, the whole of its body, and the time of day.
    ///
    /// # Errors
    /// Why it is not.
    fn verify(&self, head: &Parts, body: &[u8], now: SystemTime) -> Result<Verified, Unverified>;

    /// Returns the names of the senders whose deliveries this scheme verifies. Each dedupe key is known within each of them, and a
    /// delivery is a duplicate if one of them knows it.
    ///
    /// Return one name for each secret, made with [`Secret::tag`](super::Secret::tag): senders with different secrets are then kept
    /// apart in one queue, and while a secret is changed the deliveries that the old one has signed stay known. Default: the name of
    /// the scheme, under which all its senders are one. An empty list counts as the default.
    fn sources(&self) -> Vec<String> {
        vec![self.name().to_owned()]
    }

    /// Returns the longest body that the sender sends, in bytes. Default: 1 MiB. [`VerifyLayer::with_limit`] overrides it.
    fn limit(&self) -> usize {
        VerifyLayer::LIMIT
    }
}

const _: Option<&dyn Scheme> = None;

/// The one value of a header: two of them could be read as either.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a [u8], Unverified> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.as_bytes()),
        (None, _) => Err(Unverified::Missing),
        (Some(_), Some(_)) => Err(Unverified::Malformed),
    }
}
