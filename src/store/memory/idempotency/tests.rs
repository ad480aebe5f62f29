use super::*;
use http::StatusCode;

const KEEP: Duration = Duration::from_secs(60);

fn begin(n: usize) -> Begin {
    Begin {
        key: StoreKey::new(b"", &n.to_string()),
        fingerprint: Fingerprint { version: 1, hash: [0; 32] },
        token: Token::random(),
        lease: KEEP,
        take_over: None,
    }
}

fn fill(records: &Records, keys: std::ops::Range<usize>) {
    for n in keys {
        let begin = begin(n);
        records.begin(&begin).unwrap();
        let answer = Recorded::Response(StoredResponse::new(StatusCode::OK, "paid"));
        records.complete(Fence { key: begin.key, token: begin.token }, answer, KEEP);
    }
}

/// Places in tables and heaps, of all shards.
fn places(records: &Records) -> usize {
    records.shards.iter().map(lock).map(|shard| shard.rows.capacity() + shard.expiry.capacity()).sum()
}

#[tokio::test(start_paused = true)]
async fn tables_are_small_again_after_their_peak_was_swept() {
    let records = Records::default();
    fill(&records, 0..200_000);
    assert!(places(&records) > 400_000);
    tokio::time::sleep(KEEP).await;
    fill(&records, 200_000..201_000);
    while records.sweep(500) > 0 {}
    assert_eq!(records.count.load(Relaxed), 1_000);
    assert!(places(&records) < 20_000, "{} places for 1000 records", places(&records));
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_used_keeps_its_size() {
    let records = Records::default();
    for round in 0..20 {
        fill(&records, round * 10_000..(round + 1) * 10_000);
        tokio::time::sleep(KEEP / 2).await;
    }
    let before = places(&records);
    fill(&records, 200_000..210_000);
    assert!((before / 2..before * 2).contains(&places(&records)), "{before} places, then {}", places(&records));
}

#[tokio::test(start_paused = true)]
async fn released_tokens_are_forgotten() {
    let records = Records::default();
    for n in 0..100_000 {
        let begin = begin(n);
        records.shard(&begin.key).released.add(begin.token, Instant::now(), REMEMBERED);
        assert!(records.begin(&begin).is_err());
    }
    assert_eq!(records.count.load(Relaxed), 0);
    tokio::time::sleep(Duration::from_secs(181)).await;
    records.sweep(1);
    let fresh = begin(1);
    records.begin(&fresh).unwrap();
}
