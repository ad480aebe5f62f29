//! Idempotency keys for those who design an API: what to tell clients, every answer, what is left to decide.
//!
#![doc = include_str!("../../docs/idempotency.md")]
