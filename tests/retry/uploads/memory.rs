//! The caps count the memory that is held.

use super::*;

/// A chunk cut from an allocation of its own; `live` counts those that are not freed.
fn cut_from_a_mebibyte(live: &Arc<AtomicUsize>, chunk: &[u8]) -> Bytes {
    struct Big(Vec<u8>, Arc<AtomicUsize>);
    impl AsRef<[u8]> for Big {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Big {
        fn drop(&mut self) {
            self.1.fetch_sub(1, SeqCst);
        }
    }
    let mut big = vec![0; 1 << 20];
    big[..chunk.len()].copy_from_slice(chunk);
    live.fetch_add(1, SeqCst);
    Bytes::from_owner(Big(big, live.clone())).slice(..chunk.len())
}

/// Takes all frames out, and checks that at any time at most `cap` bytes are held, and at least the bytes that a retry gives.
fn drain(live: &mut Replayed, caps: &Caps, cap: usize) -> Vec<Bytes> {
    let (mut frames, mut passed) = (Vec::new(), 0);
    loop {
        match Pin::new(&mut *live).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    passed += data.len();
                    frames.push(data);
                }
            }
            Poll::Ready(None) => return frames,
            other => panic!("{other:?}"),
        }
        assert!(caps.used() <= cap);
        assert!(caps.used() == 0 || caps.used() >= passed, "{} held for {passed} bytes", caps.used());
    }
}

#[test]
fn sixteen_uploads_in_chunks_of_one_byte_hold_what_is_counted() {
    let caps = Caps::new(64 << 10, 1 << 20);
    let one = Bytes::from_static(b"x");
    let uploads: Vec<_> = (0..16)
        .map(|_| {
            let one = one.clone();
            let (mut live, handle) = tee(Source::of((0..64 << 10).map(move |_| Frame::data(one.clone()))), &caps, true);
            let frames = drain(&mut live, &caps, 1 << 20);
            // as they came, one by one
            assert_eq!(frames.len(), 64 << 10);
            handle
        })
        .collect();
    // all of the cap, to the byte: there is nothing besides the buffers
    assert_eq!(caps.used(), 1 << 20);
    for handle in &uploads {
        let mut again = handle.again().unwrap();
        let frames = drain(&mut again, &caps, 1 << 20);
        assert_eq!(frames.iter().map(Bytes::len).sum::<usize>(), 64 << 10);
        assert!(frames.len() < 10, "{} frames", frames.len());
    }
    drop(uploads);
    assert_eq!(caps.used(), 0);
}

#[test]
fn a_million_empty_chunks_pass_and_none_is_kept() {
    let caps = Caps::new(10, 10);
    let frames = (0..1_000_000).map(|_| Frame::data(Bytes::new())).chain([data("end")]);
    let (mut live, handle) = tee(Source::of(frames), &caps, true);
    assert_eq!(drain(&mut live, &caps, 10).len(), 1_000_001);
    assert_eq!(caps.used(), 3);
    assert_eq!(drain(&mut handle.again().unwrap(), &caps, 10), ["end"]);
}

#[test]
fn a_small_slice_does_not_keep_the_large_buffer_that_it_was_cut_from() {
    let (caps, live_buffers) = (Caps::default(), Arc::new(AtomicUsize::new(0)));
    let chunks: Vec<_> = (0..8).map(|n| Frame::data(cut_from_a_mebibyte(&live_buffers, &[n; 100]))).collect();
    let (mut live, handle) = tee(Source::of(chunks), &caps, true);
    drop(drain(&mut live, &caps, usize::MAX));
    assert_eq!(live_buffers.load(SeqCst), 0);
    let again: Vec<u8> = drain(&mut handle.again().unwrap(), &caps, usize::MAX).concat();
    assert_eq!((again.len(), again[0], again[799]), (800, 0, 7));
}

#[test]
fn trailers_count_and_do_not_keep_the_buffers_of_their_values() {
    let live_buffers = Arc::new(AtomicUsize::new(0));
    let trailers = |live: &Arc<AtomicUsize>| {
        let mut map = HeaderMap::with_capacity(10_000);
        let value = HeaderValue::from_maybe_shared(cut_from_a_mebibyte(live, &[b'v'; 50])).unwrap();
        map.append("x-secret", value.clone());
        map.append("x-secret", value);
        map.get_mut("x-secret").unwrap().set_sensitive(true);
        Frame::trailers(map)
    };
    let caps = Caps::new(1000, 1000);
    let (mut live, handle) = tee(Source::of([data("abc"), trailers(&live_buffers)]), &caps, true);
    drain(&mut live, &caps, 1000);
    assert_eq!(live_buffers.load(SeqCst), 0);
    assert!((103..500).contains(&caps.used()), "{}", caps.used());
    let mut again = pin!(handle.again().unwrap());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(again.as_mut().poll_frame(&mut cx).map_err(drop).is_ready());
    let Poll::Ready(Some(Ok(frame))) = again.as_mut().poll_frame(&mut cx) else { panic!("no trailers") };
    let map = frame.into_trailers().unwrap();
    assert_eq!(map.get_all("x-secret").iter().map(HeaderValue::len).collect::<Vec<_>>(), [50, 50]);
    assert!(map["x-secret"].is_sensitive());

    // where they do not fit, the body goes on without a copy
    let caps = Caps::new(103, 103);
    let (mut live, handle) = tee(Source::of([data("abc"), trailers(&live_buffers)]), &caps, true);
    drain(&mut live, &caps, 103);
    assert_eq!((handle.again().is_none(), caps.used()), (true, 0));
}

#[test]
fn a_body_of_exactly_the_cap_is_kept_whatever_its_hint_says() {
    for length in [None, Some(100), Some(7), Some(5000)] {
        for size in [1, 3, 10, 100] {
            let caps = Caps::new(100, 100);
            let text = Bytes::from(vec![b'x'; 100]);
            let chunks = (0..100).step_by(size).map(move |at| Frame::data(text.slice(at..(at + size).min(100))));
            let mut source = Source::of(chunks);
            if let Some(length) = length {
                source = source.with_length(length);
                // a body that lies
                source.counts = length == 100;
            }
            let (mut live, handle) = tee(source, &caps, true);
            drain(&mut live, &caps, 100);
            assert_eq!((caps.used(), handle.again().is_some()), (100, true), "{length:?} {size}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_the_chunks_are_the_caps_hold_and_the_bytes_are_the_same(
        sizes in vec(prop_oneof![4 => 0..4_usize, 2 => 0..300_usize, 1 => 0..5000_usize], 0..40),
        cap in 0..9000_usize,
        total in 0..9000_usize,
        exact: bool,
    ) {
        let caps = Caps::new(cap, total);
        let bytes: Vec<u8> = (0..=250).cycle().take(sizes.iter().sum()).collect();
        let (all, mut at) = (Bytes::from(bytes), 0);
        let chunks: Vec<Bytes> = sizes.iter().map(|size| { at += size; all.slice(at - size..at) }).collect();
        let mut source = Source::of(chunks.clone().into_iter().map(Frame::data));
        if exact {
            source = source.with_length(all.len() as u64);
        }
        let (mut live, handle) = tee(source, &caps, true);
        prop_assert_eq!(drain(&mut live, &caps, cap.min(total)), chunks);
        if let Some(mut again) = handle.again() {
            // the buffer is as long as the body, so every body that fits is kept
            prop_assert_eq!(caps.used(), all.len());
            prop_assert_eq!(again.size_hint().exact(), Some(all.len() as u64));
            prop_assert_eq!(drain(&mut again, &caps, cap.min(total)).concat(), &all[..]);
        } else {
            prop_assert!(all.len() > cap.min(total));
            prop_assert_eq!(caps.used(), 0);
        }
        drop((live, handle));
        prop_assert_eq!(caps.used(), 0);
    }
}

#[test]
fn debug_prints_lengths_and_states_and_nothing_of_the_request() {
    use http::Request;
    use steadfast::retry::{HttpReplay, Replay};
    let secret = || Source::of([data("sec"), data("ret")]).with_length(6);
    let (mut live, handle) = tee(secret(), &Caps::default(), true);
    poll(&mut live);
    let mut printed = vec![format!("{live:?} {handle:?}")];
    assert!(printed[0].contains('3'), "{printed:?}");
    let mut map = HeaderMap::new();
    map.insert("x-token", "secret".parse().unwrap());
    printed.push(format!("{:?}", ReplayBody::<Full<Bytes>>::whole("secret".into(), Some(map))));
    let collected = steadfast::body::Collected { data: "secret".into(), trailers: Some(HeaderMap::new()) };
    printed.push(format!("{collected:?}"));
    let request = |body| Request::put("http://h/secret").header("authorization", "secret").body(body).unwrap();
    let full = Full::new(Bytes::from("secret"));
    printed.push(format!("{:?}", HttpReplay.tee(request(full), &Caps::default()).1.unwrap()));
    let streamed = axum::body::Body::new(secret());
    let request = Request::put("http://h/secret").header("authorization", "secret").body(streamed).unwrap();
    printed.push(format!("{:?}", HttpReplay.tee(request, &Caps::default()).1.unwrap()));
    for body in [reqwest::Body::from("secret"), reqwest::Body::wrap(Full::new(Bytes::from("secret")))] {
        let client = reqwest::Client::new();
        let request = client.put("http://h/secret").header("authorization", "secret").body(body).build().unwrap();
        printed.push(format!("{:?}", HttpReplay.tee(request, &Caps::default()).1.unwrap()));
    }
    for printed in printed {
        assert!(!printed.contains("sec") && !printed.contains("115"), "{printed}");
    }
}
