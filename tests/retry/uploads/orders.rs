//! Bodies that are polled, taken over and dropped in any order.

use super::*;

#[derive(Debug, Clone, Copy)]
enum Op {
    Feed(usize),
    Trailers,
    Close,
    Fail,
    Again,
    Poll(usize),
    Drop(usize),
    DropHandle,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..5_usize).prop_map(Op::Feed),
        1 => Just(Op::Trailers),
        1 => Just(Op::Close),
        1 => Just(Op::Fail),
        3 => Just(Op::Again),
        12 => (0..4_usize).prop_map(Op::Poll),
        2 => (0..4_usize).prop_map(Op::Drop),
        1 => Just(Op::DropHandle),
    ]
}

#[derive(Default)]
struct Feed {
    frames: std::collections::VecDeque<Option<Result<Frame<Bytes>, io::Error>>>,
    waker: Option<Waker>,
    /// All bytes that were fed so far.
    bytes: Vec<u8>,
    /// Trailers, the end, or an error were fed.
    over: bool,
    failed: bool,
}

impl Feed {
    fn feed(&mut self, op: Op) {
        if self.over {
            return;
        }
        self.over = !matches!(op, Op::Feed(_));
        self.failed = matches!(op, Op::Fail);
        let frame = match op {
            Op::Feed(n) => {
                let at = self.bytes.len();
                let more: Vec<u8> = (at..at + n).map(|n| u8::try_from(n % 256).unwrap()).collect();
                self.bytes.extend(&more);
                Some(Ok(Frame::data(more.into())))
            }
            Op::Trailers => Some(Ok(Frame::trailers(HeaderMap::new()))),
            Op::Fail => Some(Err(io::Error::other("fed"))),
            _ => None,
        };
        self.push(frame);
    }

    fn push(&mut self, frame: Option<Result<Frame<Bytes>, io::Error>>) {
        self.frames.push_back(frame);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

struct Attempt {
    body: Replayed,
    got: Vec<u8>,
    superseded: bool,
    /// It ended or failed.
    over: bool,
    waker: Waker,
    woken: Arc<AtomicUsize>,
    /// How often it had been woken when it was last pending.
    pending_at: Option<usize>,
}

struct Run {
    feed: Arc<Mutex<Feed>>,
    handle: Option<ReplayHandle<Source>>,
    attempts: Vec<Option<Attempt>>,
    cap: usize,
    polls: usize,
}

impl Run {
    fn new(cap: usize) -> Self {
        let feed = Arc::new(Mutex::new(Feed::default()));
        let from = feed.clone();
        let source = Source::new(move |cx| {
            let mut feed = from.lock().unwrap();
            if let Some(frame) = feed.frames.pop_front() {
                return Poll::Ready(frame);
            }
            feed.waker = Some(cx.waker().clone());
            Poll::Pending
        });
        let (live, handle) = tee(source, &Caps::new(cap, cap), true);
        let mut run = Self { feed, handle: Some(handle), attempts: Vec::new(), cap, polls: 0 };
        run.add(live);
        run
    }

    fn add(&mut self, body: Replayed) {
        let (waker, woken) = counting();
        let attempt = Attempt { body, got: Vec::new(), superseded: false, over: false, waker, woken, pending_at: None };
        self.attempts.push(Some(attempt));
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Again => self.again(),
            Op::Poll(n) => self.poll(n),
            Op::Drop(n) => _ = self.attempts.get_mut(n).map(Option::take),
            Op::DropHandle => self.handle = None,
            Op::Feed(_) | Op::Trailers | Op::Close | Op::Fail => self.feed.lock().unwrap().feed(op),
        }
        self.nobody_sleeps();
    }

    fn again(&mut self) {
        let Some(handle) = &self.handle else { return };
        let complete = handle.is_complete();
        let Some(body) = handle.again() else { return };
        for old in self.attempts.iter_mut().flatten().filter(|_| !complete) {
            old.superseded = true;
            if let Some(at) = old.pending_at.take() {
                assert!(old.woken.load(SeqCst) > at, "a superseded attempt sleeps");
            }
        }
        self.add(body);
    }

    /// An attempt that waits was woken if there are frames for it.
    fn nobody_sleeps(&self) {
        if self.feed.lock().unwrap().frames.is_empty() {
            return;
        }
        for attempt in self.attempts.iter().flatten() {
            assert!(attempt.pending_at.is_none_or(|at| attempt.woken.load(SeqCst) > at), "it was not woken");
        }
    }

    fn poll(&mut self, n: usize) {
        self.polls += 1;
        let Some(Some(attempt)) = self.attempts.get_mut(n) else { return };
        let Attempt { body, got, superseded, over, waker, woken, pending_at } = attempt;
        let at_end = body.is_end_stream();
        assert!(!(at_end && *superseded));
        let before = woken.load(SeqCst);
        let polled = Pin::new(&mut *body).poll_frame(&mut Context::from_waker(waker));
        let feed = self.feed.lock().unwrap();
        *pending_at = None;
        match polled {
            Poll::Pending => {
                assert!(!at_end && !*superseded && feed.frames.is_empty());
                *pending_at = Some(before);
            }
            Poll::Ready(Some(Ok(frame))) => {
                assert!(!at_end && !*superseded && !*over);
                got.extend(frame.into_data().unwrap_or_default());
                assert!(feed.bytes.starts_with(got), "no byte twice, and none left out");
            }
            Poll::Ready(Some(Err(ReplayError::LetGo(_)))) => assert!(*superseded),
            Poll::Ready(Some(Err(_))) => {
                assert!(!*superseded && feed.failed);
                *over = true;
            }
            Poll::Ready(None) => {
                assert!(!*superseded && feed.over && (*over || (!feed.failed && *got == feed.bytes)));
                *over = true;
            }
        }
        let missing = (feed.bytes.len() - got.len()) as u64;
        assert!(body.size_hint().lower() <= missing);
    }
}

/// How many orders are tried: more by hand, `PROPTEST_CASES=60000` for one.
fn orders() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(4000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(orders()))]

    #[test]
    fn in_whatever_order_bodies_are_polled_taken_over_and_dropped_none_is_wrong_or_sleeps(
        ops in vec(op(), 0..30),
        cap in prop_oneof![Just(1000_usize), 0..12_usize],
    ) {
        let mut run = Run::new(cap);
        for op in ops {
            run.run(op);
        }
        // the newest attempt can always go on
        run.run(Op::Close);
        let newest = run.attempts.len() - 1;
        while run.attempts[newest].as_ref().is_some_and(|attempt| !attempt.over) {
            run.poll(newest);
            prop_assert!(run.polls < 200);
        }
        if let Some(attempt) = run.attempts[newest].as_ref() {
            prop_assert!(attempt.over, "{:?} with a cap of {}", attempt.body, run.cap);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attempts_on_several_threads_take_over_from_each_other_and_the_last_one_is_whole() {
    for round in 0..2000_u32 {
        let mut n = 0;
        let source = Source::new(move |cx| {
            n += 1;
            if n > 40 {
                return Poll::Ready(None);
            }
            // ready, or pending and woken at once by another thread
            if n % 3 == round % 3 {
                let waker = cx.waker().clone();
                tokio::spawn(async move { waker.wake() });
                return Poll::Pending;
            }
            give("abcdefgh")
        });
        let (first, handle) = tee(source, &Caps::default(), true);
        let mut old = tokio::spawn(first.collect());
        for _ in 0..round % 4 {
            for _ in 0..round % 7 {
                tokio::task::yield_now().await;
            }
            let complete = handle.is_complete();
            let next = tokio::spawn(handle.again().unwrap().collect());
            let was = std::mem::replace(&mut old, next).await.unwrap();
            // it was through in time, or it was broken off
            assert!(was.is_err() || complete || handle.is_complete());
        }
        let whole = old.await.unwrap().unwrap().to_bytes();
        let frames = (1..=40).filter(|n| n % 3 != round % 3).count();
        assert_eq!(whole.len(), frames * 8, "round {round}");
    }
}

fn _sources_need_not_be_sync(source: ReplayBody<Source>) -> Box<dyn Any + Send + Sync> {
    Box::new(source)
}
