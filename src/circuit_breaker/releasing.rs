use super::{CircuitBreaker, CircuitBreakerLayer};
use tower_layer::Layer;

/// A circuit breaker that lets the inner service go after a refusal; made by
/// [`CircuitBreakerLayer::releasing`].
#[derive(Debug, Clone)]
pub struct ReleasingLayer<L> {
    layer: L,
}

impl<C, M> ReleasingLayer<CircuitBreakerLayer<C, M>> {
    /// Creates the layer that `layer` becomes with [`releasing`](CircuitBreakerLayer::releasing).
    pub const fn new(layer: CircuitBreakerLayer<C, M>) -> Self {
        Self { layer }
    }
}

impl<S: Clone, C, M> Layer<S> for ReleasingLayer<CircuitBreakerLayer<C, M>> {
    type Service = CircuitBreaker<S, C, M>;

    fn layer(&self, inner: S) -> CircuitBreaker<S, C, M> {
        CircuitBreaker { release: Some(S::clone), ..self.layer.layer(inner) }
    }
}
