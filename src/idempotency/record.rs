use super::seal::SEALED;
use crate::encoding::{get_headers, headers_len, put_headers};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, StatusCode, header};
use std::fmt;

/// A response that can be kept and given again.
#[derive(Clone, PartialEq)]
pub struct StoredResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its headers; what is not for a second reader goes with [`cleaned`](Self::cleaned).
    pub headers: HeaderMap,
    /// Its body, whole.
    pub body: Bytes,
    /// Its trailers, if it had any.
    pub trailers: Option<HeaderMap>,
}

const ENCODING: u8 = 1;

/// Of the connection, of one reader, or ours.
static NEVER_KEPT: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::SET_COOKIE,
    header::DATE,
    SEALED,
];

impl StoredResponse {
    /// The most that headers and trailers of a kept answer take together, in bytes: names, values, and 32 more for each field, as
    /// HTTP/2 counts them (RFC 9113, 6.5.2). One with more is not retained.
    pub const FIELD_LIMIT: usize = 64 << 10;

    /// Without headers and trailers.
    pub fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, headers: HeaderMap::new(), body: body.into(), trailers: None }
    }

    /// With `content-type: application/json`; `body` is taken as it is.
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let mut this = Self::new(status, body);
        this.headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        this
    }

    /// Without what is not for a second reader: hop-by-hop headers, those that `Connection` names, `Set-Cookie` and `Date`. Where
    /// there are no trailers, `Trailer` goes too; where they are announced, `Content-Length` does, with which HTTP/1.1 has none.
    #[must_use]
    pub fn cleaned(mut self) -> Self {
        let named = self
            .headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok());
        // looked for among the few that there are; most answers have none of them
        let never = self.headers.keys().filter(|name| NEVER_KEPT.contains(name)).cloned();
        let gone: Vec<HeaderName> = named.chain(never).collect();
        for name in gone {
            self.headers.remove(name);
        }
        if self.headers.contains_key(header::TRAILER) {
            let has_trailers = self.trailers.as_ref().is_some_and(|trailers| !trailers.is_empty());
            self.headers.remove(if has_trailers { header::CONTENT_LENGTH } else { header::TRAILER });
        }
        self
    }

    /// What headers and trailers take, as [`FIELD_LIMIT`](Self::FIELD_LIMIT) counts them.
    pub(super) fn field_bytes(&self) -> usize {
        let fields = self.headers.iter().chain(self.trailers.iter().flatten());
        fields.map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
    }

    /// One blob for any store.
    pub fn encode(&self) -> Vec<u8> {
        let fields = headers_len(Some(&self.headers)) + headers_len(self.trailers.as_ref());
        let mut to = BytesMut::with_capacity(3 + fields + self.body.len());
        to.put_u8(ENCODING);
        to.put_u16(self.status.as_u16());
        put_headers(&mut to, Some(&self.headers));
        put_headers(&mut to, self.trailers.as_ref());
        to.put_slice(&self.body);
        to.into()
    }

    /// What [`encode`](Self::encode) made; `None` where it cannot be read.
    pub fn decode(blob: impl Into<Bytes>) -> Option<Self> {
        let mut from = blob.into();
        if from.try_get_u8().ok()? != ENCODING {
            return None;
        }
        let status = StatusCode::from_u16(from.try_get_u16().ok()?).ok()?;
        let headers = get_headers(&mut from)??;
        let trailers = get_headers(&mut from)?;
        Some(Self { status, headers, trailers, body: from })
    }
}

/// Bodies and header values are the caller's affair, not the log's.
impl fmt::Debug for StoredResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredResponse")
            .field("status", &self.status)
            .field("headers", &self.headers.len())
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}
