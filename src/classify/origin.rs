use super::folded::{self, Folded};
use http::Uri;
use std::{
    fmt::{self, Write},
    hash::{Hash, Hasher},
    net::Ipv6Addr,
};

/// The origin of a request (RFC 6454: scheme, host, port), or another key in its place. Circuits and budgets are kept by it.
///
/// Two spellings of one origin are equal, have the same hash and print the same: the case of scheme and host, a default port
/// (80 for `http` and `ws`, 443 for `https` and `wss`), the credentials before an `@` and the spelling of an IPv6 address make no
/// difference. Nothing is allocated to compare or to hash one. A host name with a dot at its end is another one.
///
/// ```
/// use steadfast::classify::Origin;
///
/// let uri = http::Uri::from_static("https://user:secret@API.Example.com:443/orders");
/// let origin = Origin::of_uri(&uri);
/// assert_eq!(origin, Some(Origin::new("https", "api.example.com", None)));
/// assert_ne!(origin, Origin::parse("http://api.example.com"));
/// assert_eq!(origin.map(|origin| origin.to_string()).as_deref(), Some("https://api.example.com"));
/// ```
///
/// A key (a tenant, a route) is compared byte by byte and is never equal to an origin:
///
/// ```
/// # use steadfast::classify::Origin;
/// assert_ne!(Origin::key("tenant"), Origin::key("Tenant"));
/// assert_ne!(Some(Origin::key("https://api.example.com")), Origin::parse("https://api.example.com"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a>(pub(super) Kind<'a>);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Web { scheme: Scheme<'a>, host: Host<'a>, port: Option<u16> },
    Key(&'a str),
}

impl<'a> Origin<'a> {
    /// Creates the origin of a scheme, a host and a port. `host`: a name or an IPv4 address, or an IPv6 address in brackets;
    /// `port`: `None` for the scheme's default.
    #[inline]
    pub fn new(scheme: &'a str, host: &'a str, port: Option<u16>) -> Self {
        let scheme = Scheme::of(scheme);
        Self(Kind::Web { scheme, host: Host::of(host), port: port.or(scheme.default_port()) })
    }

    /// Creates a key that is not an origin.
    pub const fn key(key: &'a str) -> Self {
        Self(Kind::Key(key))
    }

    /// Returns the origin of a URI; `None` if it has no scheme or no host (a path alone, or the target of a `CONNECT`).
    pub fn of_uri(uri: &'a Uri) -> Option<Self> {
        let (scheme, authority) = (uri.scheme_str()?, uri.authority()?.as_str());
        // most are a name alone
        if !folded::has_any(authority.as_bytes(), b':', b'@') {
            return (!authority.is_empty()).then(|| Self::new(scheme, authority, None));
        }
        let (host, port) = host_and_port(authority);
        // Connectors take a port that is no number for the default one, and so does `http::uri::Authority::port_u16`.
        (!host.is_empty()).then(|| Self::new(scheme, host, port.parse().ok()))
    }

    /// Reads an origin from text: `https://api.example.com`, with a port, credentials or a slash at its end if need be. `None` if
    /// the text is something else (a path or a query follows).
    pub fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = host_and_port(authority);
        let is_origin = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(is_scheme)
            && !host.is_empty()
            && !authority.contains(['/', '?', '#']);
        let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
        is_origin.then(|| Self::new(scheme, host, port))
    }
}

/// Splits an authority; the credentials are left out, and the port is empty where there is none.
#[inline(never)]
fn host_and_port(authority: &str) -> (&str, &str) {
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    match address.rsplit_once(':') {
        // the colon may be one of an IPv6 address
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (address, ""),
    }
}

#[derive(Clone, Copy)]
pub(super) enum Scheme<'a> {
    Http,
    Https,
    Ws,
    Wss,
    Other(&'a str),
}

impl<'a> Scheme<'a> {
    fn of(scheme: &'a str) -> Self {
        match scheme {
            "https" => Self::Https,
            "http" => Self::Http,
            _ => Self::rare(scheme),
        }
    }

    #[inline(never)]
    fn rare(scheme: &'a str) -> Self {
        let known = [Self::Http, Self::Https, Self::Ws, Self::Wss];
        let same = |known: &Self| known.as_str().eq_ignore_ascii_case(scheme);
        known.into_iter().find(same).unwrap_or(Self::Other(scheme))
    }

    pub(super) const fn as_str(self) -> &'a str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Other(scheme) => scheme,
        }
    }

    pub(super) const fn default_port(self) -> Option<u16> {
        match self {
            Self::Http | Self::Ws => Some(80),
            Self::Https | Self::Wss => Some(443),
            Self::Other(_) => None,
        }
    }

    /// A number for each known scheme, one for all others.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Http => 0,
            Self::Https => 1,
            Self::Ws => 2,
            Self::Wss => 3,
            Self::Other(_) => 4,
        }
    }
}

impl PartialEq for Scheme<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Other(one), Self::Other(other)) => one.eq_ignore_ascii_case(other),
            _ => self.code() == other.code(),
        }
    }
}

impl Eq for Scheme<'_> {}

#[derive(Clone, Copy)]
pub(super) enum Host<'a> {
    Name(&'a str),
    /// One address has many spellings, and only some URLs are read by a parser that settles on one.
    V6(Ipv6Addr),
}

impl<'a> Host<'a> {
    #[inline]
    pub(super) fn of(host: &'a str) -> Self {
        if host.starts_with('[') { Self::in_brackets(host) } else { Self::Name(host) }
    }

    #[inline(never)]
    fn in_brackets(host: &'a str) -> Self {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse();
        address.map_or(Self::Name(host), Self::V6)
    }
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(other)) => is_same(one, other),
            (Self::V6(one), Self::V6(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for Host<'_> {}

/// Without regard to case. Most are written alike, and comparing them as they are costs less.
#[inline]
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one == other || one.eq_ignore_ascii_case(other)
}

impl Hash for Origin<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (scheme, host, port) = match self.0 {
            Kind::Key(key) => return state.write(key.as_bytes()),
            Kind::Web { scheme, host, port } => (scheme, host, port),
        };
        // Where the host ends is known by its length, and so is where another scheme begins.
        let first = |len: usize| (len as u64) << 24 | u64::from(port.unwrap_or(0)) << 8 | u64::from(scheme.code());
        let mut folded = match host {
            Host::Name(name) => {
                let mut folded = Folded::new(first(name.len()));
                folded.add(name.as_bytes(), state);
                folded
            }
            Host::V6(address) => {
                let mut folded = Folded::new(first(0));
                folded.add_exact(address.octets(), state);
                folded
            }
        };
        if let Scheme::Other(scheme) = scheme {
            folded.add(scheme.as_bytes(), state);
        }
        folded.end(state);
    }
}

impl fmt::Display for Origin<'_> {
    /// An origin in its one spelling, or the key as it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self.0 {
            Kind::Key(key) => return f.write_str(key),
            Kind::Web { scheme, host, port } => (scheme, host, port),
        };
        lower(scheme.as_str(), f)?;
        f.write_str("://")?;
        match host {
            Host::Name(name) => lower(name, f)?,
            Host::V6(address) => write!(f, "[{address}]")?,
        }
        match port {
            Some(port) if scheme.default_port() != Some(port) => write!(f, ":{port}"),
            _ => Ok(()),
        }
    }
}

fn lower(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    text.chars().try_for_each(|letter| f.write_char(letter.to_ascii_lowercase()))
}

impl fmt::Debug for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Key(key) => f.debug_tuple("Key").field(&key).finish(),
            Kind::Web { .. } => write!(f, "Origin({self})"),
        }
    }
}
