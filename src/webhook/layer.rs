use super::{Scheme, Verify};
use crate::{
    body::ReadTimeouts,
    time::{Clock, SystemClock},
};
use std::{fmt, sync::Arc};
use tower_layer::Layer;

/// Lets through what the sender has signed; see the [module docs](crate::webhook).
#[derive(Clone)]
pub struct VerifyLayer {
    pub(super) name: Arc<str>,
    pub(super) scheme: Arc<dyn Scheme>,
    /// What each dedupe key begins with.
    pub(super) sources: Arc<[Box<str>]>,
    pub(super) clock: Arc<dyn Clock>,
    /// `None`: the scheme's.
    limit: Option<usize>,
    pub(super) read_timeouts: ReadTimeouts,
}

impl VerifyLayer {
    /// The longest body, in bytes, of a scheme that has no limit of its own: 1 MiB.
    pub const LIMIT: usize = 1 << 20;

    /// Deliveries signed by this scheme; it gives the layer its name.
    pub fn new(scheme: impl Scheme) -> Self {
        let mut sources = scheme.sources();
        if sources.is_empty() {
            // without a source no key would be known at all
            sources.push(scheme.name().to_owned());
        }
        let sources = sources.iter().map(|source| in_a_key(source)).collect();
        Self {
            name: scheme.name().into(),
            scheme: Arc::new(scheme),
            sources,
            clock: Arc::new(SystemClock),
            limit: None,
            read_timeouts: ReadTimeouts::default(),
        }
    }

    /// Another name, for metrics.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the source of the deliveries: a dedupe key is known within its source only. Layers with the same source and the same
    /// queue recognise each other's deliveries, whatever their secrets and names are. Default: what
    /// [`Scheme::sources`] returns; for the built-in schemes one source for each secret.
    #[must_use]
    pub fn with_source(mut self, source: impl AsRef<str>) -> Self {
        self.sources = [in_a_key(source.as_ref())].into();
        self
    }

    /// Sets the longest body that is read, in bytes. Default: [the scheme's](Scheme::limit), for GitHub 25 MiB.
    ///
    /// Anybody can make this process hold so much for each connection, for as long as the [`ReadTimeouts`] allow: set it lower where
    /// no delivery is as large. A verified request takes the limit along ([`VerifiedLimit`](crate::body::VerifiedLimit)): `accept()`,
    /// `IdempotencyLayer` and the extractors of axum further in take a body of this length, whatever their own limits are.
    #[must_use]
    pub const fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = Some(bytes);
        self
    }

    /// Sets how long a body may take to arrive. Default: 10 s without data, 30 s and 1 s per 64 KiB in all.
    #[must_use]
    pub const fn with_read_timeouts(mut self, timeouts: ReadTimeouts) -> Self {
        self.read_timeouts = timeouts;
        self
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or_else(|| self.scheme.limit())
    }

    /// The clock by which timestamps are judged.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

/// A source as dedupe keys begin with it: it ends at the first `/`.
fn in_a_key(source: &str) -> Box<str> {
    source.replace('%', "%25").replace('/', "%2F").into()
}

impl<S> Layer<S> for VerifyLayer {
    type Service = Verify<S>;

    fn layer(&self, inner: S) -> Verify<S> {
        Verify { inner, layer: self.clone() }
    }
}

impl fmt::Debug for VerifyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyLayer")
            .field("scheme", &self.scheme)
            .field("limit", &self.limit())
            .finish_non_exhaustive()
    }
}
