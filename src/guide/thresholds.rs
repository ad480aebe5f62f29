//! A busy service, a slow one, and very many: settings of a circuit breaker, worked out.
//!
#![doc = include_str!("../../docs/choosing-thresholds.md")]
