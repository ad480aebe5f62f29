use crate::support::{counting, over, request, send};
use http::StatusCode;
use std::time::Duration;
use steadfast::{
    idempotency::{
        Begin, Begun, Fence, Fenced, Fingerprint, IdempotencyStore, Recorded, StoreKey, StoredResponse, Token,
    },
    store::memory::MemoryStore,
    testing::idempotency_contract,
};

const HOUR: Duration = Duration::from_secs(3600);

fn begin(n: usize) -> Begin {
    let fingerprint = Fingerprint { version: 1, hash: [0; 32] };
    let key = StoreKey::new(b"", &n.to_string());
    Begin { key, fingerprint, token: Token::random(), lease: Duration::from_secs(30), take_over: None }
}

async fn complete(store: &MemoryStore, begin: &Begin, body: Vec<u8>, keep: Duration) -> Fenced {
    let recorded = Recorded::Response(StoredResponse::new(StatusCode::OK, body));
    store.complete(Fence { key: begin.key, token: begin.token }, recorded, keep).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn keeps_the_laws_of_a_store() {
    idempotency_contract(&MemoryStore::new()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_store_refuses_new_keys_and_evicts_nothing() {
    let store = MemoryStore::new().with_max_records(3);
    let (running, kept, expiring) = (begin(0), begin(1), begin(2));
    for begin in [running, kept, expiring] {
        assert!(matches!(store.begin(begin).await.unwrap(), Begun::Acquired { .. }));
    }
    complete(&store, &kept, b"kept".into(), HOUR).await;
    complete(&store, &expiring, b"".into(), Duration::from_secs(60)).await;
    assert!(store.begin(begin(3)).await.is_err());
    assert!(matches!(store.begin(begin(1)).await.unwrap(), Begun::Completed(_)), "what is there is still answered");

    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(matches!(store.begin(begin(3)).await.unwrap(), Begun::Acquired { .. }), "an expired one made room");
    assert!(store.begin(begin(4)).await.is_err());
    assert!(matches!(store.begin(running).await.unwrap(), Begun::Acquired { attempt: 1 }), "running, if lapsed");
    assert!(matches!(store.begin(begin(1)).await.unwrap(), Begun::Completed(_)));
}

#[tokio::test(start_paused = true)]
async fn an_answer_takes_the_room_of_records_that_have_expired() {
    let store = MemoryStore::new().with_max_bytes(100_000);
    for n in 0..64 {
        let begin = begin(n);
        store.begin(begin).await.unwrap();
        complete(&store, &begin, vec![0; 1000], Duration::from_secs(60)).await;
    }
    tokio::time::sleep(Duration::from_secs(61)).await;
    let large = begin(64);
    store.begin(large).await.unwrap();
    assert!(store.record_bytes() > 50_000, "nothing has swept so far");
    assert_eq!(complete(&store, &large, vec![0; 90_000], HOUR).await, Fenced::Done);
    assert!(matches!(store.get(large.key).await.unwrap(), Some(Recorded::Response(_))));
    assert!(store.record_bytes() <= 100_000);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_fit_is_recorded_as_not_retained() {
    let store = MemoryStore::new().with_max_bytes(3 * 256 + 100);
    let (small, large) = (begin(0), begin(1));
    for begin in [small, large] {
        store.begin(begin).await.unwrap();
    }
    assert_eq!(complete(&store, &small, vec![0; 100], HOUR).await, Fenced::Done);
    assert_eq!(complete(&store, &large, vec![0; 300], HOUR).await, Fenced::Done);
    assert_eq!(store.get(large.key).await.unwrap(), Some(Recorded::NotRetained));
    assert!(matches!(store.get(small.key).await.unwrap(), Some(Recorded::Response(_))));
    assert!(store.record_bytes() <= 3 * 256 + 100);
}

#[tokio::test(start_paused = true)]
async fn expired_records_go_as_new_ones_come_and_leave_nothing() {
    let store = MemoryStore::new();
    for n in 0..1000 {
        let begin = begin(n);
        store.begin(begin).await.unwrap();
        complete(&store, &begin, vec![0; 50], Duration::from_secs(60)).await;
    }
    assert_eq!((store.records(), store.record_bytes()), (1000, 1000 * 306));
    tokio::time::sleep(Duration::from_secs(61)).await;
    for n in 1000..2000 {
        store.begin(begin(n)).await.unwrap();
    }
    assert!(store.records() < 1200, "{} records", store.records());
    while store.sweep(100).await.unwrap() > 0 {}
    assert_eq!((store.records(), store.record_bytes()), (1000, 1000 * 256), "only what runs is left");
}

#[tokio::test(start_paused = true)]
async fn a_layer_sweeps_its_store_while_requests_come() {
    let store = MemoryStore::new();
    let (app, _) = counting(over(store.clone()).with_keep(Duration::from_secs(1)));
    for n in 0..600 {
        send(&app, request(&n.to_string(), "")).await;
    }
    assert_eq!(store.records(), 600);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(send(&app, request("another", "")).await.status, StatusCode::CREATED);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(store.records(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_claimed_again_after_its_expiry_is_not_swept_by_the_old_one() {
    let store = MemoryStore::new();
    let first = begin(0);
    store.begin(first).await.unwrap();
    complete(&store, &first, b"old".into(), Duration::from_secs(60)).await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    let second = begin(0);
    store.begin(second).await.unwrap();
    complete(&store, &second, b"new".into(), HOUR).await;
    assert_eq!(store.sweep(10).await.unwrap(), 0);
    let Some(Recorded::Response(found)) = store.get(first.key).await.unwrap() else { panic!("it was swept") };
    assert_eq!(found.body, "new");
    assert_eq!((store.records(), store.record_bytes()), (1, 256 + 3));
}

#[tokio::test(start_paused = true)]
async fn a_record_does_not_hold_the_buffer_that_its_body_was_cut_from() {
    let store = MemoryStore::new();
    let begin = begin(0);
    store.begin(begin).await.unwrap();
    let buffer = bytes::Bytes::from(vec![0; 1 << 20]);
    let recorded = Recorded::Response(StoredResponse::new(StatusCode::OK, buffer.slice(..10)));
    store.complete(Fence { key: begin.key, token: begin.token }, recorded, HOUR).await.unwrap();
    assert!(buffer.is_unique(), "the store keeps a megabyte for ten bytes");
}
