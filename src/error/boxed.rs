use std::{error::Error, pin::Pin};

/// Any error, boxed: the error type of every layer that can fail by itself.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A boxed future: what the object-safe store traits return (one allocation beside a round trip or an fsync).
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
