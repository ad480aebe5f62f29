/// What `poll_ready` says while a circuit refuses; for
/// [`with_readiness`](super::CircuitBreakerLayer::with_readiness).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Readiness {
    /// Ready: the call is then refused at once, with the reason and when to come again. Needs no timer and no runtime.
    #[default]
    Reject,
    /// Pending, until the circuit would let a call through: a load balancer sends the call elsewhere meanwhile, and others wait.
    Pend,
}
