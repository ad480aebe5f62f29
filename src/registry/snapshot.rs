/// What one entry is at this moment.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Snapshot {
    /// What it is: `"circuit"`, `"queue"`, ...
    pub kind: &'static str,
    /// The name that it was given.
    pub name: String,
    /// Its state, as names and values; the names are those of the entry's module docs.
    pub state: Vec<(&'static str, Value)>,
}

/// One value of a state.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
#[non_exhaustive]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A count, or milliseconds where the name ends in `_ms`.
    Count(u64),
    /// A share between 0 and 1, or another number.
    Number(f64),
    /// A word.
    Text(String),
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Count(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}
