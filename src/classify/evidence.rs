use super::Repeatable;

/// What is known of an attempt that failed, besides its error: whether a claim that nothing was sent has proof.
///
/// A connect error proves that the request never reached a server only if no connection was made before it: a client that follows
/// redirects may have sent the request to one server and then have failed to connect to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evidence {
    repeatable: Option<Repeatable>,
    connected: Option<bool>,
    no_redirects: bool,
}

impl Evidence {
    /// Nothing is known.
    pub const fn none() -> Self {
        Self { repeatable: None, connected: None, no_redirects: false }
    }

    /// The error is of an attempt of such a request.
    pub const fn of(repeatable: Repeatable) -> Self {
        Self { repeatable: Some(repeatable), connected: None, no_redirects: false }
    }

    /// Sets whether a connection was available to the request before it failed, at any hop; `None`: unknown.
    #[must_use]
    pub const fn with_connected(mut self, connected: Option<bool>) -> Self {
        self.connected = connected;
        self
    }

    /// States that no layer below follows redirects: an error is then about the only hop.
    #[must_use]
    pub const fn without_redirects(mut self) -> Self {
        self.no_redirects = true;
        self
    }

    /// Whether the request is repeatable; `None`: unknown.
    pub const fn repeatable(self) -> Option<Repeatable> {
        self.repeatable
    }

    /// Whether a connection was available to the request; `None`: unknown.
    pub const fn connected(self) -> Option<bool> {
        self.connected
    }

    /// Whether a refusal of this process, or a failed connect, shows that no server received the request.
    ///
    /// Where nothing is known of the connection, the claim holds for a request that is repeatable, and for one of which only
    /// the error is known: it is then a claim about the client directly below.
    pub(super) const fn proves_nothing_sent(self) -> bool {
        if self.no_redirects {
            return true;
        }
        // of a repeatable request the retry layer finds out at the end of the call, where it knows all attempts
        matches!(self.connected, Some(false)) || !matches!(self.repeatable, Some(Repeatable::No))
    }

    /// Whether the error is about the only server that the request can have reached.
    pub(super) const fn is_only_hop(self) -> bool {
        self.no_redirects
    }
}
