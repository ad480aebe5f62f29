use super::Wakes;
use std::{
    pin::pin,
    sync::{Arc, mpsc},
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

/// Waits for another queue when it is woken.
struct Again(Arc<Wakes>);

impl Wake for Again {
    fn wake(self: Arc<Self>) {
        self.0.of("another");
    }
}

#[test]
fn a_waker_may_wait_for_a_queue_when_it_is_woken() {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let wakes = Arc::<Wakes>::default();
        let waker = Waker::from(Arc::new(Again(wakes.clone())));
        let notify = wakes.of("q");
        for wake in [|wakes: &Wakes| wakes.wake("q"), Wakes::wake_all] {
            let mut woken = pin!(notify.notified());
            assert!(woken.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            wake(&wakes);
            assert!(woken.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        }
        let _ = done.send(());
    });
    assert!(ended.recv_timeout(Duration::from_secs(20)).is_ok(), "the list of queues was locked while a waker ran");
}
