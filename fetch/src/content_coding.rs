//! Content codings of responses, decoded while the body is read: the same for `http:` and `https:`,
//! and as leniently as browsers and curl do it.

use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{
    BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
};
use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{self, HeaderMap};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt as _, ReadBuf};

use crate::error::{FetchError, FetchErrorKind};
use crate::http_client::FramedBody;
use crate::https_client::HttpsBody;

const BLOCK_BYTES: usize = 32 * 1024;
/// Minimum free space of a block for another read into it.
const BLOCK_REUSE_MIN_BYTES: usize = 2 * 1024;
/// More codings than this around one body are not decoded; curl allows as many.
const CODINGS_MAX: usize = 5;

/// The body of a response, without its message framing.
pub(crate) enum UpstreamBody {
    Http(Box<FramedBody>),
    Https(HttpsBody),
    Decoded(Box<DecodedBody>),
}

impl UpstreamBody {
    /// Wraps the body in the decoders of its codings, and removes the fields that describe the coded
    /// body.
    pub(crate) fn decoded(self, headers: &mut HeaderMap) -> Self {
        let codings = ContentCoding::parse_headers(headers);
        if !codings.is_empty() {
            headers.remove(header::CONTENT_ENCODING);
            headers.remove(header::CONTENT_LENGTH);
        }
        // The coding that was applied last is written last.
        codings
            .into_iter()
            .rev()
            .fold(self, |body, coding| Self::Decoded(Box::new(DecodedBody::new(coding, body))))
    }

    /// Whether the body, which has been read to its end, has ended by its framing and not with the
    /// connection.
    pub(crate) fn has_framed_end(&self) -> bool {
        match self {
            Self::Http(body) => body.has_framed_end(),
            Self::Https(body) => body.has_framed_end(),
            Self::Decoded(body) => body.has_framed_end(),
        }
    }

    /// Reads the next chunk of the body; `None` at its end.
    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, FetchError>> {
        match self {
            Self::Http(body) => body.poll_chunk(cx),
            Self::Https(body) => body.poll_chunk(cx),
            Self::Decoded(body) => body.poll_chunk(cx),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContentCoding {
    Gzip,
    Brotli,
    Zstd,
    Deflate,
}

impl ContentCoding {
    /// The codings of a body in the order in which they were applied; none if one of them is
    /// unknown, as the body is then passed on as it is.
    fn parse_headers(headers: &HeaderMap) -> Vec<Self> {
        let values = headers.get_all(header::CONTENT_ENCODING).into_iter();
        let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let names = names.map(|name| name.trim_ascii().to_ascii_lowercase());
        let names = names.filter(|name| !matches!(&name[..], b"" | b"identity"));
        let codings: Option<Vec<_>> = names.map(|name| Self::of_name(&name)).collect();
        codings.filter(|codings| codings.len() <= CODINGS_MAX).unwrap_or_default()
    }

    fn of_name(name: &[u8]) -> Option<Self> {
        match name {
            b"gzip" | b"x-gzip" => Some(Self::Gzip),
            b"br" => Some(Self::Brotli),
            b"zstd" => Some(Self::Zstd),
            b"deflate" => Some(Self::Deflate),
            _ => None,
        }
    }

    /// The decoder for data that begins with this byte. `deflate` is zlib by RFC 9110, and raw at
    /// some servers: no encoder begins raw data like a zlib header, whose method is 8 and whose
    /// window is at most 7.
    fn decoder(self, first_byte: u8, source: BodySource) -> CodingDecoder {
        let is_zlib = first_byte & 0x0f == 8 && first_byte >> 4 <= 7;
        match self {
            Self::Gzip => CodingDecoder::Gzip(GzipDecoder::new(source)),
            Self::Brotli => CodingDecoder::Brotli(BrotliDecoder::new(source)),
            Self::Zstd => CodingDecoder::Zstd(ZstdDecoder::new(source)),
            Self::Deflate if is_zlib => CodingDecoder::Zlib(ZlibDecoder::new(source)),
            Self::Deflate => CodingDecoder::RawDeflate(DeflateDecoder::new(source)),
        }
    }

    /// Whether coded data that has ended goes on with another member or frame that begins with this
    /// byte.
    fn continues_with(self, byte: u8) -> bool {
        match self {
            Self::Gzip => byte == 0x1f,
            // A frame, or one that is to be skipped.
            Self::Zstd => byte == 0x28 || byte >> 4 == 5,
            Self::Brotli | Self::Deflate => false,
        }
    }
}

pub(crate) struct DecodedBody {
    coding: ContentCoding,
    state: DecodingState,
    block: BytesMut,
}

enum DecodingState {
    /// Before the first byte of the coded data, or of its next member.
    Start {
        source: BodySource,
        is_first: bool,
    },
    Data(CodingDecoder),
    /// The coded data has ended; the body may not have.
    Trailing(BodySource),
    Failed,
}

impl DecodedBody {
    fn new(coding: ContentCoding, body: UpstreamBody) -> Self {
        let source = BodySource { body, chunk: Bytes::new(), failure: None };
        let state = DecodingState::Start { source, is_first: true };
        Self { coding, state, block: BytesMut::new() }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, FetchError>> {
        loop {
            match &mut self.state {
                DecodingState::Start { source, is_first } => {
                    ready!(source.poll_fill(cx))?;
                    let (first_byte, is_first) = (source.chunk.first().copied(), *is_first);
                    let coding = self.coding;
                    let goes_on = |byte: &u8| is_first || coding.continues_with(*byte);
                    self.replace_state(|source| match first_byte.filter(goes_on) {
                        Some(byte) => DecodingState::Data(coding.decoder(byte, source)),
                        // An empty body is valid in any coding.
                        None => DecodingState::Trailing(source),
                    });
                }
                DecodingState::Data(decoder) => {
                    if self.block.capacity() < BLOCK_REUSE_MIN_BYTES {
                        self.block.reserve(BLOCK_BYTES);
                    }
                    let read = pin!(decoder.reader().read_buf(&mut self.block)).poll(cx);
                    match ready!(read) {
                        Ok(0) => self.replace_state(|source| DecodingState::Start {
                            source,
                            is_first: false,
                        }),
                        Ok(_) => return Poll::Ready(Ok(Some(self.block.split().freeze()))),
                        Err(error) => {
                            let failure = decoder.source().failure.take();
                            self.state = DecodingState::Failed;
                            // Coded data that is cut is not complete, wherever its chunks end.
                            let failure = failure.map(|failure| failure.with_reason(None));
                            return Poll::Ready(Err(failure.unwrap_or_else(|| {
                                FetchError::with_detail(FetchErrorKind::Body, error)
                            })));
                        }
                    }
                }
                // Bytes behind the coded data are ignored, as in browsers, but read: the message
                // has to be complete.
                DecodingState::Trailing(source) => {
                    source.chunk = Bytes::new();
                    ready!(source.poll_fill(cx))?;
                    if source.chunk.is_empty() {
                        return Poll::Ready(Ok(None));
                    }
                }
                DecodingState::Failed => return Poll::Ready(Err(FetchErrorKind::Body.into())),
            }
        }
    }

    fn has_framed_end(&self) -> bool {
        match &self.state {
            DecodingState::Start { source, .. } | DecodingState::Trailing(source) => {
                source.body.has_framed_end()
            }
            DecodingState::Data(_) | DecodingState::Failed => false,
        }
    }

    /// Moves the source into another state.
    fn replace_state(&mut self, next: impl FnOnce(BodySource) -> DecodingState) {
        self.state = match std::mem::replace(&mut self.state, DecodingState::Failed) {
            DecodingState::Start { source, .. } | DecodingState::Trailing(source) => next(source),
            DecodingState::Data(decoder) => next(decoder.into_source()),
            DecodingState::Failed => DecodingState::Failed,
        };
    }
}

enum CodingDecoder {
    Gzip(GzipDecoder<BodySource>),
    Brotli(BrotliDecoder<BodySource>),
    Zstd(ZstdDecoder<BodySource>),
    Zlib(ZlibDecoder<BodySource>),
    RawDeflate(DeflateDecoder<BodySource>),
}

impl CodingDecoder {
    fn reader(&mut self) -> &mut (dyn AsyncRead + Unpin) {
        match self {
            Self::Gzip(decoder) => decoder,
            Self::Brotli(decoder) => decoder,
            Self::Zstd(decoder) => decoder,
            Self::Zlib(decoder) => decoder,
            Self::RawDeflate(decoder) => decoder,
        }
    }

    fn source(&mut self) -> &mut BodySource {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
            Self::Zlib(decoder) => decoder.get_mut(),
            Self::RawDeflate(decoder) => decoder.get_mut(),
        }
    }

    fn into_source(self) -> BodySource {
        match self {
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Brotli(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.into_inner(),
            Self::Zlib(decoder) => decoder.into_inner(),
            Self::RawDeflate(decoder) => decoder.into_inner(),
        }
    }
}

/// Adapts the body to the reader that decoders expect.
struct BodySource {
    body: UpstreamBody,
    chunk: Bytes,
    /// Error of the body, because decoders pass on only I/O errors.
    failure: Option<FetchError>,
}

impl BodySource {
    /// Reads the next chunk if the last one is used up; it stays empty at the end of the body.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), FetchError>> {
        if self.chunk.is_empty() {
            self.chunk = ready!(self.body.poll_chunk(cx))?.unwrap_or_default();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for BodySource {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let source = self.get_mut();
        if let Err(error) = ready!(source.poll_fill(cx)) {
            source.failure = Some(error);
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        Poll::Ready(Ok(&source.chunk))
    }

    fn consume(self: Pin<&mut Self>, length: usize) {
        self.get_mut().chunk.advance(length);
    }
}

impl AsyncRead for BodySource {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = ready!(self.as_mut().poll_fill_buf(cx))?;
        let length = bytes.len().min(into.remaining());
        into.put_slice(bytes.get(..length).unwrap_or_default());
        self.consume(length);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_read_as_browsers_read_them() {
        use ContentCoding::{Brotli, Deflate, Gzip, Zstd};
        for (fields, expected) in [
            (&["gzip"][..], &[Gzip][..]),
            (&["GZip"], &[Gzip]),
            (&["x-gzip"], &[Gzip]),
            (&[" br "], &[Brotli]),
            (&["deflate, gzip"], &[Deflate, Gzip]),
            (&["zstd", "gzip"], &[Zstd, Gzip]),
            (&["identity, gzip,"], &[Gzip]),
            (&["identity"], &[]),
            (&[""], &[]),
            (&["utf-8"], &[]),
            (&["gzip, x-own"], &[]),
            (&["gzip, gzip, gzip, gzip, gzip, gzip"], &[]),
            (&[], &[]),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(header::CONTENT_ENCODING, field.parse().unwrap());
            }
            assert_eq!(ContentCoding::parse_headers(&headers), expected, "{fields:?}");
        }
    }
}
