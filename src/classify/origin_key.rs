use super::{
    Origin,
    origin::{Host, Kind},
};
use std::{fmt, sync::Arc};

/// An [`Origin`] that a map keeps. It is written out after a prefix, so that a circuit's key and its name are one text.
pub(crate) struct OriginKey {
    text: Arc<str>,
    /// Where the origin begins.
    at: usize,
    /// `None`: a key that is not an origin.
    web: Option<Web>,
}

struct Web {
    scheme_end: usize,
    host_end: usize,
    port: Option<u16>,
}

const AFTER_SCHEME: usize = "://".len();

impl OriginKey {
    pub(crate) fn new(prefix: &str, origin: Origin<'_>) -> Self {
        let text: Arc<str> = format!("{prefix}{origin}").into();
        let at = prefix.len();
        let web = match origin.0 {
            Kind::Key(_) => None,
            Kind::Web { scheme, host, port } => {
                let scheme_end = at + scheme.as_str().len();
                let host_at = scheme_end + AFTER_SCHEME;
                let host_end = match host {
                    // lower case, but as long as it was
                    Host::Name(name) => host_at + name.len(),
                    Host::V6(_) => text.rfind(']').map_or(text.len(), |bracket| bracket + 1),
                };
                Some(Web { scheme_end, host_end, port })
            }
        };
        Self { text, at, web }
    }

    /// Returns the origin as a request would have it.
    #[inline]
    pub(crate) fn origin(&self) -> Origin<'_> {
        match self.web {
            None => Origin::key(&self.text[self.at..]),
            Some(Web { scheme_end, host_end, port }) => {
                let (scheme, host) = (&self.text[self.at..scheme_end], &self.text[scheme_end + AFTER_SCHEME..host_end]);
                Origin::new(scheme, host, port)
            }
        }
    }
}

#[cfg(feature = "circuit-breaker")]
impl OriginKey {
    /// Returns the prefix and the origin.
    pub(crate) const fn text(&self) -> &Arc<str> {
        &self.text
    }
}

impl fmt::Debug for OriginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin().fmt(f)
    }
}

#[cfg(test)]
mod tests;
