use crate::{idempotency::IdempotencyKeys, retry::Retry};

/// A service with a retry layer in it. Sealed by its module.
#[diagnostic::on_unimplemented(
    message = "this client does not retry",
    note = "`for_delivery` and `without_retry` leave retry out: take `ClientStack::new`, or retry where the calls are made"
)]
pub trait Retries {
    /// Sets how many attempts may follow the first one.
    fn set_max_retries(&mut self, retries: u32);
}

impl<S, P, C, R, T> Retries for Retry<S, P, C, R, T> {
    fn set_max_retries(&mut self, retries: u32) {
        Self::set_max_retries(self, retries);
    }
}

impl<S: Retries> Retries for IdempotencyKeys<S> {
    fn set_max_retries(&mut self, retries: u32) {
        self.inner_mut().set_max_retries(retries);
    }
}
