use super::*;
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    task::Context,
    time::Duration,
};
use tokio::time::timeout;

#[test]
fn a_name_is_kept_for_as_long_as_somebody_waits_for_it() {
    let wakes = Wakes::default();
    let names: Vec<_> = (0..20_000).map(|n| format!("tenant-{n}")).collect();
    let waiters: Vec<_> = names.iter().flat_map(|name| [wakes.waiter(name), wakes.waiter(name)]).collect();
    assert_eq!(wakes.0.with(|all| all.len()), 20_000);
    for name in &names {
        wakes.wake(name);
        wakes.wake(&format!("{name} that nobody waits for"));
    }
    drop(waiters);
    assert_eq!(wakes.0.with(|all| all.len()), 0);
    assert!(wakes.0.with(|all| all.capacity()) <= 2 * SMALL, "room for {}", wakes.0.with(|all| all.capacity()));
}

#[test]
fn the_second_of_two_is_woken_after_the_first_has_left() {
    let wakes = Wakes::default();
    let (first, second) = (wakes.waiter("q"), wakes.waiter("q"));
    let mut woken = std::pin::pin!(second.notified());
    drop(first);
    let third = wakes.waiter("q");
    let mut also = std::pin::pin!(third.notified());
    wakes.wake("q");
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(woken.as_mut().poll(&mut cx).is_ready() && also.as_mut().poll(&mut cx).is_ready());
}

/// A waker that waits itself when it is woken, as a task does on a runtime that runs it in place.
#[test]
fn a_waker_may_use_what_woke_it() {
    struct Again(Arc<Wakes>, AtomicBool);
    impl std::task::Wake for Again {
        fn wake(self: Arc<Self>) {
            // a panic of a waker would end in `wake`: the test reads this instead
            self.1.store(self.0.0.is_free(), Relaxed);
            drop(self.0.waiter("q"));
        }
    }
    let wakes = Arc::new(Wakes::default());
    let again = Arc::new(Again(wakes.clone(), AtomicBool::new(false)));
    let waker = again.clone().into();
    let waiter = wakes.waiter("q");
    let mut notified = std::pin::pin!(waiter.notified());
    assert!(notified.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    wakes.wake("q");
    assert!(again.1.load(Relaxed), "the list of queues was locked while a waker ran");
    assert!(notified.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}

/// Those who wait look at a store that has been written to before it wakes them, on other threads, while names come and go.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost_while_names_come_and_go() {
    let (wakes, store) = (Arc::new(Wakes::default()), Arc::new(std::sync::atomic::AtomicU64::new(0)));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (wakes, store) = (wakes.clone(), store.clone());
        waiting.spawn(async move {
            for seen in 0..5_000 {
                let waiter = wakes.waiter("q");
                let changed = waiter.notified();
                if store.load(std::sync::atomic::Ordering::SeqCst) <= seen {
                    changed.await;
                }
            }
        });
    }
    for _ in 0..5_000 {
        store.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        wakes.wake("q");
        tokio::task::yield_now().await;
    }
    let all = async { while waiting.join_next().await.is_some() {} };
    timeout(Duration::from_secs(60), all).await.expect("nobody waits for ever");
    assert!(wakes.0.with(|all| all.is_empty()));
}
