use super::{Scheme, hex, single};
use crate::webhook::{Secret, Unverified, Verified};
use http::{HeaderValue, request::Parts};
use sha2::{Digest, Sha256};
use std::time::SystemTime;

const SIGNATURE: &str = "x-hub-signature-256";
const DELIVERY: &str = "x-github-delivery";
const PREFIX: &[u8] = b"sha256=";
/// A delivery id is a GUID: one that is much longer is none, and is not kept.
const LONGEST_ID: usize = 128;

/// GitHub: `X-Hub-Signature-256`, an HMAC-SHA256 over the body, in hexadecimal digits. Source: GitHub Docs, "Validating webhook
/// deliveries".
///
/// Nothing but the body is signed: not the delivery id, not the event's name, and no timestamp. Whoever has seen a delivery
/// can send it again under another id; therefore its body's digest is a dedupe key besides the id.
#[derive(Debug, Clone)]
pub struct GitHub {
    secrets: Vec<Secret>,
    digest: bool,
}

impl GitHub {
    /// The longest body that GitHub sends, in bytes: 25 MiB. Source: GitHub Docs, "Webhook events and payloads" ("Payloads are
    /// capped at 25 MB"), read as the larger of the two units.
    pub const LIMIT: usize = 25 << 20;

    /// With this secret.
    pub fn new(secret: Secret) -> Self {
        Self { secrets: vec![secret], digest: true }
    }

    /// And this one: while a secret is being changed, both are right. The first one signs.
    #[must_use]
    pub fn or(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Only the delivery id tells that a delivery is the same one again: for senders whose different deliveries have the same
    /// body.
    #[must_use]
    pub const fn without_digest(mut self) -> Self {
        self.digest = false;
        self
    }

    pub(in crate::webhook) fn signature(&self, body: &[u8]) -> HeaderValue {
        let tag = self.secrets.first().map(|secret| secret.sign(&[body])).unwrap_or_default();
        let mut value = HeaderValue::try_from(format!("sha256={}", hex::encode(&tag)))
            .unwrap_or_else(|_| HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }
}

impl Scheme for GitHub {
    fn name(&self) -> &'static str {
        "github"
    }

    fn verify(&self, head: &Parts, body: &[u8], _: SystemTime) -> Result<Verified, Unverified> {
        let signature = single(&head.headers, SIGNATURE)?;
        let digits = signature.strip_prefix(PREFIX).ok_or(Unverified::Malformed)?;
        let tag: [u8; 32] = hex::decode(digits).ok_or(Unverified::Malformed)?;
        let secret = self.secrets.iter().position(|secret| secret.verify(&[body], &tag)).ok_or(Unverified::Mismatch)?;
        let mut verified = Verified::new(self.name(), secret);
        let delivery = head.headers.get(DELIVERY).and_then(|id| id.to_str().ok()).filter(|id| is_id(id));
        if let Some(id) = delivery {
            verified = verified.with_dedupe(format!("github:{id}")).with_delivery(id);
        }
        if self.digest {
            verified = verified.with_dedupe(format!("sha256:{}", hex::encode(&Sha256::digest(body))));
        }
        Ok(verified)
    }

    fn limit(&self) -> usize {
        Self::LIMIT
    }
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_ID
}
