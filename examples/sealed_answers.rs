//! How do I keep stored answers from those who can read the store?
//!
//! ChaCha20-Poly1305 with a nonce of 192 random bits for each answer. Before it stands the id of the key that sealed it, so that a
//! new key can be put first while answers of the one before are still kept.

use axum::{Router, http::StatusCode, routing::post};
use chacha20poly1305::{
    AeadCore, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, OsRng, Payload},
};
use reqwest::redirect::Policy;
use std::fmt;
use steadfast::{
    error::BoxError,
    idempotency::{IdempotencyLayer, Scope, Seal},
    store::sqlite::SqliteStore,
};

/// Keys by id: the first one seals, each opens what it has sealed.
#[derive(Clone)]
struct Ring(Vec<(u8, XChaCha20Poly1305)>);

const NONCE: usize = 24;

impl Ring {
    fn new(keys: &[(u8, [u8; 32])]) -> Self {
        Self(keys.iter().map(|(id, key)| (*id, XChaCha20Poly1305::new(key.into()))).collect())
    }
}

impl Seal for Ring {
    fn seal(&self, answer: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, BoxError> {
        let (id, cipher) = self.0.first().ok_or("the ring has no key")?;
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let sealed = cipher.encrypt(&nonce, Payload { msg: answer, aad: bound_to }).map_err(|_| "could not seal")?;
        Ok([&[*id], nonce.as_slice(), &sealed].concat())
    }

    fn open(&self, sealed: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, BoxError> {
        let (id, rest) = sealed.split_first().ok_or("too short")?;
        let (nonce, sealed) = rest.split_at_checked(NONCE).ok_or("too short")?;
        let (_, cipher) =
            self.0.iter().find(|(known, _)| known == id).ok_or("sealed with a key that is not known here")?;
        let opened = cipher.decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: bound_to });
        opened.map_err(|_| "changed, or sealed for another key".into())
    }
}

/// Ids, and no keys.
impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

fn app(store: SqliteStore, ring: Ring) -> Router {
    let layer = IdempotencyLayer::new(store, Scope::shared()).with_seal(ring);
    Router::new().route("/cards", post(|| async { (StatusCode::CREATED, "card 4242 4242 4242 4242") })).layer(layer)
}

async fn send(app: Router) -> Result<String, BoxError> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/cards", listener.local_addr()?);
    tokio::spawn(axum::serve(listener, app).into_future());
    let client = reqwest::Client::builder().redirect(Policy::none()).build()?;
    let answer = client.post(url).header("idempotency-key", "order-7").send().await?;
    Ok(format!("{} {}", answer.status(), answer.text().await?))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("cards.db");
    let store = SqliteStore::open(&file)?;
    let (old, new) = ((1, [7; 32]), (2, [8; 32])); // from where you keep secrets
    println!("first:            {}", send(app(store.clone(), Ring::new(&[old]))).await?);
    println!("after a rotation: {}", send(app(store.clone(), Ring::new(&[new, old]))).await?);
    println!("without its key:  {}", send(app(store.clone(), Ring::new(&[new]))).await?);
    drop(store);
    let mut stored = std::fs::read(&file)?;
    stored.extend(std::fs::read(file.with_extension("db-wal")).unwrap_or_default());
    println!(
        "in the file:      {}",
        if stored.windows(4).any(|part| part == b"4242") { "the card" } else { "nothing to read" }
    );
    Ok(())
}
