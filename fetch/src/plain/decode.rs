//! Content codings, undone on the way.

use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{self, HeaderMap};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt as _, ReadBuf};

use super::body::Body;
use crate::error::{FetchError, Kind};

const BLOCK: usize = 32 * 1024;
/// The rest of a block that is not worth a read of its own.
const CRUMB: usize = 2 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Brotli,
    Zstd,
    Deflate,
}

impl Coding {
    /// `None` for a body that is as it is, or coded in a way that is not ours to undo.
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

pub(super) struct Decoded {
    decoder: Decoder,
    block: BytesMut,
    /// The coding says so; the body has still to end too.
    ended: bool,
}

enum Decoder {
    Gzip(GzipDecoder<Source>),
    Brotli(BrotliDecoder<Source>),
    Zstd(ZstdDecoder<Source>),
    Deflate(ZlibDecoder<Source>),
}

impl Decoded {
    pub(super) fn new(coding: Coding, body: Body) -> Self {
        let source = Source { body, chunk: Bytes::new(), heard: false, failure: None };
        let decoder = match coding {
            Coding::Gzip => Decoder::Gzip(GzipDecoder::new(source)),
            Coding::Brotli => Decoder::Brotli(BrotliDecoder::new(source)),
            Coding::Zstd => {
                let mut decoder = ZstdDecoder::new(source);
                decoder.multiple_members(true);
                Decoder::Zstd(decoder)
            }
            Coding::Deflate => Decoder::Deflate(ZlibDecoder::new(source)),
        };
        Self { decoder, block: BytesMut::new(), ended: false }
    }

    pub(super) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, FetchError>> {
        if !self.ended {
            if self.block.capacity() < CRUMB {
                self.block.reserve(BLOCK);
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
                    // No bytes at all are no bytes in any coding.
                    if source.heard {
                        return Poll::Ready(Err(FetchError::with(Kind::Body, error)));
                    }
                    self.ended = true;
                }
            }
        }
        let source = self.decoder.source();
        let extra = !source.chunk.is_empty() || ready!(source.body.poll_chunk(cx))?.is_some();
        Poll::Ready(if extra {
            Err(FetchError::with(Kind::Body, "more bytes than the coding has"))
        } else {
            Ok(None)
        })
    }
}

impl Decoder {
    fn reader(&mut self) -> &mut (dyn AsyncRead + Unpin) {
        match self {
            Self::Gzip(decoder) => decoder,
            Self::Brotli(decoder) => decoder,
            Self::Zstd(decoder) => decoder,
            Self::Deflate(decoder) => decoder,
        }
    }

    fn source(&mut self) -> &mut Source {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
        }
    }
}

/// The body, as decoders like to read.
struct Source {
    body: Body,
    chunk: Bytes,
    heard: bool,
    /// Ours, as decoders pass on only the system's.
    failure: Option<FetchError>,
}

impl AsyncBufRead for Source {
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
            source.heard |= !source.chunk.is_empty();
        }
        Poll::Ready(Ok(&source.chunk))
    }

    fn consume(self: Pin<&mut Self>, length: usize) {
        self.get_mut().chunk.advance(length);
    }
}

impl AsyncRead for Source {
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
