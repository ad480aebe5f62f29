//! Who gets the receipts.

use axum::{Router, extract::State, http::HeaderMap, routing::post};
use std::{
    collections::BTreeMap,
    future::IntoFuture,
    sync::{Arc, Mutex},
};

/// By idempotency key: what was sent, and how often.
#[derive(Clone, Default)]
pub(crate) struct Receipts(Arc<Mutex<BTreeMap<String, (String, u32)>>>);

impl Receipts {
    /// The address to send them to.
    pub(crate) async fn listen(&self) -> String {
        let app = Router::new().route("/", post(receive)).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, app).into_future());
        url
    }

    pub(crate) fn all(&self) -> Vec<(String, u32)> {
        self.0.lock().unwrap().values().cloned().collect()
    }
}

async fn receive(State(receipts): State<Receipts>, headers: HeaderMap, text: String) {
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    let mut receipts = receipts.0.lock().unwrap();
    let (first, times) = receipts.entry(key).or_insert_with(|| (text.clone(), 0));
    assert_eq!(*first, text, "another receipt under the same key");
    *times += 1;
}
