//! The layers and stores of a part, and the calls that put them under load.
use std::{any::Any, sync::Arc, time::Duration};
use steadfast::error::{BoxError, BoxFuture};

/// One call of the load.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    /// Counts up over the whole part.
    pub(crate) n: u64,
    /// A call before or after the load, at a low rate: it must succeed.
    pub(crate) calm: bool,
}

impl Call {
    /// Picks the kind of turbulence, `0..kinds`. Kind 0 is a call as it should be, as calm calls are.
    pub(crate) fn kind(self, kinds: u64) -> u64 {
        if self.calm { 0 } else { self.n % kinds }
    }
}

type Make = dyn Fn(Call) -> BoxFuture<'static, bool> + Send + Sync;
/// A count of rows that is under way.
pub(crate) type Rows = BoxFuture<'static, Result<i64, BoxError>>;
type Count = dyn Fn() -> Rows + Send + Sync;
type Tidy = dyn Fn() -> BoxFuture<'static, ()> + Send + Sync;

/// A part that has been started.
pub(crate) struct Subject {
    call: Arc<Make>,
    rows: Option<Box<Count>>,
    tidy: Option<Box<Tidy>>,
    /// Calls a second under load.
    pub(crate) rate: u32,
    /// Calls a second after it.
    pub(crate) calm_rate: u32,
    /// How long leases and retention take to pass.
    pub(crate) at_least: Duration,
    /// How long it has to return to its start.
    pub(crate) at_most: Duration,
    /// Whether the warm-up is under load; where the load happens once, it is calm.
    pub(crate) warm_under_load: bool,
    _kept: Vec<Box<dyn Any + Send + Sync>>,
}

impl Subject {
    /// Creates a subject. `call` returns whether the call succeeded.
    pub(crate) fn new<F>(rate: u32, call: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        Self {
            call: Arc::new(move |n| Box::pin(call(n))),
            rows: None,
            tidy: None,
            rate,
            calm_rate: 20,
            at_least: Duration::from_secs(5),
            at_most: Duration::from_secs(30),
            warm_under_load: true,
            _kept: Vec::new(),
        }
    }

    pub(crate) fn with_rows<F>(mut self, count: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<i64, BoxError>> + Send + 'static,
    {
        self.rows = Some(Box::new(move || Box::pin(count())));
        self
    }

    /// Sets the work of an operator before each second of calm calls, such as a purge of dead letters.
    pub(crate) fn with_tidy<F>(mut self, tidy: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tidy = Some(Box::new(move || Box::pin(tidy())));
        self
    }

    pub(crate) fn with_calm_rate(mut self, rate: u32) -> Self {
        self.calm_rate = rate;
        self
    }

    pub(crate) fn with_settling(mut self, at_least: u64, at_most: u64) -> Self {
        (self.at_least, self.at_most) = (Duration::from_secs(at_least), Duration::from_secs(at_most));
        self
    }

    pub(crate) fn with_calm_warm_up(mut self) -> Self {
        self.warm_under_load = false;
        self
    }

    /// Lives as long as the part.
    pub(crate) fn keeping(mut self, value: impl Any + Send + Sync) -> Self {
        self._kept.push(Box::new(value));
        self
    }

    pub(crate) fn call(&self, call: Call) -> BoxFuture<'static, bool> {
        (self.call)(call)
    }

    pub(crate) async fn rows(&self) -> Result<i64, BoxError> {
        match &self.rows {
            Some(count) => count().await,
            None => Ok(0),
        }
    }

    pub(crate) async fn tidy(&self) {
        if let Some(tidy) = &self.tidy {
            tidy().await;
        }
    }
}
