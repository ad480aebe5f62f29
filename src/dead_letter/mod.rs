//! What a queue could not do: looked at, sent again, or removed.

mod error;
mod letters;
mod list;
mod pace;
mod redrive;

pub use crate::queue::{DeadLetter, Filter, Reason};
pub use error::RedriveError;
pub use letters::DeadLetters;
pub use list::{List, Page};
use pace::Pace;
pub use redrive::{Redrive, Redriven};
