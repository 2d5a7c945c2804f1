//! Decoding of content codings while the body is read.

use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{self, HeaderMap};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt as _, ReadBuf};

use super::body::FramedBody;
use crate::error::{FetchError, FetchErrorKind};

const BLOCK_BYTES: usize = 32 * 1024;
/// Minimum free space of a block for another read into it.
const BLOCK_REUSE_MIN_BYTES: usize = 2 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentCoding {
    Gzip,
    Brotli,
    Zstd,
    Deflate,
}

impl ContentCoding {
    /// `None` for a body without a content coding, or with one that is passed on.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        match headers.get(header::CONTENT_ENCODING)?.as_bytes() {
            b"gzip" => Some(Self::Gzip),
            b"br" => Some(Self::Brotli),
            b"zstd" => Some(Self::Zstd),
            b"deflate" => Some(Self::Deflate),
            _ => None,
        }
    }
}

pub(super) struct DecodedBody {
    decoder: CodingDecoder,
    block: BytesMut,
    /// The coded data has ended; the framed body may not have.
    ended: bool,
}

enum CodingDecoder {
    Gzip(GzipDecoder<BodySource>),
    Brotli(BrotliDecoder<BodySource>),
    Zstd(ZstdDecoder<BodySource>),
    Deflate(ZlibDecoder<BodySource>),
}

impl DecodedBody {
    pub(super) fn new(coding: ContentCoding, body: FramedBody) -> Self {
        let source = BodySource { body, chunk: Bytes::new(), has_data: false, failure: None };
        let decoder = match coding {
            ContentCoding::Gzip => CodingDecoder::Gzip(GzipDecoder::new(source)),
            ContentCoding::Brotli => CodingDecoder::Brotli(BrotliDecoder::new(source)),
            ContentCoding::Zstd => {
                let mut decoder = ZstdDecoder::new(source);
                decoder.multiple_members(true);
                CodingDecoder::Zstd(decoder)
            }
            ContentCoding::Deflate => CodingDecoder::Deflate(ZlibDecoder::new(source)),
        };
        Self { decoder, block: BytesMut::new(), ended: false }
    }

    pub(super) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, FetchError>> {
        if !self.ended {
            if self.block.capacity() < BLOCK_REUSE_MIN_BYTES {
                self.block.reserve(BLOCK_BYTES);
            }
            let read = pin!(self.decoder.reader().read_buf(&mut self.block)).poll(cx);
            match ready!(read) {
                Ok(0) => self.ended = true,
                Ok(_) => return Poll::Ready(Ok(Some(self.block.split().freeze()))),
                Err(error) => {
                    let source = self.decoder.source();
                    if let Some(failure) = source.failure.take() {
                        return Poll::Ready(Err(failure));
                    }
                    // An empty body is valid in any coding.
                    if source.has_data {
                        return Poll::Ready(Err(FetchError::with_detail(
                            FetchErrorKind::Body,
                            error,
                        )));
                    }
                    self.ended = true;
                }
            }
        }
        let source = self.decoder.source();
        let has_extra = !source.chunk.is_empty() || ready!(source.body.poll_chunk(cx))?.is_some();
        Poll::Ready(if has_extra {
            Err(FetchError::with_detail(FetchErrorKind::Body, "more bytes than the coding has"))
        } else {
            Ok(None)
        })
    }
}

impl CodingDecoder {
    fn reader(&mut self) -> &mut (dyn AsyncRead + Unpin) {
        match self {
            Self::Gzip(decoder) => decoder,
            Self::Brotli(decoder) => decoder,
            Self::Zstd(decoder) => decoder,
            Self::Deflate(decoder) => decoder,
        }
    }

    fn source(&mut self) -> &mut BodySource {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
        }
    }
}

/// Adapts the body to the reader that decoders expect.
struct BodySource {
    body: FramedBody,
    chunk: Bytes,
    has_data: bool,
    /// Error of the body, because decoders pass on only I/O errors.
    failure: Option<FetchError>,
}

impl AsyncBufRead for BodySource {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let source = self.get_mut();
        if source.chunk.is_empty() {
            match ready!(source.body.poll_chunk(cx)) {
                Ok(chunk) => source.chunk = chunk.unwrap_or_default(),
                Err(error) => {
                    source.failure = Some(error);
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
            }
            source.has_data |= !source.chunk.is_empty();
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
