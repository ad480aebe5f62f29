//! A body that was taken over, or whose source is lost, never looks complete.

use super::*;

fn eleven() -> Source {
    Source::of([data("abc"), data("defgh"), data("ijk")]).with_length(11)
}

#[test]
fn a_body_that_was_taken_over_at_three_of_eleven_bytes_fails_for_ever_and_misses_eight() {
    for cap in [1000, 8] {
        let (mut old, handle) = tee(eleven(), &Caps::new(cap, 1000), true);
        assert_eq!(poll(&mut old), "abc");
        let mut new = handle.again().unwrap();
        drop(handle); // so that nothing is kept in the end
        let broken = |old: &mut Replayed| {
            assert_eq!((old.is_end_stream(), old.size_hint().exact()), (false, Some(8)), "cap {cap}");
            assert_eq!(poll(old), "superseded", "cap {cap}");
        };
        broken(&mut old);
        for (left, frame) in [(8, "abc"), (3, "defgh"), (0, "ijk"), (0, "end")] {
            assert_eq!(poll(&mut new), frame);
            assert_eq!(new.size_hint().exact(), Some(left));
            broken(&mut old);
        }
        assert!(new.is_end_stream());
        drop(new);
        broken(&mut old);
    }
}

#[test]
fn a_body_that_was_taken_over_after_its_last_byte_and_before_its_end_fails_too() {
    let (mut old, handle) = tee(Source::of([data("abc")]), &Caps::default(), true);
    assert_eq!(poll(&mut old), "abc");
    let mut new = handle.again().unwrap();
    assert_eq!([poll(&mut new), poll(&mut new)], ["abc", "end"]);
    assert_eq!((old.is_end_stream(), poll(&mut old)), (false, "superseded".into()));
}

#[test]
fn it_fails_also_where_the_later_attempt_kept_all_of_it() {
    let (mut old, handle) = tee(eleven(), &Caps::default(), true);
    assert_eq!(poll(&mut old), "abc");
    let mut new = handle.again().unwrap();
    while poll(&mut new) != "end" {}
    assert!(handle.is_complete());
    assert_eq!((old.is_end_stream(), poll(&mut old)), (false, "superseded".into()));
    // once the source has ended no attempt supersedes another: a hedge gives the same beside the first attempt
    let (mut third, mut fourth) = (handle.again().unwrap(), handle.again().unwrap());
    for body in [&mut third, &mut fourth] {
        assert_eq!((poll(body), poll(body)), ("abcdefghijk".into(), "end".into()));
        assert!(body.is_end_stream());
    }
    assert_eq!((new.is_end_stream(), poll(&mut new)), (true, "end".into()));
}

#[test]
fn a_source_that_fails_or_panics_never_looks_complete_to_any_attempt() {
    for panics in [false, true] {
        let mut calls = 0;
        let source = Source::new(move |_| {
            calls += 1;
            match calls {
                1 => give("abc"),
                _ if panics => panic!("on purpose"),
                _ => Poll::Ready(Some(Err(io::Error::other("disk")))),
            }
        });
        let (mut old, handle) = tee(source.with_length(11), &Caps::default(), true);
        assert_eq!(poll(&mut old), "abc");
        let mut new = handle.again().unwrap();
        assert_eq!(poll(&mut new), "abc");
        let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut new)));
        assert_eq!(polled.unwrap_or_else(|_| "panicked".into()), if panics { "panicked" } else { "error: disk" });
        assert_eq!((new.is_end_stream(), new.size_hint().exact()), (false, Some(8)));
        assert_eq!((old.is_end_stream(), old.size_hint().exact()), (false, Some(8)));
        assert_eq!(poll(&mut old), "superseded");
        // an error is given once, as by any body; after a panic there was none yet
        assert_eq!(poll(&mut new), if panics { "lost" } else { "end" });
        assert!(handle.again().is_none());
        assert!(!handle.is_complete());
    }
}

#[test]
fn a_source_that_panics_when_it_is_asked_or_dropped_loses_no_byte_in_silence() {
    for keeps in [true, false] {
        let caps = Caps::new(if keeps { 100 } else { 0 }, 100);
        let source = Source::of([data("abc")]).with_drop(|| panic!("on purpose"));
        let (mut live, handle) = tee(source, &caps, true);
        assert_eq!(poll(&mut live), "abc");
        let _ = catch_unwind(AssertUnwindSafe(|| poll(&mut live))).unwrap_err();
        assert_eq!((poll(&mut live), handle.again().is_some()), ("end".into(), keeps));

        // it is at its end with the second frame, and its drop panics then: that frame did not arrive
        let mut source = Source::of([data("abc"), data("def")]).with_drop(|| panic!("on purpose"));
        let (polled, asked) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let n = Arc::clone(&asked);
        source.ends = Box::new(move || AtomicUsize::fetch_add(&n, 1, SeqCst) == 2);
        let (mut live, _handle) = tee(source, &caps, true);
        assert_eq!(poll(&mut live), "abc");
        let _ = catch_unwind(AssertUnwindSafe(|| poll(&mut live))).unwrap_err();
        assert!(!live.is_end_stream());
        assert_eq!(poll(&mut live), if keeps { "def" } else { "lost" });
        drop(polled);

        let mut source = Source::of([data("abc"), data("def")]);
        let asked = AtomicUsize::new(0);
        source.ends = Box::new(move || asked.fetch_add(1, SeqCst) == 2 && panic!("on purpose"));
        let (mut live, handle) = tee(source, &caps, true);
        assert_eq!(poll(&mut live), "abc");
        let _ = catch_unwind(AssertUnwindSafe(|| poll(&mut live))).unwrap_err();
        assert_eq!((live.is_end_stream(), poll(&mut live)), (false, "lost".into()));
        assert!(handle.again().is_none());
    }
}

#[test]
fn a_body_that_is_dropped_early_leaves_the_source_to_the_next_attempt() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let n = dropped.clone();
    let source = Source::of([data("abc"), data("def")]).with_drop(move || _ = n.fetch_add(1, SeqCst));
    let (mut live, handle) = tee(source, &Caps::default(), false);
    assert_eq!(poll(&mut live), "abc");
    assert!(handle.again().is_none());
    drop(live);
    let mut again = handle.again().unwrap();
    drop(handle);
    assert_eq!(dropped.load(SeqCst), 0);
    assert_eq!([poll(&mut again), poll(&mut again), poll(&mut again)], ["abc", "def", "end"]);
    assert_eq!(dropped.load(SeqCst), 1);
}

#[test]
fn a_full_body_is_whole_in_every_attempt() {
    type Whole = Full<Bytes>;
    let text = |body: Whole| futures_free(body);
    for cap in [100, 5] {
        let (live, handle) = tee(Whole::from("0123456789"), &Caps::new(cap, 100), Whole::can_abort());
        assert_eq!(text(Whole::from_replay(live)), "0123456789");
        let again = handle.again().map(Whole::from_replay);
        assert_eq!(again.map(text), (cap == 100).then(|| "0123456789".into()));
    }
    // a part of which went out
    let (mut live, handle) = tee(Whole::from("0123456789"), &Caps::default(), Whole::can_abort());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut live).poll_frame(&mut cx).is_ready());
    drop(live);
    assert_eq!(text(Whole::from_replay(handle.again().unwrap())), "0123456789");
    assert_eq!(text(Whole::from_replay(ReplayBody::whole("abc".into(), None))), "abc");
}

/// All of a body that never waits.
fn futures_free<B: Body<Data = Bytes, Error: std::fmt::Debug>>(body: B) -> String {
    let mut all = pin!(body.collect());
    match all.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(all) => String::from_utf8(all.unwrap().to_bytes().into()).unwrap(),
        Poll::Pending => panic!("it waits"),
    }
}
