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
use pitwall_upstream_map::Leadership;
use pitwall_upstream_map::documents::ProblemDetails;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::Instant;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

use super::Commands;
use super::leader;
use super::problem::{PROBLEM, Problem};
use crate::engine::command::{Command, Refused, Reply, RunStarted, Switched, Wish};
use crate::engine::trace::Trace;

/// No command is longer.
pub(super) const LONGEST_BODY: usize = 16 * 1024;
/// The queue answers within milliseconds; while the store cannot be reached, and a switch waits for
/// it, within five seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(7);

/// What is said of any of them.
const NOT_ADMIN: &str = "Not the admin token.";
const NOT_NOW: &str = "Nothing was done: store-unavailable: the store cannot be reached; \
                       standing-by, leader-silent: which control plane leads is not known, or it \
                       cannot be reached; taking-over: it has just begun to lead; unavailable: it \
                       is busy. Retry-After says when to ask again.";
const NOT_KNOWN: &str = "outcome-unknown: it was sent on and not answered in time. Look whether it \
                         was done before you send it again.";

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
        Some(token) if token.is_in(request.headers()) => {}
        _ => return Err(Problem::TokenInvalid),
    }
    match commands.leads() {
        true => Ok(next.run(request).await),
        false => leader::pass_on(&commands, request).await,
    }
}

#[derive(OpenApi)]
#[openapi(
    paths(run, trace, switch),
    modifiers(&Bearer),
    security(("admin-token" = [])),
)]
struct Described;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("admin-token", scheme);
        // Only of these operations: the document becomes part of a larger one.
        let security = document.security.take();
        for item in document.paths.paths.values_mut() {
            for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
                operation.security.clone_from(&security);
            }
        }
    }
}

/// The commands as an OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Described::openapi()
}

/// Runs a source now
#[utoipa::path(
    post,
    path = "/api/extractors/{name}/run",
    operation_id = "run-extractor",
    params(("name" = String, Path, description = "Of the source")),
    responses(
        (status = 202, body = RunStarted, description = "Its outcome will be in the trace."),
        (status = 401, body = ProblemDetails, content_type = PROBLEM, description = NOT_ADMIN),
        (status = 404, body = ProblemDetails, content_type = PROBLEM, description = "No such source."),
        (status = 503, body = ProblemDetails, content_type = PROBLEM, description = NOT_NOW),
        (status = 504, body = ProblemDetails, content_type = PROBLEM, description = NOT_KNOWN),
    ),
)]
async fn run(
    State(commands): State<Arc<Commands>>,
    Path(extractor): Path<String>,
) -> Result<Response, Problem> {
    commands.ask(StatusCode::ACCEPTED, |reply| Command::Run { extractor, reply }).await
}

/// What the last run of a source did, step by step
#[utoipa::path(
    get,
    path = "/api/extractors/{name}/trace",
    operation_id = "trace-extractor",
    params(("name" = String, Path, description = "Of the source")),
    responses(
        (status = 200, body = Trace, description = "Secrets are masked."),
        (status = 401, body = ProblemDetails, content_type = PROBLEM, description = NOT_ADMIN),
        (status = 404, body = ProblemDetails, content_type = PROBLEM, description = "extractor-unknown: no such source. trace-missing: no run of it has ended yet; ask again."),
        (status = 503, body = ProblemDetails, content_type = PROBLEM, description = NOT_NOW),
        (status = 504, body = ProblemDetails, content_type = PROBLEM, description = NOT_KNOWN),
    ),
)]
async fn trace(
    State(commands): State<Arc<Commands>>,
    Path(extractor): Path<String>,
) -> Result<Response, Problem> {
    commands.ask(StatusCode::OK, |reply| Command::Trace { extractor, reply }).await
}

/// The body of a switch; all of it may be left out. A pin is taken off with the name of the source
/// that plays and `"pin": false`: nobody is moved, and ranking goes on from there. Without a name
/// the next best source plays, as long as ranking leaves it.
#[derive(Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct SwitchBody {
    /// Who is to play; the next best one, if it is not said.
    source: Option<String>,
    /// `true`: it plays until it is down, whatever ranking says. `false`: ranking goes on from
    /// there.
    #[schema(default = true)]
    pin: bool,
}

impl Default for SwitchBody {
    fn default() -> Self {
        Self { source: None, pin: true }
    }
}

/// Moves a stream's viewers to another source
#[utoipa::path(
    post,
    path = "/api/streams/{id}/switch",
    operation_id = "switch-stream",
    params(("id" = String, Path, description = "Of the stream")),
    request_body(content = Option<SwitchBody>),
    responses(
        (status = 200, body = Switched),
        (status = 400, body = ProblemDetails, content_type = PROBLEM, description = "The body cannot be read."),
        (status = 401, body = ProblemDetails, content_type = PROBLEM, description = NOT_ADMIN),
        (status = 404, body = ProblemDetails, content_type = PROBLEM, description = "No such stream."),
        (status = 409, body = ProblemDetails, content_type = PROBLEM, description = "That source cannot play now."),
        (status = 413, body = ProblemDetails, content_type = PROBLEM, description = "The body is too long."),
        (status = 415, body = ProblemDetails, content_type = PROBLEM, description = "The body is not JSON."),
        (status = 422, body = ProblemDetails, content_type = PROBLEM, description = "The stream has nothing of that source."),
        (status = 503, body = ProblemDetails, content_type = PROBLEM, description = NOT_NOW),
        (status = 504, body = ProblemDetails, content_type = PROBLEM, description = NOT_KNOWN),
    ),
)]
async fn switch(
    State(commands): State<Arc<Commands>>,
    Path(stream): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let SwitchBody { source, pin } = json(&headers, body)?;
    let wish = Wish { source, pin };
    let asked = Instant::now();
    commands.ask(StatusCode::OK, |reply| Command::Switch { stream, wish, asked, reply }).await
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
    /// Why nobody here does it.
    pub(super) fn not_leading(&self) -> Problem {
        match self.store.leadership() {
            Leadership::Theirs(None) => Problem::StandingBy,
            Leadership::Unreachable => Problem::NobodyLeads,
            Leadership::Theirs(Some(_)) | Leadership::Ours | Leadership::Unknown => {
                Problem::Undecided
            }
        }
    }

    async fn ask<T: Serialize>(
        &self,
        status: StatusCode,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<Response, Problem> {
        if !self.leads() {
            return Err(self.not_leading());
        }
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.sender.send(command(reply)).await.ok()?;
            answer.await.ok()
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await.ok().flatten();
        let answer = match answer {
            Some(Ok(answer)) => answer,
            Some(Err(Refused::NotLeading)) => return Err(self.not_leading()),
            Some(Err(refused)) => return Err(Problem::Refused(refused)),
            // It stopped leading with the command in its hands.
            None if !self.leads() => return Err(self.not_leading()),
            None => return Err(Problem::Busy),
        };
        let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        Ok((status, headers, axum::Json(answer)).into_response())
    }
}
