//! A `tonic::Status` below an error of ours, made only when somebody walks the chain.

use std::{error::Error, fmt::Display};

/// Without the feature `tonic` it is empty and never a source.
#[derive(Debug, Clone, Default)]
pub(crate) struct StatusSource {
    #[cfg(feature = "tonic")]
    made: std::sync::OnceLock<Box<crate::foreign::Status>>,
}

impl StatusSource {
    pub(crate) const fn new() -> Self {
        Self {
            #[cfg(feature = "tonic")]
            made: std::sync::OnceLock::new(),
        }
    }

    pub(crate) fn unavailable(&self, message: &dyn Display) -> Option<&(dyn Error + 'static)> {
        self.get(14, message)
    }

    pub(crate) fn deadline_exceeded(&self, message: &dyn Display) -> Option<&(dyn Error + 'static)> {
        self.get(4, message)
    }

    #[cfg(feature = "tonic")]
    #[expect(clippy::unnecessary_wraps, reason = "the same shape with and without the feature")]
    fn get(&self, code: i32, message: &dyn Display) -> Option<&(dyn Error + 'static)> {
        let status = self.made.get_or_init(|| Box::new(crate::foreign::status(code, message.to_string())));
        Some(&**status)
    }

    #[cfg(not(feature = "tonic"))]
    #[expect(clippy::unused_self, reason = "the same shape with and without the feature")]
    fn get(&self, _code: i32, _message: &dyn Display) -> Option<&(dyn Error + 'static)> {
        None
    }
}
