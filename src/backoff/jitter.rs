/// How chance spreads the delays of many callers; see the table in the [module docs](crate::backoff).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Jitter {
    /// No chance: everybody who failed together comes again together.
    None,
    /// Between nothing and the whole step. The default: least work for the other side.
    #[default]
    Full,
    /// Between half the step and the whole step.
    Equal,
    /// Between the first step and three times the delay before.
    Decorrelated,
}
