//! Stops calling what does not answer, and finds out by itself when it answers again.
//!
//! You want it around calls to something that can be away: a caller then fails at once and not after a timeout, and what comes
//! back is not met by everybody at the same moment. You do not want it around what cannot be away without you (a local file), nor
//! to limit how much you send (that is a rate limit), nor in place of a timeout: it only counts what somebody ends.
//!
//! ```
//! use steadfast::{circuit_breaker::{Circuit, CircuitBreakerLayer, State}, error::Refused};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let away = service_fn(|_: http::Request<String>| async {
//!     Err::<http::Response<String>, _>(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))
//! });
//! let circuit = Circuit::new("payments");
//! let mut client = ServiceBuilder::new().layer(CircuitBreakerLayer::new(&circuit)).service(away);
//!
//! for _ in 0..5 {
//!     client.ready().await?.call(http::Request::new("hello".into())).await.err().ok_or("it answered")?;
//! }
//! assert_eq!(circuit.state(), State::Open);
//! let error = client.ready().await?.call(http::Request::new("hello".into())).await.err().ok_or("it answered")?;
//! let refused = Refused::find(&*error).ok_or("not refused")?;
//! assert_eq!(refused.who(), "payments");
//! assert!(refused.retry_after().is_some());
//! # Ok(()) }
//! ```
//!
//! One circuit for each host that is called, and in an axum `Router` or a tonic server an answer (503 with `Retry-After`, or
//! UNAVAILABLE) where a client would see an error:
//!
//! ```
//! use steadfast::circuit_breaker::{Circuit, CircuitBreakerLayer, Circuits, Config};
//!
//! let for_a_client = CircuitBreakerLayer::new(Circuits::per_origin("webhooks", Config::default()));
//! let for_a_server = CircuitBreakerLayer::new(Circuit::new("orders")).respond();
//! ```
//!
//! # States
//!
//! <!-- picture -->
//! ```text
//!             a run of failures, the failure rate, or the slow rate
//!     closed ---------------------------------------------------------> open
//!       ^                                                              |    ^
//!       |                                            the period ended, |    | probes failed or were slow,
//!       |                                               and a call came |    | or one did not end in its lease
//!       |                  enough probes were well                     v    |
//!       +--------------------------------------------------------- half-open
//!
//!     by hand: forced open, disabled, shadow; each until an expiry, another word, or reset()
//! ```
//!
//! With [`with_ramp_up`](Config::with_ramp_up) a circuit that its probes closed lets a tenth of the calls through at first, and
//! more and more until, at the end of the period, all go: what came back is not met by everybody. Which ones go is counted and
//! not drawn: they are spread evenly. Failures open it as ever.
//!
//! How each outcome counts stands in [`classify`](crate::classify): failures of all kinds count; `Overloaded` (429) counts for
//! the rate and fails a probe and leaves a run as it is; `Rejected` (404) is a success; `Refused`, `Ignored`, 501, UNIMPLEMENTED
//! and a 409 with `Retry-After` count for nothing. A call that its caller drops before the head of its response counts for
//! nothing either, unless it was `slow` by then: it failed, or else a timeout further out would hide every hang. A panic of the call is a
//! failure.
//!
//! The outcome is that of the whole response, the body and its trailers included. Once a head has arrived, a caller that drops
//! the body does not drop the call: a table in [`classify`](crate::classify) lists the outcomes. Only a
//! body that its caller has waited for, without anything arriving, for as long as `slow` is a failure when it is dropped. The time
//! of a call ends with the head, so how fast a caller reads never makes a call slow. A good head decides a probe at once (for gRPC
//! its status or its first message), so that neither a long stream nor a slow reader holds a circuit half-open. With
//! [`until_head`](CircuitBreakerLayer::until_head) every call ends there, and a body that breaks off is not seen.
//!
//! A response from another origin than the one that was asked (reqwest follows redirects by itself) is a success: the server that
//! was asked has answered, and its circuit learns nothing of the other one, nor of the response's body. What the client does not
//! reveal counts for the server that was asked: errors behind a redirect, and the time that a call hangs there. A client with
//! `redirect::Policy::none()`, or a layer above this one that follows redirects, keeps the two apart.
//!
//! Every permit carries the generation of the circuit: a call that began before the last change of state is counted as stale,
//! and moves nothing.
//!
//! # Defaults
//!
//! | setting | default | range | why |
//! | --- | --- | --- | --- |
//! | `consecutive_failures` | 5 | 1.. or none | an outage is seen after five calls, however many went well before |
//! | `failure_rate` | 0.5 | above 0, to 1, or none | half of them failing is no accident; reached is enough (`>=`, in whole numbers) |
//! | `window` | the last 100 calls, from 10 on | to a million calls; or any time, in buckets of 1 ms or more | needs no clock and holds the same evidence at any load |
//! | `slow_rate` | none | above 0, to 1 | what is slow differs too much between services to open for it unasked |
//! | `slow` | 5 s | | from here on a caller that gives up blames the other side |
//! | `count_in_flight_slow` | yes | | with a slow rate, hung calls count while they hang |
//! | `open_for` | 5 s | | longer than a restart of one process behind a load balancer takes to be noticed |
//! | `max_open_for` | 60 s | | doubling ends here, so that what came back is found within a minute |
//! | `jitter` | `equal`: 50 to 100 % of the period | see [`backoff`](crate::backoff) | a fleet does not probe in step, and no period is next to nothing |
//! | `max_retry_after` | 10 min | | a hint of the other side lengthens the period; a mistaken one not for ever |
//! | `attempts` | `decay` | or `reset` | one that flaps stays open longer each time |
//! | `half_open_permits` | 3 | 1.. | one good answer can be luck; two of three close it |
//! | `half_open_decision` | `early` | or `all` | no more calls are spent on what is settled |
//! | `lease` | the longer of `open_for` and twice `slow` | | a probe that hangs cannot hold the circuit half-open; one of gRPC with a head and no message gives its permit back |
//! | `ramp_up` | none | | most of what comes back can take all calls at once |
//! | [`Readiness`] (of the layer) | `Reject` | or `Pend` | who calls is told at once why not, and needs no timer |
//!
//! What to choose instead for a busy service, for a slow one and for very many destinations is [worked out, with a test for
//! each number](crate::guide::thresholds).
//!
//! [`Config`] reads from files with the feature `serde` (`"250ms"`, unknown keys refused), and can be changed while calls run
//! ([`Circuit::configure`]): state, window and attempts stay.
//!
//! # Errors
//!
//! | error | means | what to do |
//! | --- | --- | --- |
//! | [`Refused`](crate::error::Refused) with `retry_after()` | the circuit is open, nothing was sent | come again then: zero is now |
//! | the same, from a closed circuit | it ramps up, and the call was beyond the share | come again then: a tenth of the ramp later |
//! | [`Refused`](crate::error::Refused) without | probes are on their way, or somebody forced it open | come again later, or give up |
//! | any other | the inner service's own error, boxed ([`Fail`](crate::answer::Fail)) or as it was ([`Respond`](crate::answer::Respond)) | |
//!
//! # Guarantees
//!
//! Clones of a layer, its services, and what `Layer::layer` makes again all share their circuits. The permit is taken in `call`.
//! While a single circuit refuses, `poll_ready` is ready at once and does not ask the inner service, which may hang; what
//! was not asked is not called, even if the circuit's period ends in between. With a circuit per key, which is not known yet,
//! `poll_ready` is the inner service's. A drop gives the permit back. What the inner service reserved when it was made ready stays
//! reserved after a refused call, until the next call or the drop: with [`releasing`](CircuitBreakerLayer::releasing) a clone takes
//! its place, which holds nothing.
//!
//! With [`Readiness::Pend`] `poll_ready` of a single circuit is pending while it refuses, for load balancers and for callers who
//! would rather wait. Every service waits for itself, in the order in which they came; a clone is another one. Whatever closes
//! the circuit, disables it or makes it a shadow wakes all of them at once. At the end of an open period, and for each
//! permit that comes back, as many are woken as there are permits: it is their turn. A turn passes on when its owner calls, is
//! dropped, or has not called for a tenth of a second; twice as many are woken each time that nobody came. They all share one
//! timer of tokio's, and nothing is spawned. Who is ready holds no permit: a call that comes too late, or that the ramp is
//! against, is refused as ever. A place in the line is left when the service is dropped, not when a future of `ready()` is.
//! Give the wait a deadline of its own: a [`TimeoutLayer`](crate::timeout::TimeoutLayer) begins with the call.
//!
//! While it is closed a call asks for leave with one atomic load, and a success that cannot move it is counted with one
//! exchange; an open circuit refuses without its lock. Other outcomes are recorded under a short lock, and so is every call where
//! there is a slow rate: calls in flight are then kept in a list. While it ramps up, every call asks under the lock. There is no
//! timer unless somebody waits: a call that hangs is seen to have crossed `slow` by the next call, outcome or look at the
//! circuit, and counts from the moment at which it did.
//!
//! No event, metric or subscriber is told under the lock, and changes are told in order. Recorders of metrics and subscribers
//! of events run on the thread of the call, outcome or hand that they hear of: one that is slow delays that one and no other,
//! and tells of what others change meanwhile. One that panics does not reach the caller, nor keep the next from being told.
//!
//! Whoever holds no handle finds one by its name: [`Circuit::named`], [`Circuits::named`], [`Circuits::list`].
//!
//! A [`Circuits`] keeps up to its capacity; one that is in use, or open or knows of failures and was used in the last hour, is not
//! let go. Reading its state is no use of it. However large the capacity, a call does a bounded amount of work; when nearly all are
//! needed, it may go without a circuit although one could have made room.
//!
//! Circuits are kept by the [origin](crate::classify::Origin) of the request: scheme, host and port, in any spelling.
//!
//! # Unlike
//!
//! resilience4j: a late result of an earlier state does not count, a probe has a lease, the minimum of calls is not the half-open
//! circuit's, time windows can be shorter than a second. Polly: three probes and not one, a cancelled probe closes nothing, new
//! settings keep the state. tower-resilience: the window of calls slides, bodies and trailers count, dropped and panicking
//! calls are seen, one gauge is at 1, forced open stays, no box and no allocation on a call that goes through.
//!
//! # Seen from outside
//!
//! Events (target `steadfast`): `circuit changed` (WARN when it opens, else INFO) and `circuit would have changed` (shadow),
//! with `circuit`, `from`, `to`, `reason`. Metrics, with the label `name`: [`CIRCUIT_STATE`] (label `state`; one is at 1, from
//! the start; the new state is written before the old one is taken back, so a scrape in that moment finds both, and none
//! never), [`CIRCUIT_CALLS`] (label `outcome`), [`CIRCUIT_REFUSED`] (label `state`; `closed`: by a ramp; `shadow`: would have
//! been), [`CIRCUIT_TRANSITIONS`] (label `reason`).
//! Circuits by key count under the name of them all and have no gauge: keys come from requests, and every series is kept for
//! ever. In the [`registry`](crate::registry()): `circuit` with `state`, `reason`, `calls`, `failed`, `slow`, `refused`,
//! `stale`, `retry_after_ms`, `ramp_up`; `circuits` (many as one) with `circuits`, `open`, `half_open`.
//!
//! [`CIRCUIT_STATE`]: crate::telemetry::names::CIRCUIT_STATE
//! [`CIRCUIT_CALLS`]: crate::telemetry::names::CIRCUIT_CALLS
//! [`CIRCUIT_REFUSED`]: crate::telemetry::names::CIRCUIT_REFUSED
//! [`CIRCUIT_TRANSITIONS`]: crate::telemetry::names::CIRCUIT_TRANSITIONS

mod asked;
mod call;
mod circuit;
mod circuits;
mod config;
mod count_window;
mod future;
mod gate;
mod in_flight;
mod keyed;
mod keyed_by;
mod layer;
mod line;
mod named;
mod permit;
mod probes;
mod ramp;
mod readiness;
mod releasing;
mod service;
mod shard;
pub mod state;
mod sync;
mod telemetry;
mod time_window;
mod view;
mod waiting;
mod window;

pub use circuit::{Circuit, Snapshot};
pub use circuits::Circuits;
pub use config::{Attempts, Config, Decision};
pub use future::ResponseFuture;
pub use keyed_by::KeyedBy;
pub use layer::CircuitBreakerLayer;
pub use readiness::Readiness;
pub use releasing::ReleasingLayer;
pub use service::CircuitBreaker;
pub use view::{Reason, State, View};
pub use window::Window;
