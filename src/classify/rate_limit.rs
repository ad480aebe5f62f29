//! The `RateLimit` field: lists and dictionaries of structured fields (RFC 9651), as far as they say when a quota is renewed.

use super::hint::digits;

/// Returns the longest wait, in seconds, of the quotas that are used up. `lines`: all lines of the field.
///
/// Two forms are read: `"policy";r=0;t=30` of draft-ietf-httpapi-ratelimit-headers from version 08 on, one or several, and
/// `limit=100, remaining=0, reset=30` of the versions before.
pub(super) fn longest(lines: &[&[u8]]) -> Option<u64> {
    let (mut remaining, mut reset, mut longest) = (None, None, None);
    for item in lines.iter().flat_map(|line| Items { rest: line }) {
        match item {
            Item { key: Some(b"remaining"), value, .. } => remaining = number(value),
            Item { key: Some(b"reset"), value, .. } => reset = number(value),
            Item { left: Some(0), wait: Some(wait), .. } => longest = longest.max(Some(wait)),
            Item { .. } => {}
        }
    }
    longest.or(reset.filter(|_| remaining == Some(0)))
}

/// One member of the list.
#[derive(Debug, Default, Clone, Copy)]
struct Item<'a> {
    /// Of a member of a dictionary.
    key: Option<&'a [u8]>,
    value: &'a [u8],
    /// The parameters `r` and `t`.
    left: Option<u64>,
    wait: Option<u64>,
}

struct Items<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (name, mut end) = until_separator(&mut self.rest);
        let mut item = named(name);
        while end == Some(b';') {
            let (parameter, next) = until_separator(&mut self.rest);
            let parameter = named(parameter);
            // the last of several with one name counts (RFC 9651, 4.2.3.2)
            match parameter.key {
                Some(b"r") => item.left = number(parameter.value),
                Some(b"t") => item.wait = number(parameter.value),
                _ => {}
            }
            end = next;
        }
        Some(item)
    }
}

/// Takes the text up to the next `,` or `;` that is not inside a string, and that character with it. A string that does not end
/// takes the rest of the line.
fn until_separator<'a>(rest: &mut &'a [u8]) -> (&'a [u8], Option<u8>) {
    let text = *rest;
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b';' if !quoted => {
                *rest = &text[at + 1..];
                return (&text[..at], Some(*byte));
            }
            _ => {}
        }
    }
    *rest = &[];
    (text, None)
}

/// `key=value`, or a value without a key: a string has no key, whatever is in it.
fn named(text: &[u8]) -> Item<'_> {
    let text = text.trim_ascii();
    let equals = text.iter().position(|byte| *byte == b'=').filter(|_| text.first() != Some(&b'"'));
    match equals {
        Some(at) => Item { key: Some(&text[..at]), value: &text[at + 1..], ..Item::default() },
        None => Item { value: text, ..Item::default() },
    }
}

/// A whole number; a negative one is as good as nothing left.
fn number(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    match text.strip_prefix('-') {
        Some(negative) => digits(negative).map(|_| 0),
        None => digits(text),
    }
}

#[cfg(test)]
mod tests;
