//! What the compiler says, what is seen at run time, and what to do.
//!
#![doc = include_str!("../../docs/troubleshooting.md")]
