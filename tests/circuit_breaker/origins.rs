//! Circuits by origin: one for all spellings of it, and none for two.

use crate::support::{after_a_run_of, reset};
use http::{Request, Response, Uri};
use std::{convert::Infallible, future::ready, io};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Circuits, State},
    classify::Origin,
    registry::Registry,
};
use tower::{Layer, ServiceExt, service_fn};

type Text = http_body_util::Full<bytes::Bytes>;

/// Spellings of one origin in each line, the one that is printed first.
const ORIGINS: &[&[&str]] = &[
    &[
        "http://api.example.com",
        "HTTP://API.Example.COM:80/",
        "http://user:pass@api.example.com/x?y#z",
        "http://api.example.com:080/",
    ],
    &["https://api.example.com", "https://Api.Example.Com:443/", "HTTPS://me@api.example.com"],
    &["http://api.example.com:443", "http://API.example.com:443/x"],
    &["https://api.example.com:80"],
    &["http://api.example.com:0", "http://API.example.com:0/"],
    &["http://api.example.com.", "http://api.EXAMPLE.com.:80/"],
    &["http://127.0.0.1:8080", "http://user@127.0.0.1:8080/"],
    &["http://[::1]", "http://[::1]:80/", "http://[0:0:0:0:0:0:0:1]/", "http://u:p@[0000::0001]:80"],
    &["http://[::1]:8080", "http://[0::1]:8080/"],
    &["https://[2001:db8::a]", "https://[2001:DB8:0:0::A]:443/"],
    &["http://xn--bcher-kva.example", "http://XN--BCHER-kva.example/"],
    &["ws://api.example.com", "WS://api.example.com:80"],
    &["wss://api.example.com", "wss://api.example.com:443/chat"],
    &[
        "http://a-host-name-that-is-longer-than.one-chunk-of-what-is-hashed.at-once.and-than.two.of-them.in-fact.it-has-more-than.a-hundred-and-twenty-eight.letters.example.com",
        "http://A-host-name-that-is-longer-than.one-chunk-of-what-is-hashed.at-once.and-than.two.of-them.in-fact.it-has-more-than.a-hundred-and-twenty-eight.letters.example.COM:80/",
    ],
];

fn http(url: &str) -> Request<Text> {
    Request::get(url).body(Text::default()).unwrap()
}

fn reqwest(url: &str) -> reqwest::Request {
    reqwest::Request::new(http::Method::GET, url.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn all_spellings_of_an_origin_have_one_circuit_for_both_kinds_of_requests() {
    let circuits = Circuits::per_origin("apis", after_a_run_of(100));
    let layer = CircuitBreakerLayer::new(circuits.clone());
    let hyper = layer.layer(service_fn(|_: Request<Text>| ready(Err::<Response<Text>, _>(reset()))));
    let other = layer.layer(service_fn(|_: reqwest::Request| ready(Err::<reqwest::Response, _>(reset()))));
    for (n, spellings) in ORIGINS.iter().enumerate() {
        for spelling in *spellings {
            let _ = hyper.clone().oneshot(http(spelling.split('#').next().unwrap())).await;
            let _ = other.clone().oneshot(reqwest(spelling)).await;
        }
        assert_eq!(circuits.len(), n + 1, "{spellings:?}");
        let circuit = circuits.find(spellings[0]).unwrap();
        assert_eq!(circuit.name(), format!("apis/{}", spellings[0]));
        assert_eq!(circuit.snapshot().view.run as usize, 2 * spellings.len(), "{spellings:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_international_name_is_its_ascii_form() {
    let circuits = Circuits::per_origin("apis", after_a_run_of(100));
    let layer = CircuitBreakerLayer::new(circuits.clone());
    let other = layer.layer(service_fn(|_: reqwest::Request| ready(Err::<reqwest::Response, _>(reset()))));
    for spelling in ["http://B\u{dc}CHER.example", "http://b\u{fc}cher.example:80", "http://xn--bcher-kva.example"] {
        let _ = other.clone().oneshot(reqwest(spelling)).await;
    }
    assert_eq!(
        circuits.list()[1..].iter().map(Circuit::name).collect::<Vec<_>>(),
        ["apis/http://xn--bcher-kva.example"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_uri_without_scheme_or_host_has_the_circuit_without_an_origin() {
    let circuits = Circuits::per_origin("apis", after_a_run_of(100));
    let service = CircuitBreakerLayer::new(circuits.clone())
        .layer(service_fn(|_: Request<Text>| ready(Err::<Response<Text>, _>(reset()))));
    let with = |uri: Uri| {
        let mut request = Request::new(Text::default());
        *request.uri_mut() = uri;
        request
    };
    for uri in ["/orders", "*", "api.example.com:443", "api.example.com"] {
        let _ = service.clone().oneshot(with(uri.parse().unwrap())).await;
    }
    assert_eq!((circuits.len(), circuits.list()[0].snapshot().view.run), (0, 4));
}

#[tokio::test(start_paused = true)]
async fn an_origin_is_found_in_any_spelling_and_by_whole_name_too() {
    let registry = Registry::new();
    let circuits = Circuits::per_origin("found/apis", after_a_run_of(1)).with_registry(&registry);
    let service = CircuitBreakerLayer::new(circuits.clone())
        .layer(service_fn(|_: Request<Text>| ready(Err::<Response<Text>, _>(reset()))));
    let _ = service.oneshot(http("https://api.example.com/orders")).await;
    for spelling in ["https://api.example.com", "HTTPS://API.example.com:443", "https://user@api.example.com:443/"] {
        assert_eq!(circuits.find(spelling).unwrap().state(), State::Open, "{spelling}");
        let named = Circuit::named_in(&registry, &format!("found/apis/{spelling}")).unwrap();
        assert_eq!(named.name(), "found/apis/https://api.example.com");
    }
    for other in
        ["http://api.example.com", "api.example.com", "https://api.example.com/orders", "https://api.example.com:x"]
    {
        assert!(circuits.find(other).is_none(), "{other}");
        assert!(Circuit::named_in(&registry, &format!("found/apis/{other}")).is_none(), "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_compared_byte_by_byte_and_is_never_an_origin() {
    let circuits = Circuits::per_origin("both", after_a_run_of(1));
    let by_key = CircuitBreakerLayer::by_result(circuits.clone())
        .keyed_by(|key: &String| Some(key))
        .layer(service_fn(|_: String| ready(Err::<(), io::Error>(reset()))));
    let keys = ["tenant", "Tenant", "tenant ", "", "http://x", "HTTP://x", "http://x:80", "http://x/y"];
    for key in keys {
        let _ = by_key.clone().oneshot(key.to_owned()).await;
    }
    assert_eq!(circuits.len(), keys.len());
    for key in keys {
        assert_eq!(circuits.find(key).unwrap().name(), format!("both/{key}"));
    }
    // calls to the origin of that name go on
    let well = service_fn(|_: Request<Text>| ready(Ok::<_, Infallible>(Response::new(Text::default()))));
    let by_origin = CircuitBreakerLayer::new(circuits.clone()).layer(well);
    by_origin.oneshot(http("http://x/")).await.unwrap();
    assert_eq!((circuits.len(), circuits.find("HTTP://X:80").unwrap().state()), (keys.len() + 1, State::Closed));
}

#[test]
fn an_origin_is_printed_in_one_spelling_and_read_only_from_an_origin() {
    for spellings in ORIGINS {
        for spelling in *spellings {
            let uri: Uri = spelling.split('#').next().unwrap().parse().unwrap();
            assert_eq!(Origin::of_uri(&uri).unwrap().to_string(), spellings[0]);
        }
        assert_eq!(Origin::parse(spellings[0]).unwrap().to_string(), spellings[0]);
    }
    for no in [
        "",
        "x",
        "http://",
        "http:///x",
        "http://:80",
        "://x",
        "1http://x",
        "http://x/y",
        "http://x?y",
        "http://x:99999",
        "x:80",
    ] {
        assert_eq!(Origin::parse(no), None, "{no}");
    }
    assert_eq!(Origin::new("HTTPS", "API.example.com", Some(443)).to_string(), "https://api.example.com");
    assert_eq!(Origin::key("Tenant/1").to_string(), "Tenant/1");
}
