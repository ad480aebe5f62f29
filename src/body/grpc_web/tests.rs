use super::GrpcWeb;
use crate::classify::{Failure, Outcome};
use bytes::Buf;
use proptest::prelude::*;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = BASE64[(word >> (18 - 6 * place) & 63) as usize];
            out.push(if place > three.len() { b'=' } else { digit });
        }
    }
    out
}

fn frame(flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[flags], &length[..], payload].concat()
}

fn read(base64: bool, pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> GrpcWeb {
    let mut web = GrpcWeb::new(base64);
    for piece in pieces {
        web.read(&piece.as_ref());
    }
    web
}

fn outcome(web: &GrpcWeb) -> Option<Outcome> {
    web.status().map(|status| status.outcome())
}

#[test]
fn every_spelling_of_the_trailers_is_read() {
    let unavailable = Some(Outcome::Failure(Failure::Transient));
    for (text, expected) in [
        ("grpc-status:14\r\n", unavailable),
        ("grpc-status: 14\r\ngrpc-message:away\r\n", unavailable),
        ("Grpc-Status: 14", unavailable),
        ("grpc-message:grpc-status:0\r\ngrpc-status:14\n", unavailable),
        ("grpc-status-details-bin:AAAA\r\ngrpc-status:14\r\n", unavailable),
        ("grpc-status:0\r\n", Some(Outcome::Success)),
        ("grpc-status:\r\n", Some(Outcome::Failure(Failure::Fault))),
        ("grpc-status:x\r\n", Some(Outcome::Failure(Failure::Fault))),
        ("", None),
        ("\r\n", None),
        ("grpc-message:no status\r\n", None),
        (" grpc-status:14\r\n", None),
    ] {
        let web = read(false, [frame(0, b"message"), frame(0x80, text.as_bytes())]);
        assert_eq!(outcome(&web), expected, "{text:?}");
        assert!(web.is_complete() && web.has_message());
    }
}

#[test]
fn a_long_line_before_the_status_is_passed_over_and_a_pushback_is_read() {
    let text = format!("grpc-message:{}\r\ngrpc-status:14\r\ngrpc-retry-pushback-ms: 750\r\n", "x".repeat(100_000));
    let web = read(false, [frame(0x80, text.as_bytes())]);
    let status = web.status().unwrap();
    assert_eq!(status.outcome(), Outcome::Failure(Failure::Transient));
    assert_eq!(status.hint().and_then(crate::backoff::Hint::after), Some(std::time::Duration::from_millis(750)));
}

#[test]
fn compressed_trailers_and_text_that_is_no_base64_have_no_status() {
    let web = read(false, [frame(0x81, b"grpc-status:14\r\n")]);
    assert!(web.is_complete() && web.status().is_none());
    let mut broken = base64(&frame(0, b"one"));
    broken.extend_from_slice(b"%%%%");
    broken.extend(base64(&frame(0x80, b"grpc-status:14\r\n")));
    assert_eq!(outcome(&read(true, [broken])), None);
}

#[test]
fn data_in_several_pieces_is_read_whole() {
    let text = frame(0x80, b"grpc-status:14\r\n");
    let (start, end) = text.split_at(9);
    let mut web = GrpcWeb::new(false);
    web.read(&start.chain(end));
    assert_eq!(outcome(&web), Some(Outcome::Failure(Failure::Transient)));
}

proptest! {
    #[test]
    fn the_status_is_found_however_the_body_is_cut(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5),
        code in 0_u8..17,
        text in any::<bool>(),
        apart in any::<bool>(),
        cuts in prop::collection::vec(1_usize..40, 0..60),
    ) {
        let mut frames: Vec<Vec<u8>> = messages.iter().map(|message| frame(0, message)).collect();
        frames.push(frame(0x80, format!("grpc-status:{code}\r\ngrpc-message:m\r\n").as_bytes()));
        let body = match (text, apart) {
            (false, _) => frames.concat(),
            // each frame is padded by itself, or the body as a whole
            (true, true) => frames.iter().flat_map(|frame| base64(frame)).collect(),
            (true, false) => base64(&frames.concat()),
        };
        let mut web = GrpcWeb::new(text);
        let mut rest = &body[..];
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            web.read(&piece);
            rest = after;
            prop_assert!(after.is_empty() || !web.is_complete());
        }
        web.read(&rest);
        prop_assert!(web.is_complete());
        prop_assert_eq!(web.has_message(), !messages.is_empty());
        prop_assert_eq!(outcome(&web), Some(crate::classify::of_grpc_code(code.into()).outcome()));
    }

    #[test]
    fn no_bytes_make_it_panic(text in any::<bool>(), pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
        let web = read(text, pieces);
        let _ = (web.status(), web.has_message(), web.is_complete());
    }
}
