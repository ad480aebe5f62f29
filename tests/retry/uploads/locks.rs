//! Nothing foreign runs under the lock of a replayed body.

use super::*;

#[test]
fn a_waker_may_do_anything_with_the_bodies_when_it_wakes_and_when_it_is_dropped() {
    for polls in [false, true] {
        let (old, handle): (Slot<Replayed>, Slot<ReplayHandle<Source>>) = Default::default();
        let touch = {
            let (old, handle) = (old.clone(), handle.clone());
            move || {
                // a body that is being polled further out is not here
                if let Ok(Some(mut body)) = old.try_lock().map(|mut old| old.take()) {
                    if polls {
                        assert_eq!(poll(&mut body), "superseded");
                    }
                    drop(body);
                }
                if let Ok(handle) = handle.try_lock()
                    && let Some(handle) = &*handle
                {
                    handle.is_complete();
                }
            }
        };
        let (waker, woken) = hostile(touch.clone(), touch);
        let (mut body, made) = tee(Source::new(|_| Poll::Pending), &Caps::default(), true);
        assert_eq!(poll_with(&mut body, &waker), "pending");
        drop(waker); // the body has the last one
        *old.lock().unwrap() = Some(body);
        let again = made.again().unwrap(); // wakes
        assert_eq!(woken.load(SeqCst), 1);
        assert!(old.lock().unwrap().is_none());
        // replaced and dropped by another
        *handle.lock().unwrap() = Some(made);
        let mut again = again;
        let (second, _) = hostile(|| (), {
            let handle = handle.clone();
            move || assert!(!handle.lock().unwrap().as_ref().unwrap().is_complete())
        });
        assert_eq!(poll_with(&mut again, &second), "pending");
        drop(second);
        assert_eq!(poll(&mut again), "pending");
    }
}

#[test]
fn a_source_may_do_anything_with_its_own_handle_when_it_is_polled_asked_and_dropped() {
    let handle: Slot<ReplayHandle<Source>> = Slot::default();
    let touched = Arc::new(AtomicUsize::new(0));
    let touch = {
        let (handle, touched) = (handle.clone(), touched.clone());
        move || {
            if let Some(handle) = &*handle.lock().unwrap() {
                handle.is_complete();
                _ = format!("{handle:?}");
                touched.fetch_add(1, SeqCst);
            }
        }
    };
    let (in_poll, in_ends) = (touch.clone(), touch.clone());
    let mut frames = [data("abc"), data("def")].into_iter();
    let mut source = Source::new(move |_| {
        in_poll();
        Poll::Ready(frames.next().map(Ok))
    })
    .with_drop(touch);
    source.ends = Box::new(move || {
        in_ends();
        false
    });
    let (mut live, made) = tee(source, &Caps::default(), true);
    *handle.lock().unwrap() = Some(made);
    assert_eq!([(); 3].map(|()| poll(&mut live)), ["abc", "def", "end"]);
    // three polls, two questions, one drop
    assert_eq!(touched.load(SeqCst), 6);
}

#[test]
fn a_source_may_drop_its_handle_or_let_the_next_attempt_go_at_once() {
    for drops in [false, true] {
        let handle: Slot<ReplayHandle<Source>> = Slot::default();
        let (inner, mut polls) = (handle.clone(), 0);
        let source = Source::new(move |_| {
            polls += 1;
            let made = inner.lock().unwrap().take();
            if let (false, Some(made)) = (drops, made) {
                drop(made.again().unwrap());
            }
            if polls < 3 { give("abc") } else { Poll::Ready(None) }
        });
        let (mut live, made) = tee(source, &Caps::default(), true);
        *handle.lock().unwrap() = Some(made);
        assert_eq!(poll(&mut live), if drops { "abc" } else { "superseded" });
        assert_eq!(poll(&mut live), if drops { "abc" } else { "superseded" });
    }
}

#[test]
fn the_owner_of_a_chunk_may_use_the_handle_when_it_is_dropped() {
    struct Owner(Slot<ReplayHandle<Source>>, Arc<AtomicUsize>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            b"abc"
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            self.0.lock().unwrap().as_ref().unwrap().is_complete();
            self.1.fetch_add(1, SeqCst);
        }
    }
    let (handle, dropped) = (Slot::default(), Arc::new(AtomicUsize::new(0)));
    let chunks = (0..3).map({
        let (handle, dropped) = (Arc::clone(&handle), dropped.clone());
        move |_| Frame::data(Bytes::from_owner(Owner(Arc::clone(&handle), dropped.clone())))
    });
    // over the cap with the third
    let (mut live, made) = tee(Source::of(chunks), &Caps::new(6, 6), true);
    *handle.lock().unwrap() = Some(made);
    assert_eq!([(); 4].map(|()| poll(&mut live)), ["abc", "abc", "abc", "end"]);
    assert_eq!(dropped.load(SeqCst), 3);
}
