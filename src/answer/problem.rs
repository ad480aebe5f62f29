//! Problem details (RFC 9457), or the same as a gRPC status.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use std::{fmt::Write, sync::Arc, time::Duration};

#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: Option<String>,
    retry_after: Option<Duration>,
    described_by: Option<Arc<str>>,
    grpc: Option<i32>,
}

impl Problem {
    /// `title`: a few words that are the same every time.
    pub(crate) const fn new(status: StatusCode, title: &'static str) -> Self {
        Self { status, title, detail: None, retry_after: None, described_by: None, grpc: None }
    }

    /// What is particular to this time. No key, body or secret belongs in it.
    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(crate) const fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The page that tells callers what it means: a `Link` with `rel="describedby"`.
    #[cfg_attr(not(feature = "idempotency"), expect(dead_code, reason = "only idempotency has a page to point to"))]
    pub(crate) fn described_by(mut self, uri: Arc<str>) -> Self {
        self.described_by = Some(uri);
        self
    }

    /// The gRPC code, where the one that goes with the HTTP status is not right.
    #[cfg_attr(not(feature = "idempotency"), expect(dead_code, reason = "only idempotency needs other codes"))]
    pub(crate) const fn with_grpc_code(mut self, code: i32) -> Self {
        self.grpc = Some(code);
        self
    }

    /// `grpc`: the media type to answer a gRPC call in; `None`: the call is not gRPC.
    pub(crate) fn into_response(self, grpc: Option<&'static str>) -> Response<Bytes> {
        let mut response = grpc.map_or_else(|| self.http_response(), |media_type| self.grpc_response(media_type));
        if let Some(after) = self.retry_after {
            // whole seconds, never earlier than meant
            let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
            // by way of a string: that is one allocation, and `HeaderValue::from` a number two
            if let Ok(seconds) = HeaderValue::try_from(seconds.max(1).to_string()) {
                response.headers_mut().insert(header::RETRY_AFTER, seconds);
            }
        }
        response
    }

    fn http_response(&self) -> Response<Bytes> {
        const TITLE: &str = "{\"title\":\"";
        const STATUS: &str = "\",\"status\":";
        const DETAIL: &str = ",\"detail\":\"";
        // as long as it gets where nothing is escaped: bytes are made of a full buffer without another allocation
        let detail = self.detail.as_ref().map_or(0, |detail| DETAIL.len() + detail.len() + "\"".len());
        let len = TITLE.len() + self.title.len() + STATUS.len() + "503".len() + detail + "}".len();
        let mut json = String::with_capacity(len);
        json.push_str(TITLE);
        escape(&mut json, self.title);
        json.push_str(STATUS);
        json.push_str(self.status.as_str());
        if let Some(detail) = &self.detail {
            json.push_str(DETAIL);
            escape(&mut json, detail);
            json.push('"');
        }
        json.push('}');
        let mut response = Response::new(Bytes::from(json));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let link = self.described_by.as_ref().map(|uri| format!("<{uri}>; rel=\"describedby\""));
        if let Some(link) = link.and_then(|link| HeaderValue::try_from(link).ok()) {
            headers.insert(header::LINK, link);
        }
        response
    }

    /// A response of trailers only: its status is in the head, also for gRPC-Web, whose clients look there first.
    fn grpc_response(&self, media_type: &'static str) -> Response<Bytes> {
        let message = self.detail.as_deref().unwrap_or(self.title);
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert("grpc-status", HeaderValue::from(self.grpc.unwrap_or_else(|| grpc_code(self.status))));
        if let Ok(message) = HeaderValue::try_from(percent_encoded(message)) {
            headers.insert("grpc-message", message);
        }
        let mut response = Response::new(Bytes::new());
        *response.headers_mut() = headers;
        response
    }
}

fn grpc_code(status: StatusCode) -> i32 {
    match status.as_u16() {
        400 | 422 => 3,
        401 => 16,
        403 => 7,
        404 => 5,
        409 => 10,
        413 | 429 => 8,
        503 => 14,
        504 => 4,
        501 => 12,
        _ => 13,
    }
}

/// What stands between the quotes of a JSON string (RFC 8259, 7).
fn escape(out: &mut String, text: &str) {
    let mut rest = text;
    // all of these are one byte long
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let (special, after) = special.split_at(1);
        match special {
            "\"" => out.push_str("\\\""),
            "\\" => out.push_str("\\\\"),
            _ => {
                let _ = write!(out, "\\u{:04x}", special.as_bytes()[0]);
            }
        }
        rest = after;
    }
    out.push_str(rest);
}

/// `grpc-message` (gRPC over HTTP/2): everything but visible ASCII, and `%`.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (0x20..=0x7e).contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
