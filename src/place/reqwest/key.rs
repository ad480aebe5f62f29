use crate::idempotency::CarryKey;
use http::{HeaderMap, Method};
use reqwest::Request;

impl CarryKey for Request {
    fn method(&self) -> &Method {
        self.method()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
}
