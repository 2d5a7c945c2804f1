//! Properties of response heads.

use http::{Method, header};

use super::{BodyFraming, ResponseHead, is_worth_parsing, parse_head};

/// Checks that a head is the same whatever follows it and in whatever pieces it arrives, and that
/// its fields say one framing only.
pub fn response_head(data: &[u8]) {
    for method in [Method::GET, Method::HEAD] {
        let Ok(Some((head, length))) = parse_head(data, &method) else { continue };
        check_framing(&method, &head);
        let Some(alone) = data.get(..length) else { panic!("a head longer than what was read") };
        let Ok(Some((same, same_length))) = parse_head(alone, &method) else {
            panic!("what follows decides whether it is a head: {}", alone.escape_ascii())
        };
        assert_eq!((same.status, &same.headers), (head.status, &head.headers));
        assert_eq!((same_length, same.framing), (length, head.framing));
        // Byte by byte, as `read_head` parses what has arrived.
        for end in 1..=length {
            let arrived = data.get(..end).unwrap_or_default();
            if !is_worth_parsing(arrived, end - 1) {
                assert!(end < length, "it is never parsed: {}", alone.escape_ascii());
                continue;
            }
            let is_complete = match parse_head(arrived, &method) {
                Ok(parsed) => parsed.is_some(),
                Err(error) => panic!("{error}, of a part of {}", alone.escape_ascii()),
            };
            assert_eq!(is_complete, end == length, "{end} of {}", alone.escape_ascii());
        }
    }
}

fn check_framing(method: &Method, head: &ResponseHead) {
    let lengths: Vec<_> = head.headers.get_all(header::CONTENT_LENGTH).iter().collect();
    let is_chunked = head.headers.contains_key(header::TRANSFER_ENCODING);
    assert!(lengths.len() <= 1, "several lengths: {lengths:?}");
    assert!(!is_chunked || lengths.is_empty(), "both framings");
    let length = lengths.first().and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match &head.framing {
        BodyFraming::Empty => {}
        BodyFraming::Length(bytes) => assert_eq!(Some(*bytes), length),
        BodyFraming::Chunked => assert!(is_chunked),
        BodyFraming::UntilClose => assert!(!is_chunked && lengths.is_empty() && !head.keep_alive),
    }
    if *method == Method::HEAD {
        assert_eq!(head.framing, BodyFraming::Empty);
    }
}
