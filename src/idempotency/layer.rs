use super::{
    Config, Idempotency, IdempotencyStore, InFlight, OnUnknown, Scope, Seal, seal::Sealing, state::State, sweep::Sweeps,
};
use http::Method;
use std::{fmt, mem, sync::Arc, time::Duration};
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
    pub(super) seal: Sealing,
    pub(super) state: Arc<State>,
    pub(super) sweeps: Arc<Sweeps>,
}

impl IdempotencyLayer {
    /// Over this store, or an `Arc<dyn IdempotencyStore>`. Who is calling has no default: the wrong one shows answers to
    /// strangers.
    pub fn new(store: impl IdempotencyStore, scope: Scope) -> Self {
        let state = State::new("idempotency".into());
        let sweeps = Sweeps::of(store.id());
        let (config, seal) = (Config::default(), Sealing::default());
        let shared = Shared { store: Arc::new(store), scope, config, seal, state, sweeps };
        Self { shared: Arc::new(shared) }
    }

    /// Under which it is in metrics, events and the registry; `"idempotency"` unless said.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Arc<str>>) -> Self {
        let state = self.shared.state.renamed(name.into());
        Arc::make_mut(&mut self.shared).state = state;
        self
    }

    /// With all of these settings.
    #[must_use]
    pub fn with_config(self, config: Config) -> Self {
        self.with(|_| config)
    }

    /// Answers are stored sealed; in the open unless said.
    #[must_use]
    pub fn with_seal(mut self, seal: impl Seal) -> Self {
        Arc::make_mut(&mut self.shared).seal = Sealing::with(seal);
        self
    }

    /// 30 s unless said: see [`Config::with_lease`].
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        self.with(|config| config.with_lease(lease))
    }

    /// An hour unless said: see [`Config::with_renew_for`].
    #[must_use]
    pub fn with_renew_for(self, renew_for: Duration) -> Self {
        self.with(|config| config.with_renew_for(renew_for))
    }

    /// 24 h unless said: see [`Config::with_keep`].
    #[must_use]
    pub fn with_keep(self, keep: Duration) -> Self {
        self.with(|config| config.with_keep(keep))
    }

    /// 2 s unless said: see [`Config::with_hold`].
    #[must_use]
    pub fn with_hold(self, hold: Duration) -> Self {
        self.with(|config| config.with_hold(hold))
    }

    /// 1 MiB unless said: see [`Config::with_request_limit`].
    #[must_use]
    pub fn with_request_limit(self, bytes: usize) -> Self {
        self.with(|config| config.with_request_limit(bytes))
    }

    /// 1 MiB unless said: see [`Config::with_response_limit`].
    #[must_use]
    pub fn with_response_limit(self, bytes: usize) -> Self {
        self.with(|config| config.with_response_limit(bytes))
    }

    /// What a request gets whose key is at work; [`InFlight::Refuse`] unless said.
    #[must_use]
    pub fn with_in_flight(self, in_flight: InFlight) -> Self {
        self.with(|config| config.with_in_flight(in_flight))
    }

    /// 1000 unless said: see [`Config::with_max_waiting`].
    #[must_use]
    pub fn with_max_waiting(self, most: usize) -> Self {
        self.with(|config| config.with_max_waiting(most))
    }

    /// What becomes of a key whose run ended nobody knows how; [`OnUnknown::Fail`] unless said.
    #[must_use]
    pub fn with_on_unknown(self, on_unknown: OnUnknown) -> Self {
        self.with(|config| config.with_on_unknown(on_unknown))
    }

    /// Requests run without a claim while the store is down: see [`Config::with_fail_open`]. By route: put the layer on those
    /// routes only.
    #[must_use]
    pub fn with_fail_open(self) -> Self {
        self.with(|config| config.with_fail_open(true))
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
        self.with(|config| config.with_required(methods))
    }

    /// Only keys in the quoted form that the draft asks for; others are answered with 400.
    #[must_use]
    pub fn with_strict_keys(self) -> Self {
        self.with(|config| config.with_strict_keys(true))
    }

    /// The page about keys in your documentation; [`guide::idempotency`](crate::guide::idempotency) unless said: see [`Config::with_help`].
    #[must_use]
    pub fn with_help(self, uri: impl Into<Arc<str>>) -> Self {
        self.with(|config| config.with_help(uri))
    }

    /// Waits until no handler that this layer or a clone of it detached runs any more, all their responses are recorded, and the
    /// store has freed each key whose handler did not run. For shutdown: stop accepting first, and put it under a deadline, since a
    /// store that is away is waited for; a key that it cuts off is of unknown outcome once its lease lapses. Sweeps are not
    /// waited for.
    pub async fn drained(&self) {
        self.shared.state.tasks.wait().await;
    }

    fn with(mut self, set: impl FnOnce(Config) -> Config) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        shared.config = set(mem::take(&mut shared.config));
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
            .field("seal", &self.seal)
            .finish_non_exhaustive()
    }
}
