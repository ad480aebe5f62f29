use super::{Recorded, StoreKey, StoredResponse};
use crate::{
    error::{BoxError, StoreError},
    panic::caught,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use std::{fmt, sync::Arc};

/// Encrypts what is stored of answers: for stores that more people can read than may see them.
///
/// Everything of an answer goes through it: status, headers, body and trailers, in every store, also where a handler completes its
/// claim in a transaction of its own. What stays readable is that a key exists (as a hash), since when, and how long the answer
/// is. Take an AEAD, a new nonce for each call, and put an id of the key before what it made, so that keys can be rotated while
/// older answers are still kept; `examples/sealed_answers.rs` does that with ChaCha20-Poly1305.
///
/// An answer that cannot be sealed is recorded as not retained. One that cannot be opened, or a sealed one that a layer without a
/// seal finds, is answered with 503 and never run again. Answers from before there was a seal are given as they are.
///
/// ```
/// use steadfast::{error::BoxError, idempotency::Seal};
///
/// /// Hides nothing: it shows what is asked for.
/// struct Checked;
/// impl Seal for Checked {
///     fn seal(&self, answer: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, BoxError> {
///         Ok([bound_to, answer].concat())
///     }
///     fn open(&self, sealed: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, BoxError> {
///         Ok(sealed.strip_prefix(bound_to).ok_or("sealed for another key")?.to_vec())
///     }
/// }
/// assert_eq!(Checked.open(&Checked.seal(b"paid", b"k")?, b"k")?, b"paid");
/// # Ok::<(), BoxError>(())
/// ```
pub trait Seal: Send + Sync + 'static {
    /// `answer`, sealed. `bound_to` is no secret, and the same for [`open`](Self::open): as the associated data of an AEAD it keeps
    /// whoever can write to the store from putting one caller's answer under another's key.
    ///
    /// # Errors
    /// What went wrong: the answer is then not retained.
    fn seal(&self, answer: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, BoxError>;

    /// What [`seal`](Self::seal) was given.
    ///
    /// # Errors
    /// When it was changed, was made for something else, or its key is not known here.
    fn open(&self, sealed: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, BoxError>;
}

const _: Option<&dyn Seal> = None;

/// The seal of a layer, if it has one.
#[derive(Clone, Default)]
pub(super) struct Sealing(Option<Arc<dyn Seal>>);

/// What a sealed answer carries, and no answer of a handler: [`StoredResponse::cleaned`] takes it away.
pub(super) const SEALED: HeaderName = HeaderName::from_static("steadfast-sealed");

impl Sealing {
    pub(super) fn with(seal: impl Seal) -> Self {
        Self(Some(Arc::new(seal)))
    }

    /// As it is to be stored: sealed, where there is a seal, and no longer than it may be.
    pub(super) fn recorded(
        &self,
        key: &StoreKey,
        response: StoredResponse,
        limit: usize,
    ) -> Result<Recorded, StoreError> {
        let response = response.cleaned();
        // an upgrade hands its connection over, which a replay cannot
        let is_kept = !response.status.is_informational();
        if !is_kept || response.body.len() > limit || response.field_bytes() > StoredResponse::FIELD_LIMIT {
            return Ok(Recorded::NotRetained);
        }
        let Some(seal) = &self.0 else { return Ok(Recorded::Response(response)) };
        let failed = |error| StoreError::with_source("the answer could not be sealed", error);
        let sealed = unless_panicked(|| seal.seal(&response.encode(), &key.0)).map_err(failed)?;
        let mut stored = StoredResponse::new(StatusCode::OK, sealed);
        stored.headers.insert(SEALED, HeaderValue::from_static("1"));
        Ok(Recorded::Response(stored))
    }

    /// As it was before it was stored.
    pub(super) fn opened(&self, key: &StoreKey, stored: StoredResponse) -> Result<StoredResponse, StoreError> {
        if !stored.headers.contains_key(&SEALED) {
            return Ok(stored);
        }
        let seal = self.0.as_ref().ok_or(StoreError::unreadable("the answer is sealed, and the layer has no seal"))?;
        let failed = |_| StoreError::unreadable("the sealed answer could not be opened");
        let opened = unless_panicked(|| seal.open(&stored.body, &key.0)).map_err(failed)?;
        StoredResponse::decode(Bytes::from(opened)).ok_or(StoreError::unreadable("the opened answer is none"))
    }
}

/// A panic here would take the record of what was done with it.
fn unless_panicked<T>(work: impl FnOnce() -> Result<T, BoxError>) -> Result<T, BoxError> {
    caught(work).unwrap_or_else(|_| Err("the seal panicked".into()))
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Seal(***)" } else { "none" })
    }
}
