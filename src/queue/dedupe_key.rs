use std::borrow::Cow;

/// Begins what is not a key as it was given. No header can hold it, so the keys of deliveries stand as they are.
const MARK: char = '\u{1f}';

/// A key as a store keeps it: the same key of another destination is another one, because a fan-out gives all its messages one key.
/// No two pairs of destination and key have the same result.
pub(super) fn scoped<'a>(destination: Option<&str>, key: &'a str) -> Cow<'a, str> {
    match destination {
        Some(destination) => Cow::Owned(format!("{MARK}{}:{destination}{key}", destination.len())),
        None if key.starts_with(MARK) => Cow::Owned(format!("{MARK}:{key}")),
        None => Cow::Borrowed(key),
    }
}
