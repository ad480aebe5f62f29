//! A later attempt takes over in the middle of a poll.

use super::*;

/// A body whose second poll lets a later attempt take over, polls that with `waker`, and then returns `outcome`.
fn taken_over_within_a_poll(
    cap: usize,
    waker: Waker,
    outcome: impl FnOnce() -> Polled + Send + 'static,
) -> (Replayed, Slot<ReplayHandle<Source>>, Slot<Replayed>) {
    let (handle, new): (Slot<ReplayHandle<Source>>, Slot<Replayed>) = Default::default();
    let (mut polls, mut outcome) = (0, Some(outcome));
    let (inner_handle, inner_new) = (handle.clone(), new.clone());
    let source = Source::new(move |_| {
        polls += 1;
        match polls {
            1 => give("abc"),
            2 => {
                let mut body = inner_handle.lock().unwrap().as_ref().unwrap().again().unwrap();
                assert_eq!(poll_with(&mut body, &waker), "abc");
                // the source is away
                assert_eq!(poll_with(&mut body, &waker), "pending");
                assert_eq!(body.size_hint().exact(), None);
                *inner_new.lock().unwrap() = Some(body);
                outcome.take().unwrap()()
            }
            3 => give("xyz"),
            _ => Poll::Ready(None),
        }
    });
    let (old, made) = tee(source, &Caps::new(cap, cap), true);
    *handle.lock().unwrap() = Some(made);
    (old, handle, new)
}

#[test]
fn what_an_attempt_reads_while_another_takes_over_is_that_ones() {
    // also where it is over the cap
    for cap in [100, 5] {
        let (waker, woken) = counting();
        let (mut old, handle, new) = taken_over_within_a_poll(cap, waker, || give("defgh"));
        assert_eq!((poll(&mut old), poll(&mut old)), ("abc".into(), "superseded".into()));
        assert_eq!(woken.load(SeqCst), 1);
        let mut new = new.lock().unwrap().take().unwrap();
        assert_eq!([(); 4].map(|()| poll(&mut new)), ["defgh", "xyz", "end", "end"], "cap {cap}");
        assert_eq!(poll(&mut old), "superseded");
        assert_eq!(handle.lock().unwrap().as_ref().unwrap().again().is_some(), cap == 100);
    }
}

#[test]
fn an_attempt_that_waits_for_the_source_while_another_polls_it_is_woken_whatever_that_comes_to() {
    type Outcome = fn() -> Polled;
    let cases: [(Outcome, &str, &[&str]); 4] = [
        (|| Poll::Pending, "superseded", &["xyz", "end"]),
        (|| Poll::Ready(None), "superseded", &["end", "end"]),
        (|| Poll::Ready(Some(Err(io::Error::other("disk")))), "error: disk", &["lost", "lost"]),
        (|| panic!("on purpose"), "panicked", &["lost", "lost"]),
    ];
    for (outcome, was, then) in cases {
        let (waker, woken) = counting();
        let (mut old, _handle, new) = taken_over_within_a_poll(100, waker, outcome);
        assert_eq!(poll(&mut old), "abc");
        let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut old))).unwrap_or_else(|_| "panicked".into());
        assert_eq!((&*polled, woken.load(SeqCst)), (was, 1));
        let mut new = new.lock().unwrap().take().unwrap();
        assert_eq!([poll(&mut new), poll(&mut new)], then, "{was}");
        assert_eq!(poll(&mut old), "superseded");
    }
}
