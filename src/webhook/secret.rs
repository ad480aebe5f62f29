use super::scheme::hex;
use crate::setting::Invalid;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// What a tag is a signature of. No delivery is.
const TAGGED: &[u8] = b"steadfast: the tag of a webhook secret\n";

/// A secret that both sides know. Prints as `***`; its bytes are not kept, only the state of the hash that begins with them.
#[derive(Clone)]
pub struct Secret {
    mac: Hmac<Sha256>,
}

impl Secret {
    /// Of these bytes, as they are.
    ///
    /// # Errors
    /// When there are none: everybody could sign with that.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, Invalid> {
        let bytes = bytes.as_ref();
        if bytes.is_empty() {
            return Err(Invalid::new("a secret is not empty"));
        }
        let mac = Hmac::new_from_slice(bytes).map_err(|_| Invalid::new("a secret of this length is no HMAC key"))?;
        Ok(Self { mac })
    }

    /// HMAC-SHA256 (RFC 2104) of `parts`, one after the other.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.over(parts).finalize().into_bytes().into()
    }

    /// Whether `tag` is the HMAC-SHA256 of `parts`; compared in constant time, and never if it is shorter than all of it.
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.over(parts).verify_slice(tag).is_ok()
    }

    /// Returns 16 hexadecimal digits that stand for this secret in the dedupe keys of a store. Like a signature, they reveal the
    /// secret only to a reader who guesses it: make secrets of random bytes.
    pub fn tag(&self) -> String {
        hex::encode(&self.sign(&[TAGGED])[..8])
    }

    fn over(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl TryFrom<&str> for Secret {
    type Error = Invalid;

    fn try_from(text: &str) -> Result<Self, Invalid> {
        Self::new(text)
    }
}

impl TryFrom<String> for Secret {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::new(text)
    }
}
