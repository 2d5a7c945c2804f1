//! Properties of the chunked transfer coding.

use super::ChunkedDecoder;

/// What a decoder makes of bytes.
#[derive(Debug, PartialEq)]
struct Decoded {
    body: Vec<u8>,
    /// How many bytes belong to the body and its framing.
    length: usize,
    is_at_end: bool,
    is_between_chunks: bool,
    has_last_chunk: bool,
}

/// Checks that a body is decoded alike in whatever pieces it arrives, whether its data is copied or
/// read past the decoder, and that what is encoded is decoded as it was. The first byte is the size
/// of the pieces.
pub fn chunked_body(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else { return };
    let size = usize::from(*size).max(1);
    let whole = decode(bytes, bytes.len().max(1), false);
    for piece in [1, 3, size] {
        for reads_directly in [false, true] {
            let decoded = decode(bytes, piece, reads_directly);
            assert_eq!(decoded, whole, "in pieces of {piece}, directly: {reads_directly}");
        }
    }
    if let Ok(decoded) = &whole {
        assert!(decoded.body.len() <= decoded.length && decoded.length <= bytes.len());
        assert!(decoded.has_last_chunk || !decoded.is_at_end);
    }

    let mut encoded: Vec<u8> = bytes
        .chunks(size)
        .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
        .collect();
    encoded.extend_from_slice(b"0\r\n\r\n");
    let Ok(decoded) = decode(&encoded, size, size % 2 == 0) else { panic!("it is well-formed") };
    assert_eq!((decoded.body.as_slice(), decoded.length), (bytes, encoded.len()));
    assert!(decoded.is_at_end);
}

fn decode(bytes: &[u8], piece: usize, reads_directly: bool) -> Result<Decoded, &'static str> {
    let mut decoder = ChunkedDecoder::default();
    let (mut body, mut length) = (Vec::new(), 0);
    while !decoder.is_at_end()
        && let Some(rest) = bytes.get(length..).filter(|rest| !rest.is_empty())
    {
        let rest = rest.get(..piece).unwrap_or(rest);
        let direct = usize::try_from(decoder.remaining_in_chunk()).unwrap_or(usize::MAX);
        if reads_directly && direct > 0 {
            let data = rest.get(..direct).unwrap_or(rest);
            body.extend_from_slice(data);
            decoder.record_data_read(data.len());
            length += data.len();
            continue;
        }
        let mut arrived = rest.to_vec();
        let (read, data_length) = decoder.decode(&mut arrived)?;
        assert!(read == arrived.len() || decoder.is_at_end(), "bytes are left");
        body.extend_from_slice(arrived.get(..data_length).unwrap_or_default());
        length += read;
    }
    Ok(Decoded {
        body,
        length,
        is_at_end: decoder.is_at_end(),
        is_between_chunks: decoder.is_between_chunks(),
        has_last_chunk: decoder.has_last_chunk(),
    })
}
