//! hyper-util's client over servers in memory: one that redirects, and one that is away.

use crate::wire::{self, Connector};
use http::Uri;
use http_body::Body;
use hyper_util::client::legacy::Client;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

#[derive(Clone, Default)]
pub(crate) struct Hops {
    executed: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl Hops {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// `moved.test` answers 303 to `away.test`, where no server is.
    pub(crate) fn client<B: Body<Data: Send> + Send>(
        &self,
    ) -> Client<Connector<impl Fn(&Uri) -> Option<String> + Clone + Send + Sync + 'static + use<B>>, B> {
        let hops = self.clone();
        wire::client(move |uri: &Uri| {
            if uri.host() == Some("moved.test") {
                hops.executed.fetch_add(1, SeqCst);
                return Some(
                    "HTTP/1.1 303 See Other\r\nlocation: http://away.test/\r\ncontent-length: 0\r\n\r\n".into(),
                );
            }
            hops.refused.fetch_add(1, SeqCst);
            None
        })
    }

    /// How often `moved.test` answered.
    pub(crate) fn executed(&self) -> usize {
        self.executed.load(SeqCst)
    }

    /// How many connections to `away.test` were refused.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(SeqCst)
    }
}
