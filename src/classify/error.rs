use super::{Evidence, Failure, MaybeExecuted, Outcome, Repeatable, Verdict, of_grpc_code, of_status};
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
    if let Some(refused) = Refused::find(error) {
        return refusal(Verdict::refused(refused.retry_after()), evidence);
    }
    if find::<Elapsed>(error).is_some() {
        return Failure::Timeout.into();
    }
    let Found { kind, not_sent, client } = Found::in_chain(error);
    if not_sent.is_some_and(|not_sent| not_sent.is_proven(client, evidence)) {
        return Failure::NotSent.into();
    }
    match kind {
        Some(Kind::Timeout) => Failure::Timeout.into(),
        Some(Kind::NotConnected | Kind::NotProcessed | Kind::Transient) => Failure::Transient.into(),
        Some(Kind::Unsendable) => Outcome::Rejected.into(),
        Some(Kind::Refused) => refusal(Verdict::refused(None), evidence),
        Some(Kind::Ours) => Outcome::Ignored.into(),
        Some(Kind::Status(status)) => of_status(status),
        Some(Kind::Grpc(code)) => of_grpc_code(code),
        Some(Kind::Fault) | None => Failure::Fault.into(),
    }
}

/// A refusal after a hop that had a connection is no proof that nothing was sent.
fn refusal(refused: Verdict, evidence: Evidence) -> Verdict {
    if evidence.proves_nothing_sent() { refused } else { Failure::Transient.into() }
}

/// What a chain of errors says.
#[derive(Default)]
struct Found {
    /// Of the first error that is known.
    kind: Option<Kind>,
    /// The first error that says that nothing was sent.
    not_sent: Option<NotSent>,
    /// The client whose error it is, where that client could have had other connections before.
    client: Option<Client>,
}

impl Found {
    fn in_chain(error: &(dyn Error + 'static)) -> Self {
        let mut found = Self::default();
        let mut established = false;
        for error in chain(error) {
            let kind = foreign::judge(error);
            found.not_sent = found.not_sent.or(match kind {
                // an I/O error below an error of an established connection broke that connection, whatever its kind
                Some(Kind::NotConnected) if !established => Some(NotSent::Connect),
                Some(Kind::NotProcessed) => Some(NotSent::Refused),
                _ => None,
            });
            // a broken connection that reports "host unreachable" is a broken connection
            found.kind = found.kind.or(kind);
            let client = foreign::client(error);
            established |= client == Some(Client::Hyper);
            found.client = found.client.or(client);
        }
        found
    }
}

/// Why an error says that nothing was sent.
#[derive(Clone, Copy)]
enum NotSent {
    /// No connection was made.
    Connect,
    /// The connection ended, or refused the request, before the server processed any of it.
    Refused,
}

impl NotSent {
    fn is_proven(self, client: Option<Client>, evidence: Evidence) -> bool {
        match (client, self) {
            // reqwest follows redirects, and reports neither the hop nor its connections; of hyper-util's client it is known
            // whether there was a connection, and the one that refused may be that of a later hop
            (Some(Client::Reqwest), _) | (Some(Client::HyperUtil), Self::Refused) => evidence.is_only_hop(),
            (_, Self::Connect) => evidence.proves_nothing_sent(),
            (_, Self::Refused) => evidence.is_only_hop() || evidence.repeatable() != Some(Repeatable::No),
        }
    }
}
