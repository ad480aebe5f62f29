//! What comes up in every service.
//!
#![doc = include_str!("../../docs/recipes.md")]
