use super::{
    Origin,
    origin::{Host, Kind, Scheme, is_same},
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
    /// The code of the scheme.
    scheme: u8,
    port: Option<u16>,
    /// The length of the port in the text, with its colon.
    port_len: u8,
}

const AFTER_SCHEME: &str = "://";

impl OriginKey {
    pub(crate) fn new(prefix: &str, origin: Origin<'_>) -> Self {
        let text: Arc<str> = format!("{prefix}{origin}").into();
        let at = prefix.len();
        let web = match origin.0 {
            Kind::Key(_) => None,
            Kind::Web { scheme, port, .. } => {
                let after_host = text.bytes().rev().take_while(u8::is_ascii_digit).count() + 1;
                let has_port = port.is_some() && port != scheme.default_port();
                let port_len = if has_port { u8::try_from(after_host).unwrap_or(0) } else { 0 };
                Some(Web { scheme: scheme.code(), port, port_len })
            }
        };
        Self { text, at, web }
    }

    /// Whether this is the origin, or the key, that a request has.
    #[inline]
    pub(crate) fn is(&self, other: &Origin<'_>) -> bool {
        match (&self.web, other.0) {
            (None, Kind::Key(key)) => &self.text[self.at..] == key,
            (Some(web), Kind::Web { scheme, host, port }) => {
                web.scheme == scheme.code() && web.port == port && self.has(scheme, host, web.port_len)
            }
            _ => false,
        }
    }

    #[inline]
    fn has(&self, scheme: Scheme<'_>, host: Host<'_>, port_len: u8) -> bool {
        let scheme_end = self.at + scheme.as_str().len();
        let part = |from: usize, to: usize| self.text.get(from..to).unwrap_or_default();
        let kept = part(scheme_end + AFTER_SCHEME.len(), self.text.len() - usize::from(port_len));
        let is_host = match host {
            Host::Name(name) => is_same(kept, name),
            Host::V6(_) => Host::of(kept) == host,
        };
        is_host
            && match scheme {
                Scheme::Other(scheme) => {
                    is_same(part(self.at, scheme_end), scheme)
                        && part(scheme_end, self.text.len()).starts_with(AFTER_SCHEME)
                }
                _ => true,
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
        self.text[self.at..].fmt(f)
    }
}

#[cfg(test)]
mod tests;
