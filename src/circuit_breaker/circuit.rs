use super::{
    config::Config,
    gate::Gate,
    permit::{Answered, Kind, NO_SLOT, Permit, Rejected, Signal},
    state::{Machine, Mode, Outlook},
    telemetry::Series,
    view::{Change, State, View},
    waiting::Waiting,
};
use crate::{
    classify::{Outcome, Record, Recorder, Ticket, Verdict},
    error::Refused,
    panic::unharmed,
    registry::{Entry, Registry, Value, registry},
};
use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// One circuit: a handle, whose clones are the same circuit. See the [module docs](crate::circuit_breaker).
#[derive(Clone)]
pub struct Circuit(pub(super) Arc<Shared>);

/// `repr(C)`: what calls write, the counter of the `Arc` and the gate's first words, lies apart from what they read.
#[repr(C)]
pub(super) struct Shared {
    gate: Gate,
    pub(super) origin: Instant,
    name: Arc<str>,
    series: Series,
    subscribers: OnceLock<watch::Sender<State>>,
    /// Those who wait until it lets calls through, if there ever were any.
    pub(super) waiting: OnceLock<Box<Waiting>>,
    /// Somebody is telling of changes: one at a time, so that they are told in order.
    telling: AtomicBool,
}

/// Leave for a call of the layer.
pub(super) enum Leave {
    /// Nobody was asked. The moment as it was read: most of these calls end before anybody wants to know it in the circuit's own
    /// time.
    Free { generation: u32, began: Instant },
    /// The machine gave it.
    Asked(Permit),
}

/// What a circuit is at one moment, with its name.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Snapshot {
    /// The circuit's name.
    pub name: String,
    /// All the rest.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub view: View,
}

impl Circuit {
    /// Closed, with the default settings; listed in the [registry](crate::registry()).
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self::with_config(name, Config::default())
    }

    /// Closed; listed in the [registry](crate::registry()).
    pub fn with_config(name: impl Into<Arc<str>>, config: impl Into<Arc<Config>>) -> Self {
        Self::with_seed(name, config, fastrand::u64(..))
    }

    /// The same, with chance that is the same every time.
    pub fn with_seed(name: impl Into<Arc<str>>, config: impl Into<Arc<Config>>, seed: u64) -> Self {
        let name = name.into();
        Self::unlisted(name.clone(), Series::own(name), config.into(), seed).with_registry(registry())
    }

    /// Listed in this registry as well.
    #[must_use]
    pub fn with_registry(self, registry: &Registry) -> Self {
        registry.add(&self.0);
        self
    }

    pub(super) fn unlisted(name: Arc<str>, series: Series, config: Arc<Config>, seed: u64) -> Self {
        let gate = Gate::new(Machine::new(config, seed));
        series.state(State::Closed);
        let shared = Shared {
            gate,
            origin: Instant::now(),
            name,
            series,
            waiting: OnceLock::new(),
            subscribers: OnceLock::new(),
            telling: AtomicBool::new(false),
        };
        Self(Arc::new(shared))
    }

    /// The name that it was given.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub(super) fn shared_name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// What it does with calls.
    pub fn state(&self) -> State {
        self.0.look_at(Machine::view).state
    }

    /// All that can be seen of it. Asking takes no permit and changes nothing.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { name: self.name().to_owned(), view: self.0.look_at(Machine::view) }
    }

    /// The state, each time that it changes; several changes in a row may be seen as the last one.
    ///
    /// A `borrow()` of the receiver is a read lock of tokio's: while it is held, every change of the circuit waits for it. Copy the
    /// state out (`let state = *receiver.borrow();`) before the circuit is used.
    pub fn subscribe(&self) -> watch::Receiver<State> {
        // under the lock: what changed before is in this state, what changes from now on is told
        let behind = self.0.gate.lock();
        let sender = self.0.subscribers.get_or_init(|| watch::Sender::new(behind.machine.state()));
        drop(behind);
        sender.subscribe()
    }

    /// Refuses every call: for `expiry`, or until something else is done by hand. What is on its way moves nothing.
    pub fn force_open(&self, expiry: Option<Duration>) {
        self.0.with(|machine, now| machine.force_open(expiry, now));
    }

    /// Lets every call through and counts none: for `expiry`, or until something else is done by hand.
    pub fn disable(&self, expiry: Option<Duration>) {
        self.0.with(|machine, now| machine.disable(expiry, now));
    }

    /// Lets every call through, goes on as if it refused, and reports what it would do: for `expiry`, or until something else
    /// is done by hand.
    pub fn shadow(&self, expiry: Option<Duration>) {
        self.0.with(|machine, now| machine.shadow(expiry, now));
    }

    /// Opens now, for exactly `period`; then probes, and closes by itself.
    pub fn open_for(&self, period: Duration) {
        self.0.with(|machine, now| machine.open_for(period, now));
    }

    /// As if it were new: closed, nothing counted, nothing remembered, nothing done by hand.
    pub fn reset(&self) {
        self.0.with(Machine::reset);
    }

    /// Other settings from now on. State, window and attempts stay; of a window that shrinks, the newest calls.
    pub fn configure(&self, config: impl Into<Arc<Config>>) {
        let config = config.into();
        self.0.with(|machine, now| machine.configure(config, now));
    }

    /// Whether it would say no now; then the inner service need not be asked whether it is ready.
    #[inline]
    pub(super) fn would_refuse(&self) -> bool {
        let known = self.0.gate.would_refuse(|| self.0.now());
        known.unwrap_or_else(|| self.0.with(Machine::would_refuse).is_some())
    }

    /// Leave for a call that need not ask.
    #[inline]
    pub(super) fn flows(&self) -> Option<Leave> {
        self.0.gate.flows().map(|generation| Leave::Free { generation, began: Instant::now() })
    }

    /// Leave for a call, or a no to it.
    pub(super) fn ask(&self) -> Result<Leave, Refused> {
        if let Some(rejected) = self.0.gate.refuse(|| self.0.now()) {
            return Err(self.refused(rejected));
        }
        let (admitted, shadow) = self.0.with(|machine, now| (machine.admit(now), machine.mode == Mode::Shadow));
        let permit = admitted.map_err(|rejected| self.refused(rejected))?;
        if shadow && !permit.is_counted() {
            self.0.series.refused(State::Shadow);
        }
        Ok(Leave::Asked(permit))
    }

    /// A no to a call whose inner service was not made ready.
    pub(super) fn refuse(&self) -> Refused {
        let known = self.0.gate.refuse(|| self.0.now());
        self.refused(known.unwrap_or_else(|| self.0.with(Machine::refuse_now)))
    }

    fn refused(&self, rejected: Rejected) -> Refused {
        self.0.series.refused(rejected.state());
        let refused = Refused::new(self.0.name.clone(), rejected.why());
        match rejected.retry_after() {
            Some(after) => refused.with_retry_after(after),
            None => refused,
        }
    }

    /// What a call came to that mostly went well.
    #[inline]
    pub(super) fn record(&self, leave: &Leave, verdict: &Verdict) {
        if let Leave::Free { generation, began } = leave
            && Signal::from(verdict) == Signal::Success
            && self.0.count(*generation, *began)
        {
            self.0.series.call(verdict.outcome());
        } else {
            self.tell(leave, verdict);
        }
    }

    /// What a call came to.
    #[inline(never)]
    pub(super) fn tell(&self, leave: &Leave, verdict: &Verdict) {
        self.0.note(self.permit(leave), verdict);
    }

    /// Ends the time of the call: its response has a head. The recorder goes with the body and reports the outcome.
    pub(super) fn into_recorder(self, leave: &Leave) -> Recorder {
        let answered = match leave {
            Leave::Free { generation, began } => Answered::new(*generation, Kind::Took(passed(began.elapsed()))),
            Leave::Asked(_) => self.0.head(self.permit(leave)),
        };
        Recorder::new(self.0, answered.to_ticket())
    }

    /// Records that the server answered a call with a redirect that the client followed. How long that took is not known: it is
    /// not slow.
    pub(super) fn record_redirect(&self, leave: &Leave) {
        let permit = self.permit(leave);
        self.0.with(|machine, now| machine.record(permit, Signal::Success, None, Duration::ZERO, now));
        self.0.series.call(Outcome::Success);
    }

    fn permit(&self, leave: &Leave) -> Permit {
        match leave {
            Leave::Free { generation, began } => Permit::new(*generation, NO_SLOT, self.0.at(*began)),
            Leave::Asked(permit) => Permit::new(permit.generation, permit.slot, permit.started),
        }
    }

    /// Whether it must be kept: somebody holds it, a call is on its way, or it knows what a new one would not. What happened
    /// more than `forget` ago counts no more.
    pub(super) fn is_needed(&self, forget: Duration, now: Instant) -> bool {
        if Arc::strong_count(&self.0) > 1 {
            return true;
        }
        let now = self.0.at(now);
        let needed = self.0.gate.try_look(now, |machine, used| {
            let idle = Duration::from_nanos(now.saturating_sub(used));
            idle < forget && machine.holds_history(now)
        });
        // whoever holds the lock is using it
        needed.unwrap_or(true)
    }
}

impl Shared {
    fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    fn at(&self, moment: Instant) -> u64 {
        passed(moment - self.origin)
    }

    #[inline]
    fn count(&self, generation: u32, began: Instant) -> bool {
        let now = Instant::now();
        self.gate.count(generation, passed(now - began), || self.at(now))
    }

    /// Does something with the machine, and then, outside the lock, tells of what it changed.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Machine, u64) -> T) -> T {
        let now = self.now();
        self.told(self.gate.with(|machine| work(machine, now)))
    }

    /// The same for what only looks.
    fn look_at<T>(&self, look: impl FnOnce(&mut Machine, u64) -> T) -> T {
        let now = self.now();
        self.told(self.gate.look(now, |machine| look(machine, now)))
    }

    fn told<T>(&self, (out, changed): (T, bool)) -> T {
        if changed {
            self.tell();
        }
        self.look();
        out
    }

    /// What those who wait can hope for now. Moves nothing, so that there is nothing to tell of.
    pub(super) fn outlook(&self) -> Outlook {
        let now = self.now();
        self.gate.lock().machine.outlook(now)
    }

    /// Whether calls flow without asking the machine.
    #[inline]
    pub(super) fn flows(&self) -> bool {
        self.gate.flows().is_some()
    }

    fn note(&self, permit: Permit, verdict: &Verdict) {
        if self.gate.record(permit, Signal::from(verdict), verdict.hint(), self.now()) {
            self.tell();
        }
        self.look();
        self.series.call(verdict.outcome());
    }

    fn head(&self, permit: Permit) -> Answered {
        let (answered, changed) = self.gate.head(permit, self.now());
        if changed {
            self.tell();
        }
        self.look();
        answered
    }

    /// Those who wait for it may have something to hope for, after whatever was done under the lock.
    #[inline]
    fn look(&self) {
        if let Some(waiting) = self.waiting.get() {
            waiting.look(self);
        }
    }

    fn tell(&self) {
        struct Done<'a>(&'a AtomicBool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Release);
            }
        }
        // whoever finds the place taken leaves its change to the one who has it, who looks again after leaving
        while self.gate.lock().machine.has_changes() && !self.telling.swap(true, Ordering::AcqRel) {
            let _done = Done(&self.telling);
            // not in the head of the loop, where the lock would be held until its end
            let changes = self.gate.lock().machine.take_changes();
            for change in changes {
                self.tell_of(change);
            }
        }
    }

    fn tell_of(&self, change: Change) {
        self.series.changed(&self.name, change);
        if let Some(subscribers) = self.subscribers.get().filter(|_| !change.is_shadow()) {
            // wakes those who wait for it
            unharmed(|| {
                subscribers.send_replace(change.to());
            });
        }
    }
}

/// As nanoseconds. No process runs for five hundred years.
const fn passed(duration: Duration) -> u64 {
    duration.as_secs().wrapping_mul(1_000_000_000).wrapping_add(duration.subsec_nanos() as u64)
}

impl Record for Shared {
    fn record(&self, ticket: Ticket, verdict: Verdict) {
        let answered = Answered::from_ticket(ticket);
        let changed = self.gate.finish(answered, Signal::from(&verdict), verdict.hint(), || self.now());
        if let Some(changed) = changed {
            if changed {
                self.tell();
            }
            self.look();
        }
        self.series.call(verdict.outcome());
    }

    fn stalled(&self, _: Ticket, pending: Duration) -> bool {
        self.gate.is_slow(passed(pending))
    }

    fn settles_early(&self, ticket: Ticket) -> bool {
        Answered::from_ticket(ticket).is_probe()
    }
}

impl Entry for Shared {
    fn kind(&self) -> &'static str {
        "circuit"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn state(&self) -> Vec<(&'static str, Value)> {
        let view = self.look_at(Machine::view);
        let retry_after = view.retry_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        let mut state = vec![
            ("state", view.state.as_str().into()),
            ("reason", view.reason.as_str().into()),
            ("calls", view.calls.into()),
            ("failed", view.failed.into()),
            ("slow", view.slow.into()),
            ("refused", view.refused.into()),
            ("stale", view.stale.into()),
        ];
        state.extend(retry_after.map(|after| ("retry_after_ms", after.into())));
        state.extend(view.ramp_up.map(|share| ("ramp_up", share.into())));
        state
    }
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit").field("name", &self.0.name).field("state", &self.state()).finish()
    }
}
