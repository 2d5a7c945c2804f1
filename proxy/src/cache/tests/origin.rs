use std::convert::Infallible;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::{Path, State};
use axum::http::HeaderMap as AxumHeaders;
use axum::response::{IntoResponse, Response as AxumResponse};
use axum::routing::get;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::Semaphore;

use super::*;

/// An origin whose bodies are sent chunk by chunk, as the test permits.
pub(super) struct Origin {
    pub(super) requests: AtomicUsize,
    pub(super) chunks: Semaphore,
}

pub(super) async fn origin() -> (SocketAddr, Arc<Origin>) {
    let origin = Arc::new(Origin { requests: AtomicUsize::new(0), chunks: Semaphore::new(0) });
    let router = Router::new()
        .route("/sized/{chunk_count}", get(sized))
        .route("/unsized/{chunk_count}", get(unsized_))
        .route("/cut/{chunk_count}", get(cut))
        .route("/file", get(file))
        .route("/stray", get(|| async { ([("content-range", "bytes 0-3/4")], "body") }))
        .route(
            "/lies/{range}",
            get(|Path(range): Path<String>| async move {
                let range = format!("bytes {}", range.replace('_', "/"));
                (StatusCode::PARTIAL_CONTENT, [("content-range", range)], "body")
            }),
        )
        .route("/gone", get(gone))
        .with_state(origin.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, origin)
}

async fn sized(
    State(origin): State<Arc<Origin>>,
    Path(chunk_count): Path<usize>,
    headers: AxumHeaders,
) -> AxumResponse {
    origin.requests.fetch_add(1, Ordering::SeqCst);
    if let Some(range) = headers.get("range") {
        let range = range.to_str().unwrap().to_owned();
        let content_range = ("content-range", "bytes 1-6/7".to_owned());
        let headers = [("x-range", range), content_range];
        return (StatusCode::PARTIAL_CONTENT, headers, "ranged").into_response();
    }
    let length = (chunk_count * CHUNK_BYTES).to_string();
    ([("content-length", length)], body(origin, chunk_count)).into_response()
}

/// A chunked body that breaks off before its last chunk.
async fn cut(State(origin): State<Arc<Origin>>, Path(chunk_count): Path<usize>) -> AxumResponse {
    let cut = stream::once(async { Err(std::io::Error::other("the connection breaks")) });
    let chunks = body(origin, chunk_count).into_data_stream();
    AxumBody::from_stream(chunks.map_err(std::io::Error::other).chain(cut)).into_response()
}

async fn gone(State(origin): State<Arc<Origin>>) -> StatusCode {
    origin.requests.fetch_add(1, Ordering::SeqCst);
    StatusCode::GONE
}

async fn unsized_(
    State(origin): State<Arc<Origin>>,
    Path(chunk_count): Path<usize>,
) -> AxumResponse {
    origin.requests.fetch_add(1, Ordering::SeqCst);
    body(origin, chunk_count).into_response()
}

/// A file of 1000 bytes that supports ranges.
async fn file(State(origin): State<Arc<Origin>>, headers: AxumHeaders) -> AxumResponse {
    origin.requests.fetch_add(1, Ordering::SeqCst);
    let bytes: Vec<u8> = (0..1000).map(|n| n as u8).collect();
    let range = headers.get("range").and_then(|range| ByteRange::parse(range.as_bytes()));
    match range {
        Some(ByteRange { first, last: Some(last) }) if first < 1000 => {
            let last = last.min(999);
            let range_body = bytes[first as usize..=last as usize].to_vec();
            let content_range = format!("bytes {first}-{last}/1000");
            (StatusCode::PARTIAL_CONTENT, [("content-range", content_range)], range_body)
                .into_response()
        }
        Some(_) => {
            (StatusCode::RANGE_NOT_SATISFIABLE, [("content-range", "bytes */1000")]).into_response()
        }
        None => bytes.into_response(),
    }
}

fn body(origin: Arc<Origin>, chunk_count: usize) -> AxumBody {
    AxumBody::from_stream(stream::unfold(0, move |sent_chunks| {
        let origin = origin.clone();
        async move {
            if sent_chunks == chunk_count {
                return None;
            }
            origin.chunks.acquire().await.unwrap().forget();
            Some((
                Ok::<_, Infallible>(Bytes::from(vec![sent_chunks as u8; CHUNK_BYTES])),
                sent_chunks + 1,
            ))
        }
    }))
}
