use http::StatusCode;

/// What an error of another crate says about the attempt.
#[allow(dead_code, reason = "each crate's file returns some of them")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No connection was made. Whether an earlier hop of the request had one, the error does not say.
    NotConnected,
    /// The server, or its connection, gave the request back before it processed any of it.
    NotProcessed,
    /// A timer of this process expired.
    Timeout,
    /// The connection or the response broke.
    Transient,
    /// The server broke the protocol, or something is wrong in this process.
    Fault,
    /// The request cannot be sent as it is.
    Unsendable,
    /// A middleware of this process refused the request.
    Refused,
    /// It says nothing about the server (the caller's own body failed).
    Ours,
    /// A status of a response that a library turned into an error.
    Status(StatusCode),
    /// A gRPC status, by its code.
    Grpc(i32),
}

/// The client that an error belongs to.
#[allow(dead_code, reason = "each crate's file returns its own")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// It follows redirects inside, and its errors do not show how many.
    Reqwest,
    /// A pool: the connection may be that of a later hop, if a layer above follows redirects.
    HyperUtil,
    /// One established connection.
    Hyper,
}
