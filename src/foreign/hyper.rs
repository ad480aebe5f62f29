use super::{Client, Kind};
use crate::error::known;
use hyper_util::client::legacy::{
    self,
    connect::{CaptureConnection, capture_connection},
};
use std::{any::Any, error::Error, mem, sync::Arc};

pub(super) fn as_error(any: &dyn Any) -> Option<&(dyn Error + 'static)> {
    known::<legacy::Error>(any).or_else(|| known::<hyper::Error>(any))
}

pub(super) fn client(error: &(dyn Error + 'static)) -> Option<Client> {
    if error.is::<legacy::Error>() {
        Some(Client::HyperUtil)
    } else {
        error.is::<hyper::Error>().then_some(Client::Hyper)
    }
}

pub(super) fn judge(error: &(dyn Error + 'static)) -> Option<Kind> {
    if let Some(error) = error.downcast_ref::<legacy::Error>() {
        return error.is_connect().then_some(Kind::NotConnected);
    }
    let error = error.downcast_ref::<hyper::Error>()?;
    Some(if error.is_canceled() && was_handed_back(error) {
        Kind::NotProcessed
    } else if error.is_timeout() {
        Kind::Timeout
    } else if error.is_user() {
        Kind::Ours
    } else if error.is_parse() {
        Kind::Fault
    } else {
        Kind::Transient
    })
}

/// Whether hyper hands the request back unsent (`client/conn/http1.rs`, `client/conn/http2.rs`, `client/dispatch.rs` of hyper
/// 1.12). "Canceled" is also what `hyper::upgrade::on` returns after the exchange, and nothing but the text tells them apart.
fn was_handed_back(error: &hyper::Error) -> bool {
    let cause = error.source().map(ToString::to_string);
    matches!(cause.as_deref(), Some("connection was not ready" | "connection closed"))
}

/// Whether the client below has had a connection for a request.
///
/// It lies in the extensions of the request, behind an `Arc`: so it shows whether the request is still held.
#[derive(Debug, Clone)]
pub(crate) struct Capture(Arc<CaptureConnection>);

impl Capture {
    /// Has hyper-util's client report the connections of this request. `None`: its owner captures them, and only the last capture
    /// of a request is reported to.
    ///
    /// A capture of a layer further out is shared and not replaced, for the same reason.
    pub(crate) fn of<B>(request: &mut http::Request<B>) -> Option<Self> {
        if let Some(shared) = request.extensions().get::<Self>() {
            return Some(shared.clone());
        }
        let others = mem::take(request.extensions_mut());
        let capture = Self(Arc::new(capture_connection(request)));
        let with_ours = others.len() + request.extensions().len();
        request.extensions_mut().extend(others);
        if request.extensions().len() < with_ours {
            return None; // the owner's own has taken the place of ours again
        }
        request.extensions_mut().insert(capture.clone());
        Some(capture)
    }

    /// Returns how many values share it: those in requests and their copies, and those of layers.
    #[cfg(feature = "retry")]
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Whether there was a connection, at any hop.
    pub(crate) fn is_connected(&self) -> bool {
        self.0.connection_metadata().is_some()
    }
}
