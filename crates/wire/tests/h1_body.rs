//! Bodies: decoded alike however they are cut, refused where two readers could differ.

mod support;

use plimsoll_wire::h1::HeadError;
use plimsoll_wire::h1::body::{
    BodyError, CHUNK_EXTENSION_BYTES_MAX, ChunkHead, Decoder, TRAILER_BYTES_MAX, chunk_head,
    last_chunk,
};
use plimsoll_wire::head::{Framing, Head};
use proptest::prelude::*;
use support::decode;

fn chunked(input: &str) -> Result<String, BodyError> {
    let mut decoder = Decoder::new(Framing::Chunked);
    let (payload, consumed) = decode(&mut decoder, input.as_bytes(), &[])?;
    assert!(decoder.is_done(), "{input:?} has not ended");
    assert_eq!(consumed, input.len(), "{input:?}");
    Ok(String::from_utf8(payload).expect("test bodies are text"))
}

#[test]
fn lengths_are_counted() {
    let mut decoder = Decoder::new(Framing::Length(5));
    assert_eq!(decoder.bytes_ahead(), 5);
    assert_eq!(decode(&mut decoder, b"hel", &[]), Ok((b"hel".to_vec(), 3)));
    assert!(!decoder.is_done());
    assert_eq!(decode(&mut decoder, b"loGET", &[]), Ok((b"lo".to_vec(), 2)));
    assert!(decoder.is_done());
    for framing in [Framing::None, Framing::Length(0)] {
        assert!(Decoder::new(framing).is_done());
    }
    assert!(Decoder::default().is_done());
}

#[test]
fn a_body_until_close_never_ends_by_itself() {
    let mut decoder = Decoder::new(Framing::UntilClose);
    assert_eq!(decode(&mut decoder, b"abc", &[1]), Ok((b"abc".to_vec(), 3)));
    assert!(!decoder.is_done() && decoder.ends_with_connection());
}

#[test]
fn chunks_are_joined_in_place() {
    let mut decoder = Decoder::new(Framing::Chunked);
    let mut buffer = *b"4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\nGET /next";
    let decoded = decoder.decode(&mut buffer).expect("sound chunks");
    assert_eq!(&buffer[decoded.payload.clone()], b"Wikipedia");
    assert_eq!(&buffer[decoded.consumed..], b"GET /next");
    assert!(decoded.done && decoder.trailers().is_none());
}

#[test]
fn sound_chunks_are_accepted() {
    for (input, payload) in [
        ("0\r\n\r\n", ""),
        ("000\r\n\r\n", ""),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("000000000000000a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("1;a\r\nx\r\n0;b=c\r\n\r\n", "x"),
        ("1;a=\"q;\\\"r\"\r\nx\r\n0\r\n\r\n", "x"),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
    ] {
        assert_eq!(chunked(input).as_deref(), Ok(payload), "{input:?}");
    }
}

#[test]
fn doubtful_chunks_are_refused() {
    use BodyError as B;
    let long_extension = format!(
        "1;{}\r\n",
        "x".repeat(CHUNK_EXTENSION_BYTES_MAX as usize + 1)
    );
    let cases: &[(&str, B)] = &[
        ("\r\n", B::InvalidChunkSize),
        ("g\r\n", B::InvalidChunkSize),
        ("-1\r\n", B::InvalidChunkSize),
        ("+1\r\n", B::InvalidChunkSize),
        ("0x1\r\n", B::InvalidChunkSize),
        (" 1\r\n", B::InvalidChunkSize),
        ("1 \r\n", B::InvalidChunkSize),
        ("1\t;a\r\n", B::InvalidChunkSize),
        (";a\r\n", B::InvalidChunkSize),
        ("1\n", B::MissingLineEnd),
        ("1\rx", B::MissingLineEnd),
        ("1\r\nxy", B::MissingLineEnd),
        ("1\r\nx\n", B::MissingLineEnd),
        ("1\r\nx\r\r", B::MissingLineEnd),
        ("10000000000000\r\n", B::ChunkTooLarge),
        ("ffffffffffffffff\r\n", B::ChunkTooLarge),
        ("10000000000000000\r\n", B::ChunkTooLarge),
        ("00000000000000001\r\n", B::ChunkTooLarge),
        ("1;a\n", B::InvalidChunkExtension),
        ("1;a\0\r\n", B::InvalidChunkExtension),
        ("1;a=\"b\r\n", B::InvalidChunkExtension),
        ("1;a\\b\r\n", B::InvalidChunkExtension),
        (&long_extension, B::ChunkExtensionTooLong),
        ("0\r\nA: b\n\r\n", B::Trailer(HeadError::BareLineFeed)),
        (
            "0\r\nA : b\r\n\r\n",
            B::Trailer(HeadError::SpaceBeforeColon),
        ),
        ("0\r\n\n", B::Trailer(HeadError::BareLineFeed)),
        ("0\r\nA\r\n\r\n", B::Trailer(HeadError::MissingColon)),
    ];
    for (input, error) in cases {
        assert_eq!(chunked(input), Err(*error), "{input:?}");
        assert!(error.to_string().len() > 10 && !error.name().is_empty());
    }
}

#[test]
fn whoever_asks_learns_which_byte_broke_a_body() {
    for (input, at, intact_from) in [
        ("zz\r\n", 0, 0),
        ("1\r\nazz\r\n", 4, 0),
        ("1\r\na\r\n2\r\nbc\r\nx\r\n", 13, 6),
    ] {
        let mut bytes = input.as_bytes().to_vec();
        let broken = Decoder::new(Framing::Chunked).decode(&mut bytes);
        let broken = broken.expect_err(input);
        assert_eq!(
            (broken.at, broken.intact_from),
            (at, intact_from),
            "{input:?}"
        );
        assert_eq!(
            bytes[intact_from..],
            input.as_bytes()[intact_from..],
            "{input:?}"
        );
    }
}

#[test]
fn the_largest_chunk_is_accepted() {
    let mut decoder = Decoder::new(Framing::Chunked);
    assert!(decoder.decode(&mut b"fffffffffffff\r\n".to_vec()).is_ok());
    assert_eq!(decoder.bytes_ahead(), (1 << 52) - 1);
    decoder.skip((1 << 52) - 1);
    assert_eq!(
        decode(&mut decoder, b"\r\n0\r\n\r\n", &[]),
        Ok((Vec::new(), 7))
    );
    assert!(decoder.is_done());
}

#[test]
fn trailers_are_kept_but_for_those_that_frame_or_route() {
    let mut decoder = Decoder::new(Framing::Chunked);
    let input = b"0\r\nX-Sum: 1 \r\nContent-Length: 5\r\nHost: evil\r\nTransfer-Encoding: chunked\r\nX-B: 2\r\n\r\n";
    for cut in 0..input.len() {
        decoder = Decoder::new(Framing::Chunked);
        assert_eq!(
            decode(&mut decoder, input, &[cut]),
            Ok((Vec::new(), input.len()))
        );
    }
    let trailers = decoder.trailers().expect("two are left");
    let fields: Vec<_> = trailers.fields().collect();
    assert_eq!(fields, [(&b"x-sum"[..], &b"1"[..]), (b"x-b", b"2")]);
    let mut out = Vec::new();
    last_chunk(Some(trailers), &mut out);
    assert_eq!(out, b"0\r\nx-sum: 1\r\nx-b: 2\r\n\r\n");

    let mut decoder = Decoder::new(Framing::Chunked);
    let endless = format!("0\r\nA: {}", "x".repeat(TRAILER_BYTES_MAX));
    assert_eq!(
        decode(&mut decoder, endless.as_bytes(), &[]),
        Err(BodyError::Trailer(HeadError::TooLong))
    );
}

#[test]
fn chunk_heads_are_plain_hexadecimal() {
    for bytes in [0, 1, 15, 16, 255, 65_536, usize::MAX] {
        assert_eq!(
            ChunkHead::of(bytes).as_bytes(),
            format!("{bytes:x}\r\n").as_bytes()
        );
    }
}

/// Pieces of payload, not empty, and the cuts at which the encoded body is handed over.
fn pieces_and_cuts() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<prop::sample::Index>)> {
    let piece = prop::collection::vec(any::<u8>(), 1..40);
    (
        prop::collection::vec(piece, 0..6),
        prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    )
}

fn sorted_cuts(cuts: &[prop::sample::Index], length: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(length + 1)).collect();
    cuts.sort_unstable();
    cuts
}

proptest! {
    #[test]
    fn what_is_chunked_comes_back((pieces, cuts) in pieces_and_cuts(), next in any::<[u8; 5]>()) {
        let mut encoded = Vec::new();
        for piece in &pieces {
            chunk_head(piece.len(), &mut encoded);
            encoded.extend_from_slice(piece);
            encoded.extend_from_slice(b"\r\n");
        }
        let mut trailers = Head::default();
        trailers.add(b"X-Sum", b"42");
        last_chunk(Some(&trailers), &mut encoded);
        let body = encoded.len();
        encoded.extend_from_slice(&next);
        let mut decoder = Decoder::new(Framing::Chunked);
        let decoded = decode(&mut decoder, &encoded, &sorted_cuts(&cuts, encoded.len()));
        prop_assert_eq!(decoded, Ok((pieces.concat(), body)));
        prop_assert_eq!(decoder.trailers().and_then(|head| head.value(b"x-sum")), Some(&b"42"[..]));
    }

    #[test]
    fn cuts_make_no_difference(input in "[0-3a;\"\\\\x\r\n: ]{0,40}", cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..6)) {
        let whole = decode(&mut Decoder::new(Framing::Chunked), input.as_bytes(), &[]);
        let cut = decode(&mut Decoder::new(Framing::Chunked), input.as_bytes(), &sorted_cuts(&cuts, input.len()));
        prop_assert_eq!(whole, cut);
    }
}
