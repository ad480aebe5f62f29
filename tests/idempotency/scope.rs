use crate::support::{app, request, send};
use http::StatusCode;
use proptest::prelude::*;
use steadfast::{
    idempotency::{IdempotencyLayer, Scope, StoreKey},
    store::memory::MemoryStore,
};

proptest! {
    /// Whatever lies between them: no two pairs are one, however they are cut.
    #[test]
    fn no_delimiter_makes_two_callers_one(all in "[a:/|,;]{2,12}", one in 0_usize..12, other in 0_usize..12) {
        let cut = |at: usize| all.split_at(at % all.len());
        let ((scope, key), (other_scope, other_key)) = (cut(one), cut(other));
        let same = StoreKey::new(scope.as_bytes(), key) == StoreKey::new(other_scope.as_bytes(), other_key);
        prop_assert_eq!(same, scope == other_scope);
    }
}

fn by_account() -> IdempotencyLayer {
    let account = Scope::by(|request| request.headers["x-account"].to_str().unwrap_or_default().to_owned());
    IdempotencyLayer::new(MemoryStore::new(), account)
}

#[tokio::test]
async fn the_same_key_of_two_callers_is_two_keys() {
    let (app, runs) =
        app(by_account(), |request| async move { request.headers()["x-account"].clone().to_str().unwrap().to_owned() });
    for (account, runs_by_then) in [("a", 1), ("b", 2), ("a", 2), ("b", 2)] {
        let mut request = request("k", "");
        request.headers_mut().insert("x-account", account.parse().unwrap());
        assert_eq!(send(&app, request).await.text(), account);
        assert_eq!(runs.get(), runs_by_then);
    }
}

#[tokio::test]
async fn a_refreshed_credential_of_the_same_account_is_the_same_caller() {
    let (app, runs) = app(by_account(), |_| async { StatusCode::CREATED });
    for token in ["Bearer old", "Bearer new"] {
        let mut request = request("k", "");
        request.headers_mut().insert("x-account", "a".parse().unwrap());
        request.headers_mut().insert("authorization", token.parse().unwrap());
        assert_eq!(send(&app, request).await.status, StatusCode::CREATED);
    }
    assert_eq!(runs.get(), 1);
}
