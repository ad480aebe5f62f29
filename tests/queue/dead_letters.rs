//! What could not be done: found, sent again at a rate, removed.

use crate::{
    running,
    support::{faulty, memory, millis, pass, put, secs},
};
use std::{convert::Infallible, sync::atomic::Ordering::SeqCst, time::Duration};
use steadfast::{
    classify::Outcome,
    dead_letter::{Filter, Reason, RedriveError},
    error::{StoreError, find},
    queue::{Message, MessageId, NewMessage, Queue, Worker},
};
use tokio::time::Instant;
use tower::service_fn;

/// Works until nothing is open; every message is rejected.
async fn reject_all(queue: &Queue) {
    let no = service_fn(|_: Message| async { Ok::<_, Infallible>(Outcome::Rejected) });
    let worker = running!(Worker::new(queue.clone(), no));
    pass(secs(1)).await;
    worker.stop().await;
}

async fn dead(many: usize) -> (Queue, Vec<MessageId>) {
    let queue = memory();
    put(&queue, vec!["m"; many]).await;
    reject_all(&queue).await;
    let mut ids = Vec::new();
    let mut cursor = None;
    loop {
        let page = queue.dead_letters().list(Filter::all()).after(cursor).limit(7).await.unwrap();
        ids.extend(page.letters.iter().map(|letter| letter.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(ids.len(), many, "pages go on to the end");
    (queue, ids)
}

#[tokio::test(start_paused = true)]
async fn letters_are_listed_page_by_page_and_got_one_by_one() {
    let (queue, ids) = dead(20).await;
    let letters = queue.dead_letters();
    let mut sorted = ids.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted, ids);
    let one = letters.get(ids[3]).await.unwrap().unwrap();
    assert_eq!((one.id, one.reason, one.body.as_ref()), (ids[3], Reason::Rejected, b"m".as_ref()));
    assert!(letters.get(MessageId::new()).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_redrive_makes_ready_again_and_says_who() {
    let (queue, ids) = dead(250).await;
    let redriven = queue.dead_letters().redrive(Filter::all()).by("ada").await.unwrap();
    assert_eq!((redriven.matched, redriven.redriven), (250, 250));
    assert_eq!(queue.stats().await.unwrap().ready, 250);
    reject_all(&queue).await;
    let letter = queue.dead_letters().get(ids[0]).await.unwrap().unwrap();
    let history: Vec<_> = letter.history.iter().map(|entry| (entry.outcome.as_str(), entry.error.as_str())).collect();
    assert_eq!(history, [("rejected", ""), ("redriven", "ada"), ("rejected", "")]);
    assert_eq!(letter.epoch, 1);
}

#[tokio::test(start_paused = true)]
async fn a_redrive_keeps_to_its_rate() {
    let (queue, _) = dead(31).await;
    let letters = queue.dead_letters();
    let redrive = letters.redrive(Filter::all()).rate(10.0);
    let begun = Instant::now();
    let watch = async {
        for (after, at_most) in [(millis(10), 1), (millis(1000), 11), (millis(2000), 21)] {
            tokio::time::sleep_until(begun + after).await;
            let ready = queue.stats().await.unwrap().ready;
            assert!(ready <= at_most && ready + 2 >= at_most, "{ready} after {after:?}");
        }
    };
    let (redriven, ()) = tokio::join!(redrive, watch);
    assert_eq!(redriven.unwrap().redriven, 31);
    assert!((millis(2990)..millis(3100)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_high_rate_is_kept_as_well() {
    let (queue, _) = dead(500).await;
    let begun = Instant::now();
    queue.dead_letters().redrive(Filter::all()).rate(10_000.0).await.unwrap();
    // tokio's timers tick in milliseconds
    assert!((millis(45)..millis(120)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_dies_again_during_a_redrive_is_not_redriven_again() {
    let (queue, ids) = dead(10).await;
    let no = service_fn(|_: Message| async { Ok::<_, Infallible>(Outcome::Rejected) });
    let worker = running!(Worker::new(queue.clone(), no));
    let letters = queue.dead_letters();
    let late = async {
        pass(secs(3)).await;
        // and what comes and dies while it goes on is not meant
        put(&queue, ["late"]).await;
    };
    // real ids come from the clock of the machine, which does not stand still
    let (redriven, ()) = tokio::join!(async { letters.redrive(Filter::all()).rate(1.0).await }, late);
    pass(secs(1)).await;
    worker.stop().await;
    assert!(redriven.unwrap().redriven <= 11);
    for id in ids {
        let letter = letters.get(id).await.unwrap().unwrap();
        assert_eq!(letter.history.iter().filter(|entry| entry.outcome == "redriven").count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_enqueued_after_a_redrive_began_is_not_meant() {
    let (queue, faults) = faulty();
    put(&queue, ["m"; 3]).await;
    reject_all(&queue).await;
    faults.later.store(true, SeqCst);
    assert_eq!(queue.dead_letters().redrive(Filter::all()).dry_run().await.unwrap().matched, 0);
    faults.later.store(false, SeqCst);
    assert_eq!(queue.dead_letters().redrive(Filter::all()).dry_run().await.unwrap().matched, 3);
}

#[tokio::test(start_paused = true)]
async fn only_those_that_the_filter_means_are_redriven() {
    let queue = memory();
    for topic in ["a", "b", "a"] {
        queue.enqueue(NewMessage::new("m").with_topic(topic)).await.unwrap();
    }
    reject_all(&queue).await;
    let redriven = queue.dead_letters().redrive(Filter::all().topic("a")).await.unwrap();
    assert_eq!(redriven.redriven, 2);
    assert_eq!(queue.stats().await.unwrap().dead, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_counts_and_changes_nothing() {
    let (queue, _) = dead(150).await;
    let begun = Instant::now();
    let counted = queue.dead_letters().redrive(Filter::all()).rate(1.0).dry_run().await.unwrap();
    assert_eq!((counted.matched, counted.redriven), (150, 0));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(queue.stats().await.unwrap().dead, 150);
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_is_none_redrives_nothing() {
    let (queue, _) = dead(1).await;
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = queue.dead_letters().redrive(Filter::all()).rate(rate).await.unwrap_err();
        assert!(find::<steadfast::setting::Invalid>(&error).is_some());
    }
    assert_eq!(queue.stats().await.unwrap().dead, 1);
}

#[tokio::test(start_paused = true)]
async fn a_redrive_that_fails_says_how_far_it_came_and_can_be_repeated() {
    let (queue, faults) = faulty();
    put(&queue, ["m"; 10]).await;
    reject_all(&queue).await;
    let letters = queue.dead_letters();
    let fail = async {
        pass(millis(3500)).await;
        faults.settle.store(true, SeqCst);
    };
    let (failed, ()) = tokio::join!(async { letters.redrive(Filter::all()).rate(1.0).await }, fail);
    let failed: RedriveError = failed.unwrap_err();
    assert_eq!(failed.so_far().redriven, 4);
    assert!(find::<StoreError>(&failed).is_some());
    faults.settle.store(false, SeqCst);
    assert_eq!(letters.redrive(Filter::all()).await.unwrap().redriven, 6);
}

#[tokio::test(start_paused = true)]
async fn a_purge_removes_what_the_filter_means() {
    let (queue, ids) = dead(220).await;
    let letters = queue.dead_letters();
    assert_eq!(letters.purge(Filter::ids(ids[..5].to_vec())).await.unwrap(), 5);
    assert_eq!(letters.purge(Filter::all().reason(Reason::Exhausted)).await.unwrap(), 0);
    assert_eq!(letters.purge(Filter::all()).await.unwrap(), 215);
    assert!(letters.list(Filter::all()).await.unwrap().letters.is_empty());
    assert_eq!(letters.redrive(Filter::all()).await.unwrap().matched, 0);
}
