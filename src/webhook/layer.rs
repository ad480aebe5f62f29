use super::{Scheme, Verify};
use crate::time::{Clock, SystemClock};
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
    pub(super) limit: usize,
}

impl VerifyLayer {
    /// Bytes of a body that are read by default: 1 MiB.
    pub const LIMIT: usize = 1 << 20;

    /// Deliveries signed by this scheme; it gives the layer its name.
    pub fn new(scheme: impl Scheme) -> Self {
        let sources = scheme.sources().iter().map(|source| in_a_key(source)).collect();
        let name = scheme.name().into();
        Self { name, scheme: Arc::new(scheme), sources, clock: Arc::new(SystemClock), limit: Self::LIMIT }
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

    /// The longest body that is read, in bytes: anybody can make this side hold so much. GitHub sends up to 25 MB.
    #[must_use]
    pub const fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
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
        f.debug_struct("VerifyLayer").field("scheme", &self.scheme).field("limit", &self.limit).finish_non_exhaustive()
    }
}
