use super::{Scheme, hex, single};
use crate::webhook::{Secret, Unverified, Verified};
use http::{HeaderValue, request::Parts};
use sha2::{Digest, Sha256};
use std::time::{Duration, SystemTime};

const SIGNATURE: &str = "x-hub-signature-256";
const DELIVERY: &str = "x-github-delivery";
const HOOK: &str = "x-github-hook-id";
/// The repository, organisation or app that the hook was made for.
const TARGET: &str = "x-github-hook-installation-target-id";
const PREFIX: &[u8] = b"sha256=";
/// A delivery id is a GUID: one that is much longer is none, and is not kept.
const LONGEST_ID: usize = 128;
/// The digits of a number of 64 bits.
const LONGEST_NUMBER: usize = 20;

/// GitHub: `X-Hub-Signature-256`, an HMAC-SHA256 over the body, in hexadecimal digits. Source: GitHub Docs, "Validating webhook
/// deliveries".
///
/// A delivery is recognised by `X-GitHub-Delivery`, within its hook (`X-GitHub-Hook-ID` and
/// `X-GitHub-Hook-Installation-Target-ID`, where they are sent): GitHub gives all deliveries of one event the same id, whichever
/// hook they belong to. A redelivery has the id of the delivery that it repeats.
///
/// Only the body is signed: not the ids, not the event's name, and no timestamp. A reader of the connection could send a delivery
/// again under another id; [`with_digest`](Self::with_digest) refuses that for a while.
#[derive(Debug, Clone)]
pub struct GitHub {
    secrets: Vec<Secret>,
    /// For how long the digest of a body is a dedupe key.
    digest: Option<Duration>,
}

impl GitHub {
    /// The longest window of a digest: 1 h.
    pub const LONGEST_DIGEST: Duration = Duration::from_secs(3600);

    /// With this secret.
    pub fn new(secret: Secret) -> Self {
        Self { secrets: vec![secret], digest: None }
    }

    /// And this one: while a secret is being changed, both are right. The first one signs.
    #[must_use]
    pub fn or(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Makes the SHA-256 of the body a dedupe key for `window`, against replay: a captured delivery that is sent again under another
    /// id within the window is a duplicate. After the window it is not.
    ///
    /// The price: different deliveries with the same body within the window are one message, and the others are lost. Events such as
    /// `repository_dispatch` have neither an id nor a time in their body, so do not use it for them. Default: off. `window` is at
    /// most 1 h; a longer one counts as 1 h. Five minutes are what schemes with a signed timestamp tolerate.
    #[must_use]
    pub fn with_digest(mut self, window: Duration) -> Self {
        self.digest = Some(window.min(Self::LONGEST_DIGEST));
        self
    }

    /// Recognises deliveries by their id alone, which is the default.
    #[must_use]
    pub const fn without_digest(mut self) -> Self {
        self.digest = None;
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
        if let Some(id) = text(head, DELIVERY).filter(|id| is_id(id)) {
            let number = |name| text(head, name).filter(|number| is_number(number)).unwrap_or_default();
            // the numbers come first: whatever an id holds, two deliveries of different hooks have no key in common
            let key = format!("delivery/{}/{}/{id}", number(TARGET), number(HOOK));
            verified = verified.with_dedupe(key).with_delivery(id);
        }
        if let Some(window) = self.digest {
            let digest = hex::encode(&Sha256::digest(body));
            verified = verified.with_dedupe_for(format!("sha256/{digest}"), window);
        }
        Ok(verified)
    }

    fn sources(&self) -> Vec<String> {
        self.secrets.iter().map(|secret| format!("{}:{}", self.name(), secret.tag())).collect()
    }
}

fn text<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    head.headers.get(name)?.to_str().ok()
}

fn is_number(text: &str) -> bool {
    text.len() <= LONGEST_NUMBER && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_ID
}
