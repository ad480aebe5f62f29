use super::{Message, NeverSent, ReadAnswer, Report, Undecodable};
use crate::{
    classify::{Evidence, Failure, Outcome, of_error_with},
    error::{BoxError, BoxFuture},
};
use std::{
    fmt,
    task::{Context, Poll},
};
use tower_service::Service;

/// Makes requests out of messages. Any closure `Fn(&Message) -> Result<Request, BoxError>` is one; [`ToHttp`](super::ToHttp)
/// and, with the feature `reqwest`, [`ToReqwest`](crate::place::reqwest::ToReqwest) are ready made.
// The request is an associated type and no parameter of `Deliver`: a client may serve several request types, and something
// has to say which one is meant.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not make requests out of messages",
    note = "use `ToHttp`, `ToReqwest`, or a closure `|message: &Message| -> Result<_, BoxError> {{ .. }}`"
)]
pub trait MakeRequest {
    /// What the client takes.
    type Request;

    /// The request for one attempt.
    ///
    /// # Errors
    /// When the message can never be made into a request: it is dead as `undecodable`.
    fn make(&self, message: &Message) -> Result<Self::Request, BoxError>;
}

impl<F, Rq> MakeRequest for F
where
    F: Fn(&Message) -> Result<Rq, BoxError>,
{
    type Request = Rq;

    fn make(&self, message: &Message) -> Result<Rq, BoxError> {
        self(message)
    }
}

/// A worker's service that sends messages through any client stack and reads the answer to its end; see the
/// [module docs](crate::queue#delivery).
///
/// Build the client so that it follows no redirects (`redirect::Policy::none()` of reqwest). `Deliver` rejects what a reqwest
/// client that follows redirects brings back from another address, but cannot prevent that the client hands the body over to it.
#[derive(Clone)]
pub struct Deliver<C, M> {
    client: C,
    make: M,
}

impl<C, M> Deliver<C, M> {
    /// Through `client`, as `make` makes them.
    pub const fn new(client: C, make: M) -> Self {
        Self { client, make }
    }
}

impl<C, M> Service<Message> for Deliver<C, M>
where
    M: MakeRequest<Request: 'static>,
    C: Service<M::Request>,
    C::Response: ReadAnswer,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = Report;
    type Error = BoxError;
    /// Boxed: one allocation beside a call over the network.
    type Future = BoxFuture<'static, Result<Report, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.client.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, message: Message) -> Self::Future {
        match self.make.make(&message) {
            Ok(request) => {
                let asked = C::Response::asked(&request);
                let answer = self.client.call(request);
                Box::pin(async move {
                    let answer = answer.await.map_err(|error| failed(error.into()))?;
                    match asked.and_then(|asked| answer.redirected(&asked)) {
                        Some(origin) => Ok(redirected(&origin)),
                        None => Ok(answer.read().await),
                    }
                })
            }
            Err(error) => {
                let report = Report::undecodable(&Undecodable::new(error));
                Box::pin(std::future::ready(Ok(report)))
            }
        }
    }
}

/// Marks an error that shows that the request was never sent: here it speaks for the whole attempt. The client is taken to follow
/// no redirects, as the docs ask for.
fn failed(error: BoxError) -> BoxError {
    match of_error_with(&error, Evidence::none().without_redirects()).outcome() {
        Outcome::Failure(Failure::NotSent) => NeverSent::new(error).into(),
        _ => error,
    }
}

/// A response of another address says nothing about the destination, whatever its status: a login page answers 200.
fn redirected(origin: &str) -> Report {
    Report::new(Outcome::Rejected).with_error(format!("the client followed a redirect to {origin}"))
}

impl<C: fmt::Debug, M> fmt::Debug for Deliver<C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliver").field("client", &self.client).finish_non_exhaustive()
    }
}
