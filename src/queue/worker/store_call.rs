use crate::{error::StoreError, panic::Caught};

/// A call of a store, which may be the user's: a panic is an error.
pub(super) async fn of_store<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match Caught::new(call).await {
        Ok(result) => result,
        Err(panic) => Err(StoreError::with_source("the store panicked", panic.to_string())),
    }
}
