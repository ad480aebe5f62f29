use super::GitHub;
use http::HeaderValue;

impl GitHub {
    /// The `X-Hub-Signature-256` of a body, by the first secret: for senders, and for tests of receivers. Marked as sensitive.
    ///
    /// ```
    /// use steadfast::webhook::{GitHub, Secret};
    ///
    /// let github = GitHub::new(Secret::new("It's a Secret to Everybody")?);
    /// assert_eq!(
    ///     github.sign(b"Hello, World!"),
    ///     "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    /// );
    /// # Ok::<(), steadfast::setting::Invalid>(())
    /// ```
    pub fn sign(&self, body: &[u8]) -> HeaderValue {
        self.signature(body)
    }
}
