use super::{Answer, Cause, Problem};
use crate::{body::OrBody, classify::GrpcFormat, error::Refused};
use http::{Request, Response, StatusCode};
use std::fmt::Write;

/// Servers: the error type is untouched and the layer's own no is an answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Respond;

impl<A, B, E> Answer<Request<A>, Response<B>, E> for Respond {
    /// The media type to answer a gRPC call in; `None`: the call is not gRPC.
    type Seen = Option<&'static str>;
    type Response = Response<OrBody<B>>;
    type Error = E;

    fn see(request: &Request<A>) -> Option<&'static str> {
        GrpcFormat::answer_to(request.headers())
    }

    fn pass(response: Response<B>) -> Self::Response {
        response.map(OrBody::inner)
    }

    fn fail(error: E) -> E {
        error
    }

    #[expect(clippy::ref_option_ref, reason = "the trait borrows what was seen")]
    fn answer(grpc: &Option<&'static str>, cause: Cause) -> Result<Self::Response, E> {
        let problem = match &cause {
            Cause::Refused(refused) => {
                let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "refused").with_detail(sentence(refused));
                match refused.retry_after() {
                    Some(after) => problem.with_retry_after(after),
                    None => problem,
                }
            }
            Cause::Elapsed(elapsed) => {
                Problem::new(StatusCode::GATEWAY_TIMEOUT, "deadline elapsed").with_detail(elapsed.to_string())
            }
        };
        let mut response = problem.into_response(*grpc).map(OrBody::made);
        if let Cause::Refused(refused) = cause {
            response.extensions_mut().insert(refused);
        }
        Ok(response)
    }
}

/// What it displays: one allocation, where `to_string` grows its way.
fn sentence(refused: &Refused) -> String {
    let mut text = String::with_capacity("refused by : ".len() + refused.who().len() + refused.why().len());
    let _ = write!(text, "{refused}");
    text
}
