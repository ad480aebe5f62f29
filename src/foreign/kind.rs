/// What an error of another crate says about the attempt.
#[allow(dead_code, reason = "each crate's file says its own of them")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request never reached the other side.
    NotSent,
    /// A timer of this side struck.
    Timeout,
    /// The connection or the answer broke.
    Transient,
    /// The other side broke the protocol, or something is wrong here.
    Fault,
    /// The request cannot be sent as it is.
    Unsendable,
    /// A middleware of this side said no.
    Refused,
    /// It says nothing of the other side (the caller's own body failed).
    Ours,
    /// A gRPC status, by its code.
    Grpc(i32),
}
