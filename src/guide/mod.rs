//! Pages to read: short recipes, and what to do about an error.
//!
//! | page | when |
//! | --- | --- |
//! | [`recipes`] | a reqwest call through the stack, the client in axum's state, one shutdown for all |
//! | [`idempotency`] | you design an API with idempotency keys: what to tell its clients, and what to decide |
//! | [`thresholds`] | when a circuit breaker is to open, for how long, and how it closes: three settings worked out |
//! | [`troubleshooting`] | it does not compile, or it does not do what was meant |
//! | [the order of the layers](crate::stack#the-order-of-the-layers) | a stack that is put together by hand |
//! | [the outcomes](crate::classify#http-status) | what every status, gRPC code and error means |

pub mod idempotency;
pub mod recipes;
pub mod thresholds;
pub mod troubleshooting;
