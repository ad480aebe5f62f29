use std::fmt;

/// A setting cannot be what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid {
    what: &'static str,
}

impl Invalid {
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl std::error::Error for Invalid {}
