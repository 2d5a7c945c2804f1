//! What can be asked, each with the admin token.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Commands;
use super::problem::Problem;
use crate::engine::command::{Command, Reply, RunStarted, Switched, Wish};
use crate::engine::trace::Trace;

/// No command is longer.
const LONGEST_BODY: usize = 16 * 1024;
/// The queue answers within milliseconds, or something is very wrong.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn router(commands: Commands) -> Router {
    let commands = Arc::new(commands);
    Router::new()
        .route("/api/extractors/{name}/run", post(run))
        .route("/api/extractors/{name}/trace", get(trace))
        .route("/api/streams/{id}/switch", post(switch))
        .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed })
        .fallback(|| async { Problem::NotFound })
        .layer(middleware::from_fn_with_state(commands.clone(), guard))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(commands)
}

/// Before anything else: who has no token learns nothing, not even what there is.
async fn guard(
    State(commands): State<Arc<Commands>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !request.headers().contains_key(header::AUTHORIZATION) {
        return Err(Problem::TokenMissing);
    }
    match &commands.token {
        Some(token) if token.is_in(request.headers()) => Ok(next.run(request).await),
        _ => Err(Problem::TokenInvalid),
    }
}

/// Runs a source now. 202: its outcome is in the trace.
async fn run(
    State(commands): State<Arc<Commands>>,
    Path(extractor): Path<String>,
) -> Result<Response, Problem> {
    let ask = |reply: Reply<RunStarted>| Command::Run { extractor, reply };
    commands.ask(StatusCode::ACCEPTED, ask).await
}

/// What the last run of a source did, step by step.
async fn trace(
    State(commands): State<Arc<Commands>>,
    Path(extractor): Path<String>,
) -> Result<Response, Problem> {
    let ask = |reply: Reply<Trace>| Command::Trace { extractor, reply };
    commands.ask(StatusCode::OK, ask).await
}

/// The body of a switch; all of it may be left out.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SwitchBody {
    source: Option<String>,
    pin: bool,
}

impl Default for SwitchBody {
    fn default() -> Self {
        Self { source: None, pin: true }
    }
}

/// Moves a stream's viewers to the source in the body, else to the next best.
async fn switch(
    State(commands): State<Arc<Commands>>,
    Path(stream): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let SwitchBody { source, pin } = json(&headers, body)?;
    let wish = Wish { source, pin };
    let ask = |reply: Reply<Switched>| Command::Switch { stream, wish, reply };
    commands.ask(StatusCode::OK, ask).await
}

fn json<T: Default + for<'de> Deserialize<'de>>(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<T, Problem> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::BodyTooLarge,
        _ => Problem::BadBody("the body broke off".to_owned()),
    })?;
    if body.is_empty() {
        return Ok(T::default());
    }
    let is_json = |value: &HeaderValue| {
        let media_type = value.as_bytes().split(|byte| *byte == b';').next();
        media_type.is_some_and(|it| it.trim_ascii().eq_ignore_ascii_case(b"application/json"))
    };
    if !headers.get(header::CONTENT_TYPE).is_some_and(is_json) {
        return Err(Problem::NotJson);
    }
    serde_json::from_slice(&body).map_err(|error| Problem::BadBody(error.to_string()))
}

impl Commands {
    async fn ask<T: Serialize>(
        &self,
        status: StatusCode,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<Response, Problem> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.sender.send(command(reply)).await.ok()?;
            answer.await.ok()
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await.ok().flatten();
        let answer = answer.ok_or(Problem::Busy)?.map_err(Problem::Refused)?;
        let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        Ok((status, headers, axum::Json(answer)).into_response())
    }
}
