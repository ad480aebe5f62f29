//! Everything that has a name and a state, in one list: for a health check, an operator's page, a metrics endpoint.
//!
//! ```
//! use std::sync::Arc;
//! use steadfast::registry::{Entry, Registry, Value};
//!
//! struct Pool;
//! impl Entry for Pool {
//!     fn kind(&self) -> &'static str { "pool" }
//!     fn name(&self) -> &str { "db" }
//!     fn state(&self) -> Vec<(&'static str, Value)> { vec![("idle", 3_u64.into())] }
//! }
//! let registry = Registry::new();
//! let pool = Arc::new(Pool);
//! registry.add(&pool);
//! assert_eq!(registry.snapshot()[0].name, "db");
//! drop(pool); // gone from the list as well
//! assert!(registry.snapshot().is_empty());
//! ```
//!
//! Circuits, queues, stores and layers put themselves into [`registry()`], the one of the process, when they are made;
//! `with_registry` on each puts it into another one as well. The list holds no entry alive. [`Registry::find`]
//! returns the entry itself by its type and name.

mod list;
mod shard;
mod snapshot;

pub use list::{Entry, Registry, registry};
pub use snapshot::{Snapshot, Value};
