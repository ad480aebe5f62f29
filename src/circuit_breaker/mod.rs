//! Stops calling what does not answer, and finds out when it answers again.
mod circuit;
mod circuits;
mod config;
mod count_window;
mod future;
mod in_flight;
mod keyed;
mod keyed_by;
mod layer;
mod permit;
mod probes;
mod service;
pub mod state;
mod telemetry;
mod time_window;
mod view;
mod window;

pub use circuit::{Circuit, Snapshot};
pub use circuits::Circuits;
pub use config::{Attempts, Config, Decision};
pub use future::ResponseFuture;
pub use keyed_by::KeyedBy;
pub use layer::CircuitBreakerLayer;
pub use service::CircuitBreaker;
pub use view::{Reason, State, View};
pub use window::Window;
