use super::*;
use crate::time::{Clock, SystemClock};

fn at(seconds: u64) -> Moment {
    Moment { at: Instant::now() + Duration::from_secs(seconds), date: SystemClock.now() }
}

fn claim(limit: usize) -> Claim {
    Claim { limit, lease: Duration::from_secs(60), max_attempts: 3 }
}

#[tokio::test(start_paused = true)]
async fn a_queue_without_messages_and_keys_is_forgotten() {
    let mut shelf = Shelf::default();
    for n in 0..20_000 {
        let name = format!("tenant-{n}");
        let keyed = NewMessage::new("x").with_dedupe("k").with_dedupe_for(Duration::from_secs(100));
        shelf.enqueue(&name, keyed, at(0));
        let message = shelf.claim(&name, claim(1), at(0)).remove(0);
        shelf.settle(message.lease(), Settle::Done, at(1)).unwrap();
        shelf.sweep(&name, Duration::ZERO, 1_000, at(2));
        assert!(shelf.lanes.contains_key(&*name), "its key is known");
        shelf.sweep(&name, Duration::ZERO, 1_000, at(100));
    }
    assert_eq!((shelf.lanes.len(), shelf.rows.len()), (0, 0));
    shelf.enqueue("purged", NewMessage::new("x").with_dedupe("k"), at(0));
    let message = shelf.claim("purged", claim(1), at(0)).remove(0);
    let attempted = Attempted {
        attempt: 1,
        at: std::time::SystemTime::UNIX_EPOCH,
        duration: Duration::ZERO,
        outcome: "rejected".into(),
        status: None,
        error: String::new(),
    };
    shelf.settle(message.lease(), Settle::Dead { reason: Reason::Rejected, attempted }, at(1)).unwrap();
    assert!(shelf.purge("purged", message.id()));
    assert!(shelf.lanes.is_empty(), "nor does a purge leave anything behind");
}

#[tokio::test(start_paused = true)]
async fn the_list_of_what_is_done_shrinks_when_it_is_swept() {
    let mut shelf = Shelf::default();
    let most = 100_000;
    for _ in 0..most {
        shelf.enqueue("q", NewMessage::new("x"), at(0));
    }
    for message in shelf.claim("q", claim(most), at(0)) {
        shelf.settle(message.lease(), Settle::Done, at(1)).unwrap();
    }
    shelf.enqueue("q", NewMessage::new("x"), at(0));
    assert!(shelf.lanes["q"].done.capacity() >= most);
    while shelf.sweep("q", Duration::ZERO, 1_000, at(2)) > 0 {}
    let left = shelf.lanes["q"].done.capacity();
    assert!(left <= 128, "room for {left}");
}
