use http::request::Parts;
use std::{fmt, sync::Arc};

/// Who is calling: the same key of two callers is two keys.
///
/// Say the authenticated principal (an account, a tenant), never the bytes of a credential: a token that is refreshed between
/// two attempts would make the second one a new request.
///
/// ```
/// use steadfast::idempotency::Scope;
///
/// #[derive(Clone)]
/// struct Account(String); // put there by the layer that authenticates, outside of this one
///
/// let by_account = Scope::by(|request| request.extensions.get::<Account>().map_or(String::new(), |account| account.0.clone()));
/// let nobody_else_calls = Scope::shared();
/// ```
#[derive(Clone)]
pub struct Scope(Option<Arc<Name>>);

type Name = dyn Fn(&Parts) -> Vec<u8> + Send + Sync;

impl Scope {
    /// As `name` says, in any bytes; scope and key are hashed apart, so no delimiter is needed. Callers with the same bytes
    /// see each other's answers: refuse who is nobody in a layer outside.
    pub fn by<T: Into<Vec<u8>>>(name: impl Fn(&Parts) -> T + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(move |request| name(request).into())))
    }

    /// One scope for all who call: right only where all are one principal, or where keys cannot be guessed and answers are
    /// not secret.
    pub fn shared() -> Self {
        Self(None)
    }

    pub(super) fn of(&self, request: &Parts) -> Vec<u8> {
        self.0.as_ref().map_or(Vec::new(), |name| name(request))
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Scope::by(..)" } else { "Scope::shared()" })
    }
}
