//! Two hops: the first server executes the POST and redirects, the second hop fails.

use crate::{
    clients::{Kind, Layers, Redirects, post},
    connecting::claims_not_sent,
    server::{Act, Greet, Server, closed, in_time},
};
use h2::Reason;

const REDIRECTS: [Redirects; 2] = [Redirects::Followed, Redirects::FollowedWithoutExtensions];

fn kinds() -> impl Iterator<Item = Kind> {
    // gRPC follows no redirects
    Kind::ALL.into_iter().filter(|kind| *kind != Kind::Tonic)
}

/// How the second hop ends.
#[derive(Debug, Clone)]
enum End {
    Closed,
    NoName,
    Acts(Act),
    Greets(Greet),
}

fn ends(kind: Kind) -> Vec<End> {
    let mut ends = vec![End::Acts(Act::Reset), End::Acts(Act::Fin), End::Acts(Act::Respond(503))];
    if kind.is_http2() {
        let stream = [Reason::REFUSED_STREAM, Reason::CANCEL].map(|reason| End::Acts(Act::Stream(reason)));
        let connection = [Reason::NO_ERROR, Reason::REFUSED_STREAM].map(|reason| End::Acts(Act::GoAway(reason)));
        ends.extend(stream.into_iter().chain(connection));
    } else {
        ends.extend([End::Acts(Act::Half), End::Acts(Act::Garbage)]);
    }
    if !kind.is_one_connection() {
        ends.extend([End::Closed, End::NoName, End::Greets(Greet::Close)]);
        if kind.is_http2() {
            ends.push(End::Greets(Greet::GoAwayBelow));
        }
    }
    ends
}

async fn first(status: u16, to: String) -> Server {
    Server::start(move |_, _| Act::Redirect(status, to.clone())).await
}

#[tokio::test]
async fn a_post_that_was_redirected_is_executed_once_whatever_the_second_hop_fails_with() {
    for kind in kinds() {
        for (redirects, status) in REDIRECTS.into_iter().flat_map(|redirects| [(redirects, 303), (redirects, 307)]) {
            for end in ends(kind) {
                for layers in [Layers::Bare, Layers::Stack] {
                    let case = format!("{kind:?} {redirects:?} {status} {end:?} {layers:?}");
                    in_time(one(kind, redirects, status, end.clone(), layers, &case)).await;
                }
            }
        }
    }
}

async fn one(kind: Kind, redirects: Redirects, status: u16, end: End, layers: Layers, case: &str) {
    let (server, second) = if kind.is_one_connection() {
        let End::Acts(act) = end else { return };
        let script = move |executed: &crate::server::Executed, _| match executed.path.as_str() {
            "/pay" => Act::Redirect(status, "/end".into()),
            _ => act.clone(),
        };
        (Server::start(script).await, None)
    } else {
        match end {
            End::Closed => (first(status, format!("http://{}/end", closed())).await, None),
            // longer than a label may be, so that no name server is asked
            End::NoName => (first(status, format!("http://{}.invalid:1/end", "a".repeat(64))).await, None),
            End::Acts(act) => {
                let second = Server::always(act).await;
                (first(status, second.url("/end")).await, Some(second))
            }
            End::Greets(greet) => {
                let second = Server::greeting(vec![greet; 8], |_, _| Act::Respond(200)).await;
                (first(status, second.url("/end")).await, Some(second))
            }
        }
    };
    let ended = post(kind, layers, redirects, server.address(), "/pay", None).await;
    assert_eq!((server.posts("/pay"), ended.attempts), (1, 1), "{case}: {ended:?}");
    assert!(second.as_ref().unwrap_or(&server).posts("/end") <= 1, "{case}: {ended:?}");
    if layers == Layers::Stack {
        assert!(!claims_not_sent(&ended), "{case}: {ended:?}");
    }
}

#[tokio::test]
async fn too_many_redirects_are_not_repeated() {
    for kind in kinds() {
        for layers in [Layers::Bare, Layers::Stack] {
            let server = Server::start(|_, _| Act::Redirect(307, "/pay".into())).await;
            let ended = in_time(post(kind, layers, Redirects::Followed, server.address(), "/pay", None)).await;
            assert_eq!(ended.attempts, 1, "{kind:?} {layers:?}: {ended:?}");
            assert!(!claims_not_sent(&ended), "{kind:?} {layers:?}: {ended:?}");
        }
    }
}

#[tokio::test]
async fn a_post_with_a_key_that_was_redirected_carries_its_key_in_all_attempts() {
    for kind in kinds().filter(|kind| !kind.is_one_connection()) {
        for layers in [Layers::Bare, Layers::Stack] {
            let server = first(303, format!("http://{}/end", closed())).await;
            let ended = in_time(post(kind, layers, Redirects::Followed, server.address(), "/pay", Some("k"))).await;
            assert_eq!((server.posts("/pay"), ended.attempts), (3, 3), "{kind:?} {layers:?}: {ended:?}");
            assert_eq!(server.keys().len(), 1);
            if layers == Layers::Stack {
                assert!(!claims_not_sent(&ended), "{kind:?}: {ended:?}");
            }
        }
    }
}
