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
    at_once: bool,
    below: Below,
}

/// The requests that layers below let through in the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Below {
    /// None that may have been executed, as far as is known.
    #[default]
    Nothing,
    /// One that may have been executed.
    LetThrough,
    /// The layer that asks does not learn of them.
    Uncounted,
}

impl Evidence {
    /// Nothing is known.
    pub const fn none() -> Self {
        Self { repeatable: None, connected: None, no_redirects: false, at_once: false, below: Below::Nothing }
    }

    /// The error is of an attempt of such a request.
    pub const fn of(repeatable: Repeatable) -> Self {
        Self { repeatable: Some(repeatable), ..Self::none() }
    }

    /// Sets whether hyper-util's client had a connection for the request before it failed, at any hop; `None`: unknown.
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

    /// Sets whether the attempt failed in the poll in which it began: before a response of an earlier hop can have arrived.
    #[must_use]
    pub const fn with_failed_at_once(mut self, at_once: bool) -> Self {
        self.at_once = at_once;
        self
    }

    /// Sets whether a layer below let a request through in this attempt that may have been executed.
    #[cfg_attr(not(feature = "retry"), expect(dead_code, reason = "retry knows it"))]
    pub(crate) const fn with_let_through(mut self, let_through: bool) -> Self {
        if let_through {
            self.below = Below::LetThrough;
        }
        self
    }

    /// The same evidence, of a layer that does not learn of the requests that layers below let through: a refusal may then be that
    /// of a later hop.
    #[cfg_attr(
        not(all(feature = "retry", feature = "tower")),
        expect(dead_code, reason = "the policy for tower asks for it")
    )]
    pub(crate) const fn uncounted(mut self) -> Self {
        self.below = Below::Uncounted;
        self
    }

    /// The same evidence about a request that is not repeatable: every claim then needs proof.
    #[cfg_attr(not(feature = "retry"), expect(dead_code, reason = "retry asks for it"))]
    pub(crate) const fn strict(mut self) -> Self {
        self.repeatable = Some(Repeatable::No);
        self
    }

    /// Whether the request is repeatable; `None`: unknown.
    pub const fn repeatable(self) -> Option<Repeatable> {
        self.repeatable
    }

    /// Whether hyper-util's client had a connection for the request; `None`: unknown.
    pub const fn connected(self) -> Option<bool> {
        self.connected
    }

    /// Whether the error is about the only server that the request can have reached.
    pub const fn is_only_hop(self) -> bool {
        self.no_redirects
    }

    /// Whether the attempt failed in the poll in which it began.
    pub const fn failed_at_once(self) -> bool {
        self.at_once
    }

    /// Whether a layer below let a request through in this attempt that may have been executed.
    pub(super) const fn was_let_through(self) -> bool {
        matches!(self.below, Below::LetThrough)
    }

    /// Whether the layer that asks does not learn of the requests that layers below let through.
    pub(super) const fn is_uncounted(self) -> bool {
        matches!(self.below, Below::Uncounted)
    }

    /// Whether something shows that a server may have received the request at any hop.
    pub(crate) const fn shows_a_hop(self) -> bool {
        matches!(self.connected, Some(true)) || matches!(self.below, Below::LetThrough)
    }

    /// Whether every claim that nothing was sent needs proof. Of a repeatable request the retry layer finds out at the end of the
    /// call, where it knows all attempts; and where only the error is known, the claim is one about the client directly below.
    pub(super) const fn needs_proof(self) -> bool {
        matches!(self.repeatable, Some(Repeatable::No))
    }
}
