use super::{Evidence, Failure, MaybeExecuted, Outcome, Verdict, of_grpc_code, of_status};
use crate::{
    error::{Refused, as_error, chain, find},
    foreign::{self, Client, Kind},
    timeout::Elapsed,
};
use std::error::Error;

/// Judges an error of any type by its whole `source()` chain: see the table in the [module docs](crate::classify).
///
/// It knows nothing of the attempt besides the error ([`Evidence::none`]): [`Failure::NotSent`] and [`Outcome::Refused`] are then
/// claims about the client directly below. A type that is unknown here is a [`Failure::Fault`].
pub fn of_error<E: 'static>(error: &E) -> Verdict {
    of_error_with(error, Evidence::none())
}

/// Judges an error as [`of_error`] does, and claims that nothing was sent only where `evidence` has the proof.
pub fn of_error_with<E: 'static>(error: &E, evidence: Evidence) -> Verdict {
    as_error(error).map_or_else(|| Failure::Fault.into(), |error| of_dyn_error(error, evidence))
}

pub(crate) fn of_dyn_error(error: &(dyn Error + 'static), evidence: Evidence) -> Verdict {
    if let Some(executed) = find::<MaybeExecuted>(error) {
        return executed.verdict();
    }
    let Found { kind, claim, client, elapsed } = Found::in_chain(error);
    let is_proven = claim.is_some_and(|claim| claim.is_proven(client, evidence));
    match claim {
        Some(Claim::Refused(refused)) if is_proven => return Verdict::refused(refused.retry_after()),
        Some(Claim::Refused(_)) => return Failure::Transient.into(),
        _ if elapsed => return Failure::Timeout.into(),
        Some(Claim::Shed) if is_proven => return Verdict::refused(None),
        Some(Claim::NotConnected | Claim::NotProcessed) if is_proven => return Failure::NotSent.into(),
        _ => {}
    }
    match kind {
        Some(Kind::Timeout) => Failure::Timeout.into(),
        Some(Kind::NotConnected | Kind::NotProcessed | Kind::Refused | Kind::Transient) => Failure::Transient.into(),
        Some(Kind::Unsendable) => Outcome::Rejected.into(),
        Some(Kind::Ours) => Outcome::Ignored.into(),
        Some(Kind::Status(status)) => of_status(status),
        Some(Kind::Grpc(code)) => of_grpc_code(code),
        Some(Kind::Fault) | None => Failure::Fault.into(),
    }
}

/// The facts in a chain of errors.
#[derive(Default)]
struct Found<'a> {
    /// Of the first error that is known.
    kind: Option<Kind>,
    /// The first claim that nothing was sent.
    claim: Option<Claim<'a>>,
    /// The client whose error it is, where that client could have had other connections before.
    client: Option<Client>,
    /// Whether a deadline of this crate expired.
    elapsed: bool,
}

impl<'a> Found<'a> {
    fn in_chain(error: &'a (dyn Error + 'static)) -> Self {
        let mut found = Self::default();
        let mut established = false;
        for error in chain(error) {
            let kind = foreign::judge(error);
            let refused = error.downcast_ref::<Refused>().map(Claim::Refused);
            // An error below that of an established connection broke that connection, whatever its kind, or the body on it.
            let claim = match kind {
                Some(Kind::NotProcessed) => Some(Claim::NotProcessed),
                _ if established => None,
                Some(Kind::NotConnected) => Some(Claim::NotConnected),
                Some(Kind::Refused) => Some(Claim::Shed),
                _ => refused,
            };
            found.claim = match (found.claim, claim) {
                // the refusal of a connector has a hint, the failed connect of its client has none
                (None | Some(Claim::NotConnected), Some(Claim::Refused(refused))) => Some(Claim::Refused(refused)),
                (before, claim) => before.or(claim),
            };
            found.elapsed |= error.is::<Elapsed>();
            // a broken connection that reports "host unreachable" is a broken connection
            found.kind = found.kind.or(kind);
            let client = foreign::client(error);
            established |= client == Some(Client::Hyper);
            found.client = found.client.or(client);
        }
        found
    }
}

/// A claim of an error that nothing was sent.
#[derive(Clone, Copy)]
enum Claim<'a> {
    /// A layer of this crate, or one of the user's, refused the request.
    Refused(&'a Refused),
    /// A layer of tower refused the request.
    Shed,
    /// No connection was made.
    NotConnected,
    /// The connection ended, or refused the request, before the server processed any of it.
    NotProcessed,
}

impl Claim<'_> {
    fn is_proven(self, client: Option<Client>, evidence: Evidence) -> bool {
        if evidence.is_only_hop() {
            // there is no other hop of this request, but a service below may have made other requests for it
            return !evidence.was_let_through();
        }
        match (client, self) {
            // reqwest follows redirects, and reports neither the hop nor its connections; of hyper-util's client it is known that there
            // was a connection, and the one that gave the request back may be that of a later hop
            (Some(Client::Reqwest), _) | (Some(Client::HyperUtil), Self::NotProcessed) => false,
            _ if !evidence.needs_proof() => true,
            (_, Self::NotProcessed) => false,
            _ if evidence.shows_a_hop() => false,
            (Some(Client::HyperUtil), _) => evidence.connected() == Some(false),
            // layers of this crate below one that follows redirects have counted earlier hops
            (_, Self::Refused(_)) => !evidence.is_uncounted(),
            // any other client, any other layer: nothing shows whether an earlier hop was answered but the time it takes
            (_, Self::NotConnected | Self::Shed) => evidence.failed_at_once(),
        }
    }
}
