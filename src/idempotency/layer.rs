use super::{
    Idempotency, IdempotencyStore, OnUnknown, Scope,
    config::{Config, MIN_LEASE},
    state::State,
};
use http::Method;
use std::{fmt, sync::Arc, time::Duration};
use tower_layer::Layer;

/// Runs a keyed request once and answers it again; see the [module docs](crate::idempotency).
#[derive(Clone)]
pub struct IdempotencyLayer {
    shared: Arc<Shared>,
}

/// Made with the layer and shared by every service that it makes: axum makes one for each connection.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) store: Arc<dyn IdempotencyStore>,
    pub(super) scope: Scope,
    pub(super) config: Config,
    pub(super) state: Arc<State>,
}

impl IdempotencyLayer {
    /// Over this store, or an `Arc<dyn IdempotencyStore>`. Who is calling has no default: the wrong one shows answers to
    /// strangers.
    pub fn new(store: impl IdempotencyStore, scope: Scope) -> Self {
        let (store, config, state) = (Arc::new(store), Config::default(), State::new("idempotency".into()));
        Self { shared: Arc::new(Shared { store, scope, config, state }) }
    }

    /// Under which it is in metrics, events and the registry; `"idempotency"` unless said.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Arc<str>>) -> Self {
        Arc::make_mut(&mut self.shared).state = State::new(name.into());
        self
    }

    /// How long a claim holds after the process died; 30 s unless said, at least 30 ms. It is renewed at a third for as long
    /// as the handler runs.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        self.with(|config| config.lease = lease.max(MIN_LEASE))
    }

    /// How long an answer is kept, from its completion; 24 h unless said.
    #[must_use]
    pub fn with_keep(self, keep: Duration) -> Self {
        self.with(|config| config.keep = keep)
    }

    /// The longest request body, in bytes; 1 MiB unless said. A longer one is answered with 413.
    #[must_use]
    pub fn with_request_limit(self, bytes: usize) -> Self {
        self.with(|config| config.request_limit = bytes)
    }

    /// The longest answer that is kept, in bytes of its body; 1 MiB unless said. A longer one reaches its caller and is
    /// recorded as not retained: a repeat is answered with 409.
    #[must_use]
    pub fn with_response_limit(self, bytes: usize) -> Self {
        self.with(|config| config.response_limit = bytes)
    }

    /// What becomes of a key whose run ended nobody knows how; [`OnUnknown::Fail`] unless said.
    #[must_use]
    pub fn with_on_unknown(self, on_unknown: OnUnknown) -> Self {
        self.with(|config| config.on_unknown = on_unknown)
    }

    /// POST and PATCH without a key are answered with 400.
    #[must_use]
    pub fn required(self) -> Self {
        self.with_required([Method::POST, Method::PATCH])
    }

    /// Requests of these methods without a key are answered with 400; none unless said. Safe methods (RFC 9110, 9.2.1) never
    /// need one. By route: put the layer on those routes only.
    #[must_use]
    pub fn with_required(self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.with(|config| config.required = methods.into_iter().collect())
    }

    /// Only keys in the quoted form that the draft asks for; others are answered with 400.
    #[must_use]
    pub fn with_strict_keys(self) -> Self {
        self.with(|config| config.strict_keys = true)
    }

    /// The longest that a caller is made to wait for one answer of the store; 2 s unless said. It is then answered 503 if the
    /// key was not claimed yet, and gets its answer, ahead of the record, if the handler has run.
    #[must_use]
    pub fn with_hold(self, hold: Duration) -> Self {
        self.with(|config| config.hold = hold)
    }

    /// The page about keys in your documentation: refusals point to it (`Link`, `rel="describedby"`).
    /// [`guide::idempotency`](crate::guide::idempotency) unless said.
    #[must_use]
    pub fn with_help(self, uri: &'static str) -> Self {
        self.with(|config| config.help = uri)
    }

    /// Until no handler that this layer detached runs any more and all their answers are recorded. For shutdown: stop
    /// accepting first, and put it under a deadline; what it cuts off counts as unknown once its lease lapses.
    pub async fn drained(&self) {
        self.shared.state.tasks.wait().await;
    }

    fn with(mut self, set: impl FnOnce(&mut Config)) -> Self {
        set(&mut Arc::make_mut(&mut self.shared).config);
        self
    }
}

impl<S> Layer<S> for IdempotencyLayer {
    type Service = Idempotency<S>;

    fn layer(&self, inner: S) -> Idempotency<S> {
        Idempotency { inner, shared: self.shared.clone() }
    }
}

impl fmt::Debug for IdempotencyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyLayer")
            .field("name", &self.state.name)
            .field("store", &self.store.id())
            .field("scope", &self.scope)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
