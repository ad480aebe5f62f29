use super::{MalformedKey, fingerprint, sf_string};
use crate::token;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::{
    fmt::{self, Write},
    sync::Arc,
};

/// An idempotency key: 1 to 255 characters, each a space or visible ASCII.
///
/// Read from a field value in one of two forms, which are the same key: a structured-field string (RFC 9651, 3.3.3; what
/// draft-ietf-httpapi-idempotency-key-header asks for), whose parameters are ignored, or the bare characters. A bare key has
/// no space, quote, backslash, comma or semicolon: those would be another structured field.
///
/// ```
/// use steadfast::idempotency::IdempotencyKey;
///
/// let quoted = IdempotencyKey::try_from("\"order-7\";v=1")?;
/// assert_eq!(quoted, IdempotencyKey::try_from("order-7")?);
/// assert!(IdempotencyKey::try_from("order-7, order-8").is_err());
/// # Ok::<(), steadfast::idempotency::MalformedKey>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// The header that carries it; in gRPC, the metadata entry.
    pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
    /// The most characters that it has.
    pub const MAX_LENGTH: usize = 255;

    /// Of the characters themselves, not of a field value.
    ///
    /// # Errors
    /// When it is empty, too long, or has a character that is neither a space nor visible ASCII.
    pub fn new(key: &str) -> Result<Self, MalformedKey> {
        match key.len() {
            0 => Err(MalformedKey::new("the key is empty")),
            1..=Self::MAX_LENGTH if key.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) => Ok(Self(key.into())),
            1..=Self::MAX_LENGTH => Err(MalformedKey::new("a key is visible ASCII")),
            _ => Err(MalformedKey::new("a key has at most 255 characters")),
        }
    }

    /// 128 random bits, as 32 hexadecimal digits.
    pub fn random() -> Self {
        let mut bits = [0; 16];
        token::fill(&mut bits);
        Self::of_bits(bits)
    }

    /// A key made of other things, the same ones always: of a message's id and epoch, or of another key and a purpose. 32
    /// hexadecimal digits, 128 bits of a SHA-256 over the parts, each with its length before it: no two lists of parts come to
    /// one key, and a key tells nothing of its parts. In a server, [`Claim::derive`](super::Claim::derive) has the caller in it, too.
    ///
    /// ```
    /// use steadfast::idempotency::IdempotencyKey;
    ///
    /// let (message, epoch) = ("0190b5e2", 2_u32);
    /// let key = IdempotencyKey::derive([message.as_bytes(), &epoch.to_be_bytes()]);
    /// let refund = IdempotencyKey::derive([key.as_str(), "refund"]);
    /// assert!(key == IdempotencyKey::derive([message.as_bytes(), &epoch.to_be_bytes()]) && key != refund);
    /// ```
    pub fn derive<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Self {
        let hash = fingerprint::hash(parts);
        let mut bits = [0; 16];
        bits.copy_from_slice(&hash[..16]);
        Self::of_bits(bits)
    }

    fn of_bits(bits: [u8; 16]) -> Self {
        let mut digits = String::with_capacity(32);
        for byte in bits {
            let _ = write!(digits, "{byte:02x}");
        }
        Self(digits.into())
    }

    /// The characters, without quotes and escapes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The field value as a structured-field string: quoted.
    pub fn to_quoted(&self) -> HeaderValue {
        let escaped = self.0.replace('\\', "\\\\").replace('"', "\\\"");
        value(&format!("\"{escaped}\""))
    }

    /// The bare field value; quoted where the bare one would not be this key.
    pub fn to_bare(&self) -> HeaderValue {
        if self.0.bytes().all(is_bare) { value(&self.0) } else { self.to_quoted() }
    }

    /// The key of a request; `strict`: only the quoted form.
    pub(super) fn of_headers(headers: &HeaderMap, strict: bool) -> Result<Option<Self>, MalformedKey> {
        let mut values = headers.get_all(Self::HEADER).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => Self::parse(value.as_bytes(), strict).map(Some),
            (Some(_), Some(_)) => Err(MalformedKey::new("the header is there more than once")),
        }
    }

    fn parse(field: &[u8], strict: bool) -> Result<Self, MalformedKey> {
        let field = std::str::from_utf8(field).ok().filter(|field| field.is_ascii());
        let field = field.ok_or(MalformedKey::new("the key is not ASCII"))?.trim_matches(' ');
        if field.starts_with('"') {
            return Self::new(&sf_string::string_item(field).map_err(MalformedKey::new)?);
        }
        if strict {
            return Err(MalformedKey::new("the key is not a quoted string"));
        }
        if !field.bytes().all(is_bare) {
            return Err(MalformedKey::new("a key without quotes has no space, quote, backslash, comma or semicolon"));
        }
        Self::new(field)
    }
}

/// Neither end nor part of another structured field.
fn is_bare(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'"' | b'\\' | b',' | b';')
}

/// Every character of a key may stand in a field value.
fn value(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

impl TryFrom<&str> for IdempotencyKey {
    type Error = MalformedKey;

    /// Of a field value, in either form.
    fn try_from(field: &str) -> Result<Self, MalformedKey> {
        Self::parse(field.as_bytes(), false)
    }
}

impl TryFrom<&HeaderValue> for IdempotencyKey {
    type Error = MalformedKey;

    /// Of a field value, in either form.
    fn try_from(field: &HeaderValue) -> Result<Self, MalformedKey> {
        Self::parse(field.as_bytes(), false)
    }
}

/// Who knows a key may learn what it did: logs see only that there is one.
impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(***)")
    }
}
