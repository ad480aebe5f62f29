//! One run: what foreign code does when it is called, and what of it is still there.

use std::{
    any::Any,
    backtrace::Backtrace,
    cell::Cell,
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::{Wake, Waker},
    thread,
    time::Duration,
};

/// What foreign code does wherever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Nothing,
    /// Uses the very object that called it, in every way that there is.
    Reenter,
    /// Panics, the n-th time that it is called.
    Panic(usize),
}

/// What the inner service answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Answer {
    Ok,
    Unavailable,
    Error,
    Never,
}

impl Answer {
    pub(crate) const ALL: [Self; 4] = [Self::Ok, Self::Unavailable, Self::Error, Self::Never];
}

/// Calls that hostile places make for each call of the driver, at most. A call has fewer places, unless it is detached.
const CALLS: usize = 200;

/// The payload of every panic that a run makes. It says nothing, so that the hook is not called.
pub(crate) struct Bang;

pub(crate) type Ops = Vec<(&'static str, Box<dyn Fn() + Send + Sync>)>;

/// Shared by all that is foreign in one run.
pub(crate) struct World {
    does: Mutex<Does>,
    calls: AtomicUsize,
    ops: Mutex<Arc<Ops>>,
    answer: AtomicU8,
    ready: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
    parked: Mutex<Vec<Box<dyn Any + Send>>>,
    live: AtomicUsize,
    places: Mutex<BTreeSet<&'static str>>,
    /// How many more calls hostile places make.
    allowed: AtomicUsize,
    /// Where the run is, for the report of a deadlock.
    now: Mutex<(String, Backtrace)>,
    failed: Mutex<Vec<String>>,
}

thread_local! {
    /// What is called out of a hostile place is not hostile itself: else there is no end to it.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

struct Inside;

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

impl World {
    pub(crate) fn new(does: Does) -> Arc<Self> {
        Arc::new(Self {
            does: Mutex::new(does),
            calls: AtomicUsize::new(0),
            ops: Mutex::default(),
            answer: AtomicU8::new(0),
            ready: AtomicBool::new(true),
            wakers: Mutex::default(),
            parked: Mutex::default(),
            live: AtomicUsize::new(0),
            places: Mutex::default(),
            allowed: AtomicUsize::new(0),
            now: Mutex::new((String::new(), Backtrace::disabled())),
            failed: Mutex::default(),
        })
    }

    /// What it does with the object when it re-enters, by name.
    pub(crate) fn set_ops(&self, ops: Ops) {
        // the ones before may hold the last of an object, which calls foreign code when it is dropped
        let before = std::mem::replace(&mut *lock(&self.ops), Arc::new(ops));
        step(|| drop(before));
    }

    pub(crate) fn set(&self, does: Does) {
        *lock(&self.does) = does;
    }

    pub(crate) fn does(&self) -> Does {
        *lock(&self.does)
    }

    /// Foreign code is called here.
    pub(crate) fn called(&self, place: &'static str) {
        if INSIDE.get() {
            return;
        }
        let nth = self.calls.fetch_add(1, SeqCst) + 1;
        lock(&self.places).insert(place);
        match *lock(&self.does) {
            Does::Panic(at) if at == nth && !thread::panicking() => {
                // what it is for, if it does not come back
                *lock(&self.now) = (format!("a panic in {place}"), Backtrace::disabled());
                resume_unwind(Box::new(Bang))
            }
            Does::Nothing | Does::Panic(_) => {}
            Does::Reenter => self.reenter(place),
        }
    }

    fn reenter(&self, place: &'static str) {
        INSIDE.set(true);
        let _inside = Inside;
        let gone = lock(&self.parked).pop();
        self.note(place, "the drop of another call");
        drop(gone);
        let ops = lock(&self.ops).clone();
        for (name, op) in ops.iter() {
            self.note(place, name);
            // a panic here may end in a drop that another panic caused: the process would end, and say nothing
            if catch_unwind(AssertUnwindSafe(op)).is_err() {
                lock(&self.failed).push(format!("{name} panicked, out of {place}"));
            }
        }
        lock(&self.now).0.clear();
    }

    /// The frames of this crate are those that hold the lock, if there is one.
    fn note(&self, place: &str, op: &str) {
        *lock(&self.now) = (format!("{op}, out of {place}"), trace());
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }

    /// Fails for a place that nothing has called.
    pub(crate) fn assert_reached(&self, places: &[&'static str]) {
        let reached = lock(&self.places);
        let missing: Vec<_> = places.iter().filter(|place| !reached.contains(*place)).collect();
        assert!(missing.is_empty(), "never called: {missing:?}; called: {reached:?}");
    }

    pub(crate) fn set_answer(&self, answer: Answer) {
        self.answer.store(answer as u8, SeqCst);
    }

    pub(crate) fn answer(&self) -> Answer {
        Answer::ALL[usize::from(self.answer.load(SeqCst))]
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, SeqCst);
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(SeqCst)
    }

    /// Keeps a waker until [`wake_all`](Self::wake_all).
    pub(crate) fn wait(&self, waker: Waker) {
        let full = {
            let mut wakers = lock(&self.wakers);
            wakers.push(waker);
            if wakers.len() > 8 { Some(wakers.remove(0)) } else { None }
        };
        drop(full);
    }

    pub(crate) fn wake_all(&self) {
        let wakers = std::mem::take(&mut *lock(&self.wakers));
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Something that the next hostile place drops.
    pub(crate) fn park(&self, call: impl Any + Send) {
        lock(&self.parked).push(Box::new(call));
    }

    pub(crate) fn drop_parked(&self) {
        while let Some(parked) = { lock(&self.parked).pop() } {
            step(|| drop(parked));
        }
        step(|| self.wake_all());
    }

    /// Lets hostile places make some calls more.
    ///
    /// A layer that detaches its calls runs each of them in a task of its own. There it is as hostile as the call that made it: without
    /// a bound each would make others, for ever.
    pub(crate) fn allow_calls(&self) {
        self.allowed.store(CALLS, SeqCst);
    }

    pub(crate) fn may_call(&self) -> bool {
        self.allowed.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    pub(crate) fn live(&self) -> usize {
        self.live.load(SeqCst)
    }

    /// Uses of the object that panicked.
    pub(crate) fn failed(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.failed))
    }

    pub(crate) fn now(&self) -> String {
        lock(&self.now).0.clone()
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something foreign exists as long as this.
pub(crate) struct Live(pub(crate) Arc<World>);

impl Live {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        world.live.fetch_add(1, SeqCst);
        Self(world.clone())
    }
}

impl Clone for Live {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, SeqCst);
    }
}

/// A waker that is hostile when it wakes and when it is dropped.
struct HostileWaker(Arc<World>);

impl Wake for HostileWaker {
    fn wake(self: Arc<Self>) {
        self.0.called("the wake of a waker");
    }
}

impl Drop for HostileWaker {
    fn drop(&mut self) {
        self.0.called("the drop of a waker");
    }
}

pub(crate) fn waker(world: &Arc<World>) -> Waker {
    Arc::new(HostileWaker(world.clone())).into()
}

/// Does one thing with the object. `None`: a panic of the run came out of it.
pub(crate) fn step<T>(work: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => Some(done),
        Err(payload) if payload.is::<Bang>() => None,
        // an idempotency layer hands on what its inner service panicked with; all else is wrong
        Err(payload) => resume_unwind(payload),
    }
}

/// Runs in a thread of its own: a lock that is taken twice is found, and named.
pub(crate) fn watched<T: Send + 'static>(
    what: &str,
    world: &Arc<World>,
    run: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, ended) = mpsc::channel();
    let thread = thread::spawn(move || {
        let out = run();
        let _ = done.send(out);
    });
    let mut calls = 0;
    loop {
        match ended.recv_timeout(Duration::from_secs(20)) {
            Ok(out) => return out,
            Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
                Err(payload) => resume_unwind(payload),
                Ok(()) => panic!("{what}: the run ended without a result"),
            },
            // slow, and not stuck
            Err(mpsc::RecvTimeoutError::Timeout) if calls != world.calls() => calls = world.calls(),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let (now, trace) = &*lock(&world.now);
                panic!("{what}: a lock was held during {now}\n{}", frames(&trace.to_string()))
            }
        }
    }
}

/// With `HOSTILE_TRACE=1` only: it takes many times as long as all the rest.
fn trace() -> Backtrace {
    static WANTED: OnceLock<bool> = OnceLock::new();
    let wanted = *WANTED.get_or_init(|| std::env::var_os("HOSTILE_TRACE").is_some());
    if wanted { Backtrace::force_capture() } else { Backtrace::disabled() }
}

/// The frames of this crate's sources, the innermost first.
fn frames(trace: &str) -> String {
    let lines: Vec<_> = trace.lines().collect();
    let own = lines.windows(2).filter(|pair| pair[1].contains("./src/"));
    own.flatten().flat_map(|line| [*line, "\n"]).collect()
}
