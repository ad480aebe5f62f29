use super::{
    Hedge,
    delay::Delay,
    shared::{Listed, Settings, Shared},
};
use crate::{
    body::Caps,
    classify::Http,
    retry::{Allowance, Budget, Budgets, HttpReplay},
};
use std::{fmt, sync::Arc, time::Duration};
use tower_layer::Layer;

/// Sends what is slow a second time; see the [module docs](crate::retry::hedge).
///
/// `C` judges, `R` makes the request again. Clones, and all services that they make, share the budget and what is known of
/// the latency.
pub struct HedgeLayer<C = Http, R = HttpReplay> {
    shared: Arc<Shared<C, R>>,
}

impl HedgeLayer {
    /// Creates a layer that makes a second attempt `after` this long without a good response.
    pub fn new(after: Duration) -> Self {
        Self::of(Delay::fixed(after))
    }

    /// Creates a layer that makes a second attempt when a response takes longer than 95 of 100 did of late; `at_first` until that
    /// is known, which takes 64 good responses.
    ///
    /// It is an estimate, at most an eighth too high, that follows the last thousand answers or so. It is one for all that
    /// the layer calls: give clients of different servers layers of their own.
    pub fn after_p95(at_first: Duration) -> Self {
        Self::of(Delay::p95(at_first))
    }

    fn of(delay: Delay) -> Self {
        let listed = Listed::new("hedge".into(), Budget::new(Allowance::for_hedges()).into(), Arc::new(delay));
        let settings = Settings { listed, caps: Caps::default(), deposits: true };
        Self { shared: Arc::new(Shared { classify: Arc::new(Http::new()), replay: Arc::new(HttpReplay), settings }) }
    }
}

impl<C, R> HedgeLayer<C, R> {
    /// Judges and makes requests again in another way: `with_strategies(ByResult, CloneRequest)` for any service with `Clone`
    /// requests.
    #[must_use]
    pub fn with_strategies<C2, R2>(self, classify: C2, replay: R2) -> HedgeLayer<C2, R2> {
        let (classify, replay, settings) = (Arc::new(classify), Arc::new(replay), self.shared.settings.clone());
        HedgeLayer { shared: Arc::new(Shared { classify, replay, settings }) }
    }

    /// Sets a budget that is shared: that of the retry layer above, or another one.
    ///
    /// Under a retry layer that one pays successes in; without one this layer does. Default: a budget of its own with
    /// [`Allowance::for_hedges`]. The budget of a retry layer lets four times as many hedges through: see the
    /// [module docs](crate::retry::hedge#defaults).
    #[must_use]
    pub fn with_budget(self, budget: impl Into<Budgets>) -> Self {
        self.set(|settings| {
            let Listed { name, delay, .. } = &*settings.listed;
            settings.listed = Listed::new(name.clone(), budget.into(), delay.clone());
            settings.deposits = false;
        })
    }

    /// The name in events, metrics and the registry.
    #[must_use]
    pub fn with_name(self, name: impl Into<Arc<str>>) -> Self {
        self.set(|settings| {
            let Listed { budgets, delay, .. } = &*settings.listed;
            settings.listed = Listed::new(name.into(), budgets.clone(), delay.clone());
        })
    }

    /// How much of request bodies is kept for the second attempt.
    #[must_use]
    pub fn with_caps(self, caps: Caps) -> Self {
        self.set(|settings| settings.caps = caps)
    }

    /// The name in events, metrics and the registry; `hedge` where none was given.
    pub fn name(&self) -> &str {
        &self.shared.settings.listed.name
    }

    /// What second attempts are charged to.
    pub fn budgets(&self) -> &Budgets {
        &self.shared.settings.listed.budgets
    }

    /// How long a first attempt is waited for at this moment.
    pub fn delay(&self) -> Duration {
        self.shared.settings.listed.delay.now()
    }

    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut Arc::make_mut(&mut self.shared).settings);
        self
    }
}

impl<S, C, R> Layer<S> for HedgeLayer<C, R> {
    type Service = Hedge<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Hedge::new(inner, self.shared.clone())
    }
}

impl<C, R> Clone for HedgeLayer<C, R> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<C, R> fmt::Debug for HedgeLayer<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeLayer").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}
